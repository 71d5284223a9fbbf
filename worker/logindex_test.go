package worker

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// longLog is a log of n lines of a kilobyte of rank 0, each a millisecond after the one before, from millisecond 1 on.
func longLog(t *testing.T, s *logStore, n uint64) *appLog {
	t.Helper()
	l, err := s.app("a")
	require.NoError(t, err)
	var lines []*apiv1.LogLine
	for seq := range n {
		lines = append(lines, &apiv1.LogLine{Seq: seq, Stream: 1, AtMs: int64(seq) + 1, Text: bytes.Repeat([]byte("x"), 1000)})
		if len(lines) == 100 || seq == n-1 {
			require.NoError(t, l.append(lines))
			lines = nil
		}
	}
	return l
}

// TestLastLinesAreReadAlone: who wants the last lines, or those since a time, does not read what is before, which here nobody could.
func TestLastLinesAreReadAlone(t *testing.T) {
	const n = 5000
	dir := t.TempDir()
	s, err := newLogStore(dir, DefaultConfig().LogBytes, nil)
	require.NoError(t, err)
	written := longLog(t, s, n)
	written.close()
	again, err := newLogStore(dir, DefaultConfig().LogBytes, nil) // a later life of the worker
	require.NoError(t, err)
	taken, err := found(t.Context(), again, "a")
	require.NoError(t, err)
	require.NoError(t, taken.takeUp(t.Context(), 0, func() {}))
	f, err := os.OpenFile(written.path(0), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.Write(bytes.Repeat([]byte{0xff}, n*1000/2))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	read := func(l *appLog, since int64, last uint64) (seqs []uint64, err error) {
		r := &logReader{log: l, since: since, turns: newReaders(), mine: make(chan struct{}, 1)}
		require.NoError(t, r.skip(t.Context(), last))
		_, err = r.read(t.Context(), false, func(_ context.Context, lines []*apiv1.LogLine) error {
			for _, x := range lines {
				seqs = append(seqs, x.Seq)
			}
			return nil
		})
		return seqs, err
	}
	for name, l := range map[string]*appLog{"written": written, "taken up": taken} {
		seqs, err := read(l, 0, 2)
		require.NoError(t, err, name)
		require.Equal(t, []uint64{n - 2, n - 1}, seqs, name)
		seqs, err = read(l, n-2, n)
		require.NoError(t, err, name)
		require.Equal(t, []uint64{n - 3, n - 2, n - 1}, seqs, name)
		_, err = read(l, 0, n)
		require.Error(t, err, "the damage is there")
	}
}

// TestWhoHasGoneIsReadForNoMore: lines that nobody wants are passed over for as long as the reader is there.
func TestWhoHasGoneIsReadForNoMore(t *testing.T) {
	const n = 4 * linesPerMessage
	l := longLog(t, newLogs(t), n)
	f, err := os.Open(l.path(0))
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // read only
	ctx, cancel := context.WithCancel(t.Context())
	r := &logReader{log: l, since: time.Now().UnixMilli(), turns: newReaders(), mine: make(chan struct{}, 1)}
	cancel()
	_, err = r.batch(ctx, bufio.NewReader(f), n)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, r.from, uint64(n/2))
}

// TestIndexIsBounded: however long a file becomes, and a place is never behind a line that is wanted.
func TestIndexIsBounded(t *testing.T) {
	const apart = 10 << 10
	var x logIndex
	for seq := range uint64(50_000) {
		x = x.with(&apiv1.LogLine{Seq: seq, AtMs: int64(seq / 2)}, int64(seq)*apart)
	}
	require.LessOrEqual(t, len(x.marks), mostMarks)
	require.Zero(t, x.before(0, 0))
	for from := uint64(0); from < 50_000; from += 97 {
		at := uint64(x.before(from, 0)) / apart
		require.LessOrEqual(t, at, from)
		require.LessOrEqual(t, from-at, 2*uint64(x.each)/apart+1)
		at = uint64(x.before(0, int64(from/2))) / apart
		require.LessOrEqual(t, at/2, from/2, "the first line of that time is not passed over")
		require.LessOrEqual(t, at, from)
	}
}

// TestIndexWhereAClockWentBack: lines of a time after which the host's clock was set back are not passed over by who wants those since then.
func TestIndexWhereAClockWentBack(t *testing.T) {
	var x logIndex
	for seq := range uint64(100) {
		at := int64(10_000 + seq)
		if seq >= 30 {
			at = int64(seq)
		}
		x = x.with(&apiv1.LogLine{Seq: seq, AtMs: at}, int64(seq)*markEach)
	}
	require.EqualValues(t, 29*markEach, x.before(0, 10_029), "the last line of that time, behind all that are earlier")
	require.EqualValues(t, 99*markEach, x.before(0, 20_000))
}

// indexed says that what is known of where a rank's lines stand is what its file says.
func indexed(t *testing.T, l *appLog) {
	t.Helper()
	b, err := os.ReadFile(l.path(0))
	require.NoError(t, err)
	facts, err := readLog(bytes.NewReader(b), 0)
	require.NoError(t, err)
	require.Equal(t, facts.index, l.files[0].index)
}

// TestIndexIsOfWhatIsStored: lines of a write that failed are in no index.
func TestIndexIsOfWhatIsStored(t *testing.T) {
	s, err := newLogStore(t.TempDir(), DefaultConfig().LogBytes, nil)
	require.NoError(t, err)
	l := longLog(t, s, 200)
	indexed(t, l)
	r := l.files[0]
	r.close()
	r.file, err = os.Open(r.path) // nobody can write to it
	require.NoError(t, err)
	lines := func(from, to uint64) (out []*apiv1.LogLine) {
		for seq := from; seq < to; seq++ {
			out = append(out, &apiv1.LogLine{Seq: seq, Stream: 1, AtMs: int64(seq) + 1, Text: bytes.Repeat([]byte("x"), 1000)})
		}
		return out
	}
	require.Error(t, l.append(lines(200, 400)))
	require.Error(t, l.append(lines(400, 600)))
	indexed(t, l)
	r.close()
	require.NoError(t, l.append(lines(600, 800)))
	indexed(t, l)
	require.Len(t, read(t, l, 0, 600), 200)
}

// TestIndexOfAHealedFile: what stands for the damage is in it.
func TestIndexOfAHealedFile(t *testing.T) {
	dir := t.TempDir()
	s, err := newLogStore(dir, DefaultConfig().LogBytes, nil)
	require.NoError(t, err)
	l := longLog(t, s, 200)
	l.close()
	f, err := os.OpenFile(l.path(0), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.Write(bytes.Repeat([]byte{0xff}, 100))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	again, err := newLogStore(dir, DefaultConfig().LogBytes, nil)
	require.NoError(t, err)
	l, err = again.app("a")
	require.NoError(t, err)
	require.Len(t, read(t, l, 0, 0), 201)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 201)}))
	require.Len(t, read(t, l, 0, 0), 202)
	indexed(t, l)
}

// TestIndexIsOfOneFile: where lines stood in a file says nothing of the one that took its place.
func TestIndexIsOfOneFile(t *testing.T) {
	l := longLog(t, newLogs(t), 200)
	seek := func(life int) (int64, bool) { return l.seek(0, life, 199, 0) }
	before := l.state(0)
	at, ok := seek(before.life)
	require.True(t, ok)
	require.NotZero(t, at)
	r := &logReader{log: l, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
	f, err := r.open(before)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	r.offset, r.from = at, 199
	b, err := os.ReadFile(l.path(0))
	require.NoError(t, err)
	facts, err := readLog(bytes.NewReader(b), 0)
	require.NoError(t, err)
	tmp := filepath.Join(t.TempDir(), "arrived")
	require.NoError(t, os.WriteFile(tmp, b, 0o600))
	require.NoError(t, l.replace(0, tmp, facts))
	_, ok = seek(before.life)
	require.False(t, ok)
	_, err = r.open(before)
	require.ErrorIs(t, err, errOtherFile, "the offset is of a file that is gone")
	after := l.state(0)
	at, ok = seek(after.life)
	require.True(t, ok)
	require.NotZero(t, at)
	f, err = r.open(after)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	require.NoError(t, l.moved(0))
	_, ok = seek(after.life)
	require.False(t, ok)
	at, ok = seek(l.state(0).life)
	require.True(t, ok)
	require.Zero(t, at)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 200)}))
	indexed(t, l)
	require.Equal(t, []string{"rank 0 line 200"}, read(t, l, 0, 200))
	_, err = r.open(after)
	require.ErrorIs(t, err, errOtherFile)
}

// TestReaderOfAFileThatIsReplaced goes on with the lines that it wants, in the file that took the place of the one it has read.
func TestReaderOfAFileThatIsReplaced(t *testing.T) {
	l := longLog(t, newLogs(t), 200)
	turns := newReaders()
	r := &logReader{log: l, rank: 0, turns: turns, mine: make(chan struct{}, 1)}
	all := 0
	_, err := r.read(t.Context(), false, func(_ context.Context, lines []*apiv1.LogLine) error {
		if all += len(lines); all == len(lines) { // the first
			require.NoError(t, l.moved(0))
			require.NoError(t, l.append([]*apiv1.LogLine{line(0, 200), line(0, 201)}))
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 202, all)
}

// TestIndexCostsWhatItHolds: a mark more does not copy those before it.
func TestIndexCostsWhatItHolds(t *testing.T) {
	line := &apiv1.LogLine{}
	allocs := testing.AllocsPerRun(1, func() {
		var x logIndex
		for i := range int64(mostMarks) {
			x = x.with(line, (i+1)*markEach)
		}
	})
	require.Less(t, allocs, mostMarks/8.0)
}
