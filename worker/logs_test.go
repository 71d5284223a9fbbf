package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func line(rank int32, seq uint64) *apiv1.LogLine {
	return &apiv1.LogLine{Rank: rank, Stream: 1, Seq: seq, Text: fmt.Appendf(nil, "rank %d line %d", rank, seq)}
}

func newLogs(t *testing.T) *logStore {
	t.Helper()
	s, err := newLogStore(t.TempDir(), DefaultConfig().LogBytes, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

// logNames are the names of the logs in dir, in order; nil: there is none.
func logNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	dirs, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, d := range dirs {
		if d.Name() != asideDir {
			names = append(names, d.Name())
		}
	}
	return names
}

// collect reads a rank's log and returns the numbers of its lines.
func collect(t *testing.T, l *appLog, rank int32, from uint64) (seqs []uint64, complete bool) {
	t.Helper()
	r := &logReader{log: l, rank: rank, from: from, turns: newReaders(), mine: make(chan struct{}, 1)}
	done, err := r.read(t.Context(), false, func(_ context.Context, lines []*apiv1.LogLine) error {
		for _, x := range lines {
			require.Equal(t, line(rank, x.Seq).Text, x.Text)
			seqs = append(seqs, x.Seq)
		}
		return nil
	})
	require.NoError(t, err)
	return seqs, done
}

func TestLogsAreReadAsWritten(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(0, 1), line(1, 0), line(0, 2)}))
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 2), line(0, 3)}), "a line that is there already is passed over")
	seqs, done := collect(t, l, 0, 0)
	require.Equal(t, []uint64{0, 1, 2, 3}, seqs)
	require.False(t, done)
	seqs, _ = collect(t, l, 0, 2)
	require.Equal(t, []uint64{2, 3}, seqs)
	l.finish(0)
	_, done = collect(t, l, 0, 4)
	require.True(t, done)
	_, done = collect(t, l, 1, 0)
	require.False(t, done)
	s.close("a")
	_, done = collect(t, l, 1, 0)
	require.True(t, done)
}

// TestLogsFromTheEnd: a reader is given the last lines that are there, or those since a time, and what comes after them.
func TestLogsFromTheEnd(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	var lines []*apiv1.LogLine
	for seq := range uint64(3000) { // more than one message
		x := line(0, seq)
		x.AtMs = int64(seq)
		lines = append(lines, x)
	}
	require.NoError(t, l.append(lines))
	l.finish(0)
	client := serveLogs(t, s)
	read := func(req *apiv1.ReadLogsRequest) (seqs []uint64) {
		t.Helper()
		req.App = "a"
		stream, err := client.ReadLogs(t.Context(), req)
		require.NoError(t, err)
		for {
			m, err := stream.Receive()
			if errors.Is(err, io.EOF) {
				return seqs
			}
			require.NoError(t, err)
			for _, x := range m.Lines {
				seqs = append(seqs, x.Seq)
			}
		}
	}
	from := func(seq uint64) []*apiv1.LogPosition { return []*apiv1.LogPosition{{Rank: 0, Seq: seq}} }
	require.Equal(t, []uint64{2998, 2999}, read(&apiv1.ReadLogsRequest{From: from(0), Tail: proto.Uint64(2)}))
	require.Equal(t, []uint64{2999}, read(&apiv1.ReadLogsRequest{From: from(2999), Tail: proto.Uint64(2)}))
	require.Empty(t, read(&apiv1.ReadLogsRequest{From: from(0), Tail: proto.Uint64(0)}))
	require.Len(t, read(&apiv1.ReadLogsRequest{From: from(0), Tail: proto.Uint64(math.MaxUint64)}), 3000)
	require.Equal(t, []uint64{2997, 2998, 2999}, read(&apiv1.ReadLogsRequest{From: from(0), SinceMs: 2997}))
	require.Equal(t, []uint64{2999}, read(&apiv1.ReadLogsRequest{From: from(0), SinceMs: 2997, Tail: proto.Uint64(1)}))
	require.Empty(t, read(&apiv1.ReadLogsRequest{From: from(0), SinceMs: 3000}))

	// Where they begin is said first, also while there is none.
	stream, err := client.ReadLogs(t.Context(), &apiv1.ReadLogsRequest{App: "a", From: from(0), Tail: proto.Uint64(0)})
	require.NoError(t, err)
	m, err := stream.Receive()
	require.NoError(t, err)
	require.Len(t, m.Begin, 1)
	require.EqualValues(t, 3000, m.Begin[0].Seq)

	require.Eventually(t, func() bool { return l.readers.Load() == 0 }, time.Minute, time.Millisecond, "who has read lets go of it")

	// Of a rank that has moved away another host knows the end.
	require.NoError(t, l.moved(0))
	require.ErrorIs(t, (&logReader{log: l, rank: 0}).skip(t.Context(), 0), errMoved)
}

func TestLogIsFollowed(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	got := make(chan uint64, 100)
	result := make(chan bool, 1)
	go func() {
		r := &logReader{log: l, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
		done, err := r.read(context.Background(), true, func(_ context.Context, lines []*apiv1.LogLine) error {
			for _, x := range lines {
				got <- x.Seq
			}
			return nil
		})
		result <- done && err == nil
	}()
	for seq := range uint64(20) {
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, seq)}))
		require.Equal(t, seq, <-got)
	}
	l.finish(0)
	require.True(t, <-result)
}

// TestLogMovesWithItsRank: the file that comes with a rank takes the place of what the host had, also under a reader.
func TestLogMovesWithItsRank(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(0, 1)}))
	other, err := s.app("b")
	require.NoError(t, err)
	for seq := range uint64(10) {
		require.NoError(t, other.append([]*apiv1.LogLine{line(0, seq)}))
	}
	tmp := filepath.Join(t.TempDir(), "arrived")
	b, err := os.ReadFile(other.path(0))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(tmp, b, 0o600))
	r := &logReader{log: l, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
	var seqs []uint64
	keep := func(_ context.Context, lines []*apiv1.LogLine) error {
		for _, x := range lines {
			seqs = append(seqs, x.Seq)
		}
		return nil
	}
	_, err = r.read(t.Context(), false, keep)
	require.NoError(t, err)
	facts, err := readLog(bytes.NewReader(b), 0)
	require.NoError(t, err)
	require.NoError(t, l.replace(0, tmp, facts))
	_, err = r.read(t.Context(), false, keep)
	require.NoError(t, err)
	require.Equal(t, []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, seqs)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 10)}))
	require.EqualValues(t, 11, l.state(0).next)
}

// TestReaderOfALogThatHasMoved: it is told that the output is elsewhere, not that there is none, and not that this was all.
func TestReaderOfALogThatHasMoved(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
	r := &logReader{log: l, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
	before := l.state(0)
	require.NoError(t, l.moved(0))
	require.True(t, l.state(0).moved)
	require.ErrorIs(t, r.sendUpTo(t.Context(), before, func(context.Context, []*apiv1.LogLine) error { return nil }), errMoved)
}

// TestTornLine: a worker that died in the middle of a line leaves the lines before it.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	s, err := newLogStore(dir, DefaultConfig().LogBytes, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(0, 1)}))
	st, err := os.Stat(l.path(0))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(l.path(0), st.Size()-3))

	again, err := newLogStore(dir, DefaultConfig().LogBytes, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	l, err = found(t.Context(), again, "a")
	require.NoError(t, err)
	seqs, done := collect(t, l, 0, 0)
	require.Equal(t, []uint64{0}, seqs)
	require.True(t, done, "nothing more will come from an earlier life")
	none, err := found(t.Context(), again, "never-seen")
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestOldLogsAreForgotten(t *testing.T) {
	s := newLogs(t)
	s.atLeast = -1
	for i := range maxLogs + 5 {
		id := fmt.Sprintf("app-%04d", i)
		_, err := s.app(id)
		require.NoError(t, err)
		if i > 0 {
			s.close(id)
		}
		old := time.Unix(int64(i), 0)
		require.NoError(t, os.Chtimes(filepath.Join(s.dir, id), old, old))
	}
	names := logNames(t, s.dir)
	require.LessOrEqual(t, len(names), maxLogs+1)
	require.Equal(t, "app-0000", names[0], "an app that still writes is kept")
	require.NotEqual(t, "app-0001", names[1])
}

// TestLogsThatAreWanted: however much is there, a log stays while it is read and for a moment after its app's end, and what runs takes
// no more than half of the room from what has ended; but there is a bound to that.
func TestLogsThatAreWanted(t *testing.T) {
	s := newLogs(t)
	s.limit, s.atLeast = 100_000, time.Hour
	write := func(id string, lines int) *appLog {
		l, err := s.app(id)
		require.NoError(t, err)
		for seq := range lines {
			require.NoError(t, l.append([]*apiv1.LogLine{long(0, uint64(seq))}))
		}
		return l
	}
	there := func(want ...string) {
		t.Helper()
		s.prune(func() {})
		require.Equal(t, want, logNames(t, s.dir))
	}
	write("running", 20)
	read := write("read", 3)
	write("young", 3)
	read.readers.Add(1)
	s.close("read")
	s.close("young")
	there("read", "running", "young") // all too much, and none of it old
	s.atLeast = -1
	there("read", "running")
	read.readers.Add(-1)
	there("read", "running") // it takes less than half
	next := write("next", 4)
	next.readers.Add(1)
	s.close("next")
	there("next", "running")

	write("fresh", 6)
	s.atLeast = time.Hour
	s.close("fresh")
	there("fresh", "next", "running")
	s.atLeast = -1
	there("next", "running")

	// Whoever reads what must go is told so, and not that it was all.
	s.mu.Lock()
	s.past += leastSlack + s.limit
	s.mu.Unlock()
	r := &logReader{log: next, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
	there("running")
	_, err := r.read(t.Context(), false, func(context.Context, []*apiv1.LogLine) error { return nil })
	require.ErrorIs(t, err, errForgotten)
}

// The bytes of all logs are bounded: the apps that ended longest ago go first, those that run are kept, also over a restart.
func TestLogBytesAreBounded(t *testing.T) {
	dir := t.TempDir()
	const limit = 60_000
	log := slog.New(slog.DiscardHandler)
	s, err := newLogStore(dir, limit, log)
	require.NoError(t, err)
	s.atLeast = -1
	running, err := s.app("running")
	require.NoError(t, err)
	require.NoError(t, running.append([]*apiv1.LogLine{long(0, 0)}))
	for i := range 6 {
		l, err := s.app(fmt.Sprintf("ended-%d", i))
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{long(0, 0)}))
		s.close(fmt.Sprintf("ended-%d", i))
	}
	kept := func() []string { return logNames(t, dir) }
	require.Equal(t, []string{"ended-3", "ended-4", "ended-5", "running"}, kept())
	require.LessOrEqual(t, s.bytes.Load(), int64(limit))
	counts := func() (n int64) { // what ended takes on the disk, and the text of the other
		for _, id := range kept() {
			if id == "running" {
				n += running.size()
			} else {
				n += usageOf(filepath.Join(dir, id)).bytes
			}
		}
		return n
	}
	require.Equal(t, counts(), s.bytes.Load())
	require.NoError(t, running.append([]*apiv1.LogLine{long(0, 1)}))
	s.trim()
	require.Equal(t, []string{"ended-4", "ended-5", "running"}, kept())
	require.NoError(t, running.moved(0))
	require.Equal(t, counts(), s.bytes.Load(), "a rank that has moved leaves nothing")

	for i, id := range []string{"ended-4", "ended-5"} {
		wrote := time.Now().Add(time.Duration(i-10) * keptAtLeast)
		require.NoError(t, os.Chtimes(filepath.Join(dir, id, "0.log"), wrote, wrote))
	}
	s, err = newLogStore(dir, 25_000, log)
	require.NoError(t, err)
	require.NotContains(t, kept(), "ended-4")
	require.Contains(t, kept(), "ended-5")
	require.Equal(t, s.past, s.bytes.Load())
	back, err := s.app("ended-5") // it runs here again
	require.NoError(t, err)
	require.Equal(t, back.size(), s.bytes.Load()-s.past)
	require.NoError(t, back.append([]*apiv1.LogLine{long(0, 1)}))
	require.Equal(t, back.size(), s.bytes.Load()-s.past)
	s.close("ended-5")
	require.Equal(t, s.past, s.bytes.Load())
	s.close("ended-5")
	require.Equal(t, s.past, s.bytes.Load(), "once")
}

// A file that is damaged in its middle is read up to there, and says so.
func TestDamagedLog(t *testing.T) {
	dir := t.TempDir()
	s, err := newLogStore(dir, 1<<40, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(0, 1)}))
	st, err := os.Stat(l.path(0))
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 2), line(0, 3), line(0, 4)}))
	b, err := os.ReadFile(l.path(0))
	require.NoError(t, err)
	for i := range 9 {
		b[int(st.Size())+1+i] = 0xff
	}
	require.NoError(t, os.WriteFile(l.path(0), b, 0o600))
	for range 2 { // it is healed once and for all
		s, err = newLogStore(dir, 1<<40, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		l, err = found(t.Context(), s, "a")
		require.NoError(t, err)
		lines := read(t, l, 0, 0)
		require.Len(t, lines, 3)
		require.Equal(t, []string{"rank 0 line 0", "rank 0 line 1"}, lines[:2])
		require.Regexp(t, `^godwit: the file of rank 0's output is damaged here: its last \d+ bytes are lost$`, lines[2])
	}
}

// TestWhatIsLeftIsReadWhenItIsWanted: the files that an earlier life of the worker left are read one by one, each by who wants it and
// once. An app that runs here again has all of them read first.
func TestWhatIsLeftIsReadWhenItIsWanted(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	for rank := range int32(3) {
		for seq := range uint64(20) {
			require.NoError(t, l.append([]*apiv1.LogLine{long(rank, seq)}))
		}
	}
	l.close()
	again, err := newLogStore(s.dir, DefaultConfig().LogBytes, s.log)
	require.NoError(t, err)
	l, err = found(t.Context(), again, "a")
	require.NoError(t, err)
	tail, got := uint64(2), 0
	r := &logReader{log: l, rank: 1, turns: newReaders(), mine: make(chan struct{}, 1)}
	done, err := r.answer(t.Context(), &apiv1.ReadLogsRequest{Tail: &tail}, func(_ context.Context, m *apiv1.ReadLogsResponse) error {
		got += len(m.Lines)
		return nil
	})
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, 2, got)
	require.Nil(t, l.leftOver(1))
	require.NotNil(t, l.leftOver(0))
	moves := 0
	require.NoError(t, l.takeUp(t.Context(), 0, func() { moves++ }))
	require.Greater(t, moves, 3, "200 kB")
	require.NoError(t, l.takeUp(t.Context(), 0, func() { moves = 0 }))
	require.NotZero(t, moves, "once")
	l, err = again.app("a")
	require.NoError(t, err)
	require.Nil(t, l.leftOver(0))
	require.EqualValues(t, 20, l.state(2).next)
}

// TestUnreadableIsNotDamaged: what a disk does not give is not taken for the end of a file.
func TestUnreadableIsNotDamaged(t *testing.T) {
	var record bytes.Buffer
	_, err := protodelim.MarshalTo(&record, line(0, 0))
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		rest io.Reader
		err  error
	}{
		"torn":       {strings.NewReader("\x09x"), nil},
		"unreadable": {iotest.ErrReader(syscall.EIO), syscall.EIO},
	} {
		w := &watchedFile{f: io.MultiReader(bytes.NewReader(record.Bytes()), tc.rest), moves: func() {}}
		_, err := readLog(w, -1)
		require.Error(t, err, name)
		require.Equal(t, tc.err, w.err, name)
	}
}

// TestWaitForATurnIsTold: who waits for its turn to read hears that it does while others have theirs, not while all stand still, and has the
// lines when its turn comes.
func TestWaitForATurnIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := newLogs(t).app("a")
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
		turns := newReaders()
		_, place, err := turns.reading.Enter(t.Context())
		require.NoError(t, err)
		for range maxReading - 1 {
			_, other, err := turns.reading.Enter(t.Context())
			require.NoError(t, err)
			defer other.Leave()
		}
		var told, got int
		ended := make(chan error)
		go func() {
			r := &logReader{log: l, turns: turns, mine: make(chan struct{}, 1)}
			_, err := r.read(t.Context(), false, func(_ context.Context, lines []*apiv1.LogLine) error {
				if got += len(lines); len(lines) == 0 {
					told++
				}
				return nil
			})
			ended <- err
		}()
		time.Sleep(turnWindow / 2)
		synctest.Wait()
		require.Zero(t, told)
		turns.moves.Add(1)
		time.Sleep(2 * waitSign)
		synctest.Wait()
		require.Equal(t, 1, told)
		place.Leave()
		require.NoError(t, <-ended)
		require.Equal(t, 1, got)
	})
}

// TestStuckLogsAreNotTriedForEver: where all that is too much cannot be removed, what prunes goes on with other work.
func TestStuckLogsAreNotTriedForEver(t *testing.T) {
	s := newLogs(t)
	for _, id := range []string{"a", "b"} {
		l, err := s.app(id)
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
		s.close(id)
	}
	tries := 0
	s.remove = func(string) error { tries++; return errors.New("busy") }
	s.limit, s.atLeast = 0, -1
	s.mu.Lock()
	s.past += 2 * mostSlack // beyond all bounds
	s.mu.Unlock()
	for range 3 {
		s.prune(func() {})
		s.noWay = time.Time{} // another may have more luck
	}
	require.Equal(t, 2, tries)
}

// TestTooManyRanksAtOnce: who wants more than it can ever have hears so, and not that it should try again.
func TestTooManyRanksAtOnce(t *testing.T) {
	d := newReaders()
	from := netip.MustParseAddr("10.0.0.1")
	leave, err := d.enter(from, maxReaders/2)
	require.NoError(t, err)
	_, err = d.enter(from, 1)
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
	leave()
	_, err = d.enter(from, maxReaders/2+1)
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	leave, err = d.enter(from, maxReaders/2)
	require.NoError(t, err, "all were given back")
	leave()
}

// TestMovedWhileItIsFollowed: who follows a rank that moves hears that more is elsewhere, and not that this was all, also where it has read all of it.
func TestMovedWhileItIsFollowed(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
	r := &logReader{log: l, rank: 0, turns: newReaders(), mine: make(chan struct{}, 1)}
	got, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := r.read(t.Context(), true, func(context.Context, []*apiv1.LogLine) error { close(got); return nil })
		ended <- err
	}()
	<-got
	require.NoError(t, l.moved(0))
	require.ErrorIs(t, <-ended, errMoved)
	_, err = (&logReader{log: l, rank: 0, from: 1, turns: newReaders(), mine: make(chan struct{}, 1)}).answer(t.Context(), &apiv1.ReadLogsRequest{}, nil)
	require.ErrorIs(t, err, errMoved)
}

// TestReadErrorIsNoDamage: a file that cannot be read now may be whole: nothing of it is called lost, and nothing is cut off.
func TestReadErrorIsNoDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	require.NoError(t, os.Mkdir(path, 0o700)) // which read(2) refuses, with an error of its own
	r := newRankLog(0, path)
	require.ErrorIs(t, r.takeUp(func() {}), errUnreadable)
	require.False(t, r.torn)
	require.Zero(t, r.lost)
}

// TestYoungOutputOverARestart: what was written a moment ago stays its minute in the next life of the worker too.
func TestYoungOutputOverARestart(t *testing.T) {
	s := newLogs(t)
	for id, ago := range map[string]time.Duration{"old": 2 * keptAtLeast, "young": 0, "future": -time.Hour} {
		l, err := s.app(id)
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
		wrote := time.Now().Add(-ago)
		require.NoError(t, os.Chtimes(l.path(0), wrote, wrote))
	}
	again, err := newLogStore(s.dir, 0, s.log)
	require.NoError(t, err)
	var left []string
	for _, e := range again.ended {
		left = append(left, e.id)
		require.False(t, e.at.After(time.Now()))
	}
	require.ElementsMatch(t, []string{"young", "future"}, left)
}

// TestTheOldestIsWhoWroteFirst: after a restart the logs of apps that wrote last are the youngest, whenever they began.
func TestTheOldestIsWhoWroteFirst(t *testing.T) {
	s := newLogs(t)
	for i, id := range []string{"long", "short"} {
		l, err := s.app(id)
		require.NoError(t, err)
		require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0)}))
		began, wrote := time.Unix(int64(1000+i), 0), time.Unix(int64(3000-i), 0)
		require.NoError(t, os.Chtimes(l.path(0), wrote, wrote))
		require.NoError(t, os.Chtimes(l.dir, began, began))
	}
	again, err := newLogStore(s.dir, DefaultConfig().LogBytes, s.log)
	require.NoError(t, err)
	require.Equal(t, "short", again.ended[0].id)
}

// TestWhatIsSpared: the oldest logs go that are enough, and none that is not needed for it, is read, or is of now.
func TestWhatIsSpared(t *testing.T) {
	s := newLogs(t)
	for id, lines := range map[string]int{"a": 1, "b": 2000, "c": 1, "d": 1000, "e-now": 3000} {
		l, err := s.app(id)
		require.NoError(t, err)
		for seq := range uint64(lines) {
			require.NoError(t, l.append([]*apiv1.LogLine{line(0, seq)}))
		}
	}
	ago := time.Now().Add(-2 * keptAtLeast)
	for i, id := range []string{"a", "b", "c", "d", "e-now"} {
		s.close(id)
		s.ended[i].at = ago
	}
	s.ended[4].at = time.Now()
	size := map[string]int64{}
	for _, e := range s.ended {
		size[e.id] = e.bytes
	}
	require.EqualValues(t, 2*blockBytes, size["a"], "a directory and a file of a few bytes")
	for _, tc := range []struct {
		bytes, files int64
		want         []string
	}{
		{1, 0, []string{"a"}},
		{size["b"], 0, []string{"b"}},
		{size["b"] + 1, 0, []string{"a", "b"}},
		{size["b"] + size["d"], 0, []string{"b", "d"}},
		{size["a"] + size["b"] + size["c"] + size["d"], 0, []string{"a", "b", "c", "d"}},
		{size["a"] + size["b"] + size["c"] + size["d"] + 1, 0, nil},
		{0, 1, []string{"a"}},
		{0, 3, []string{"a", "b"}},
		{size["b"], 3, []string{"a", "b"}},
		{size["a"] + 1, 0, []string{"b"}},
		{1, 8, []string{"a", "b", "c", "d"}},
		{1, 9, nil},
		{-1, 0, nil},
	} {
		require.Equal(t, tc.want, s.spare(usage{tc.bytes, tc.files}), "%d bytes, %d files", tc.bytes, tc.files)
	}
	l, err := found(t.Context(), s, "b")
	require.NoError(t, err)
	l.readers.Add(1)
	require.Equal(t, []string{"d"}, s.spare(usage{bytes: size["a"] + size["c"] + 1}))
	_, ok := s.sacrifice("b")
	require.False(t, ok, "somebody reads it by now")
	gave, ok := s.sacrifice("d")
	require.True(t, ok)
	require.Equal(t, usage{size["d"], 2}, gave)
}

// TestLinesLostWithAProcess: lines that a process of the worker could not store, and did not tell of before it ended, are told of by the next.
func TestLinesLostWithAProcess(t *testing.T) {
	dir := t.TempDir()
	open := func() *appLog {
		s, err := newLogStore(dir, DefaultConfig().LogBytes, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		l, err := s.app("a")
		require.NoError(t, err)
		return l
	}
	l := open()
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(0, 1)}))
	l = open()
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 1), line(0, 5), line(0, 6)}))
	n, _ := l.lost(0)
	require.EqualValues(t, 3, n)
	l = open()
	n, _ = l.lost(0)
	require.EqualValues(t, 3, n)
	require.EqualValues(t, 7, l.state(0).next)
}
