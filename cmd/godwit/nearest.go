package main

import "cmp"

// nearest is the word of words that is most like word, if one is like it at all; of equals, the one that begins and ends most as it
// does, and of those the first in order.
func nearest(word string, words []string) string {
	best, distance := "", len(word)/2+1
	for _, w := range words {
		d := editDistance(word, w)
		if d < distance || (d == distance && best != "" && cmp.Or(cmp.Compare(sameEnds(word, best), sameEnds(word, w)), cmp.Compare(w, best)) < 0) {
			best, distance = w, d
		}
	}
	return best
}

// sameEnds counts the bytes that two words have in common at their beginning, and at their end.
func sameEnds(a, b string) (n int) {
	short := min(len(a), len(b))
	for i := 0; i < short && a[i] == b[i]; i++ {
		n++
	}
	for i := 1; i <= short && a[len(a)-i] == b[len(b)-i]; i++ {
		n++
	}
	return n
}

// editDistance counts the bytes to insert, delete or replace, or to exchange with their neighbour, to make b of a.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
