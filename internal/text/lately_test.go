package text

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLately: texts that come by turns are news once in a while each, and endless new ones only so many.
func TestLately(t *testing.T) {
	now := time.Unix(1000, 0)
	l := Lately{For: time.Minute}
	said := func(texts ...string) (n int) {
		for range 100 {
			for _, s := range texts {
				if l.News(s, now) {
					n++
				}
			}
		}
		return n
	}
	require.Equal(t, 2, said("a", "b"))
	now = now.Add(time.Minute)
	require.Equal(t, 1, said("a", "b", "c"))
	now = now.Add(time.Nanosecond)
	require.Equal(t, 2, said("a", "b", "c"))
	now = now.Add(time.Hour)
	for i := range 1000 {
		require.Equal(t, i < maxLately, l.News(strconv.Itoa(i), now))
	}
	require.LessOrEqual(t, len(l.said), maxLately)
	now = now.Add(time.Hour)
	require.True(t, l.News("again", now))
}
