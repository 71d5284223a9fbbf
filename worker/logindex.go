package worker

import (
	"sort"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Bounds of what is remembered of where lines stand in a rank's file. When there are mostMarks, every other one goes, and from then
// on they are twice as far apart: a file of 64 MiB has one each 64 KiB, a longer one as many.
const (
	markEach  = 64 << 10 // bytes
	mostMarks = 1024
)

// logMark is where a record begins, with what is known of all lines before it.
type logMark struct {
	offset int64
	seq    uint64 // no line before it has this number or a later one
	latest int64  // no line before it is of a later time; Unix time in milliseconds
}

// logIndex knows where some of a file's records begin, so that who wants its last lines does not read the others. The zero value is
// that of an empty file.
type logIndex struct {
	marks  []logMark
	each   int64
	latest int64 // of all lines
}

// with is the index when line stands at offset, behind all that it knows. The marks of x stay as they are, and are not
// copied: behind them there is room for one more index made of x. That of a write that failed is given up before the next is made.
func (x logIndex) with(line *apiv1.LogLine, offset int64) logIndex {
	last := int64(0)
	if n := len(x.marks); n > 0 {
		last = x.marks[n-1].offset
	}
	x.each = max(x.each, markEach)
	if offset-last >= x.each {
		if len(x.marks) >= mostMarks {
			x = x.thinned()
		}
		x.marks = append(x.marks, logMark{offset: offset, seq: line.Seq, latest: x.latest})
	}
	x.latest = max(x.latest, line.AtMs)
	return x
}

// thinned has every other mark.
func (x logIndex) thinned() logIndex {
	half := make([]logMark, 0, len(x.marks)/2+1)
	for i := 1; i < len(x.marks); i += 2 {
		half = append(half, x.marks[i])
	}
	return logIndex{marks: half, each: 2 * x.each, latest: x.latest}
}

// before is an offset where a record begins, behind as many as it knows of lines that are before line from, or of a time before since.
func (x logIndex) before(from uint64, since int64) int64 {
	wanted := func(m logMark) bool { return m.seq > from && m.latest >= since }
	if i := sort.Search(len(x.marks), func(i int) bool { return wanted(x.marks[i]) }); i > 0 {
		return x.marks[i-1].offset
	}
	return 0
}
