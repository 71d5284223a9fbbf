package main

// nearest is the word of words that is most like word, if one is like it at all; of equals, the first in order.
func nearest(word string, words []string) string {
	best, distance := "", len(word)/2+1
	for _, w := range words {
		if d := editDistance(word, w); d < distance || (d == distance && best != "" && w < best) {
			best, distance = w, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
