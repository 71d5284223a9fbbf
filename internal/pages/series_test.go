package pages

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// seriesFile is one of a series of files that make up a memory: rounds, and the mark of its pages.
type seriesFile struct {
	mark   uint32
	rounds []byte
}

// restored is the memory that files make up, as large as it has become.
func restored(t *testing.T, files []seriesFile, most int) (*Receiver, []byte) {
	t.Helper()
	whole := mapped(t, most)
	var there []byte
	r := NewReceiver(func() []byte { return there }, func(n int) error { there = whole[:n*Bytes]; return nil })
	for _, f := range files {
		for from := bytes.NewReader(f.rounds); from.Len() > 0; {
			_, err := r.Round(from)
			require.NoError(t, err)
		}
	}
	return r, there
}

// torn fails after some bytes.
type torn struct{ left int }

var errTorn = errors.New("torn")

func (w *torn) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errTorn
	}
	return len(b), nil
}

// write writes some rounds of a file, and the last while nobody writes.
func writeFile(t *testing.T, r *rand.Rand, s *Sender, memory []byte, mark, from uint32) (seriesFile, error) {
	t.Helper()
	var b bytes.Buffer
	rounds := 1 + r.IntN(3)
	tears := r.IntN(2*rounds) - rounds // below 0: not at all
	for i := range rounds {
		last := i == rounds-1
		if i == tears {
			if _, err := s.Round([]io.Writer{&torn{r.IntN(200_000)}}, last, last); err != nil {
				return seriesFile{}, err
			}
			return seriesFile{}, errTorn // it went nowhere
		}
		_, err := s.Round([]io.Writer{&b}, last, last)
		require.NoError(t, err)
		if i == 0 && from > 0 && !last {
			s.Again(from, mark)
		}
		if !last {
			scribble(r, memory, r.IntN(20))
		}
	}
	return seriesFile{mark, b.Bytes()}, nil
}

// A series of files makes up the memory as it was when the last of them was written, whichever of them have been replaced by later ones, or were lost, and whoever tells of writes.
func TestSeriesOfFiles(t *testing.T) {
	for name, watch := range watches(t) {
		t.Run(name, func(t *testing.T) {
			r := rnd(t)
			mapping := mapped(t, 4<<20)
			size := 1 << 20
			w := watch(mapping)
			t.Cleanup(w.Close)
			s := NewSender(func() []byte { return mapping[:size] }, w)
			var files []seriesFile
			for mark := uint32(1); mark < 60; mark++ {
				scribble(r, mapping[:size], r.IntN(60))
				newest := uint32(0)
				if len(files) > 0 {
					newest = files[len(files)-1].mark
				}
				s.Again(newest+1, mark)
				s.Mark(mark)
				stay, from := len(files), uint32(0)
				if r.IntN(3) == 0 && len(files) > 0 {
					stay = r.IntN(len(files))
					from = files[stay].mark
					s.Again(from, mark)
				}
				f, err := writeFile(t, r, s, mapping[:size], mark, from)
				if err != nil {
					continue
				}
				now := append(files[:stay:stay], f)
				receiver, there := restored(t, now, len(mapping))
				require.True(t, bytes.Equal(mapping[:size], there))
				require.Equal(t, hashOf(s), hashOf(receiver))
				if r.IntN(4) > 0 {
					files = now
				}
				size = min(size+r.IntN(3)*64<<10, len(mapping))
			}
		})
	}
}

// A file costs what was written since the one before, and what is asked for again; what is told to be zero costs no content.
func TestSeriesCostsWhatChanged(t *testing.T) {
	for name, watch := range watches(t) {
		t.Run(name, func(t *testing.T) {
			memory := mapped(t, 8<<20)
			for i := range memory {
				memory[i] = byte(i>>12) | 1
			}
			w := watch(memory)
			t.Cleanup(w.Close)
			s := NewSender(func() []byte { return memory }, w)
			round := func() Stats {
				stats, err := s.Round([]io.Writer{io.Discard}, true, true)
				require.NoError(t, err)
				return stats
			}
			s.Mark(1)
			require.Equal(t, 8<<20/Bytes, round().Marked)
			s.Mark(2)
			require.Zero(t, s.Sent())
			require.Zero(t, round().Marked)
			memory[1<<20] = 7
			clear(memory[2<<20 : 3<<20])
			stats := round()
			one := max(Bytes, os.Getpagesize())
			require.Equal(t, (1<<20+one)/Bytes, stats.Marked)
			require.EqualValues(t, one, stats.Memory)
			require.EqualValues(t, one, s.Sent())
			s.Mark(3)
			s.Again(2, 3)
			stats = round()
			require.Equal(t, (1<<20+one)/Bytes, stats.Marked)
			require.Less(t, stats.Wire, int64(2*one))
			require.Zero(t, round().Marked)
			// Who marks allocates nothing more than who does not.
			require.Zero(t, testing.AllocsPerRun(5, func() { s.Again(1, 1) }))
		})
	}
}

func hashOf(h interface{ HashInto(hash.Hash) }) []byte {
	sum := sha256.New()
	h.HashInto(sum)
	return sum.Sum(nil)
}
