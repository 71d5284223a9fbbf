package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// readAll asks for the output of some ranks, as another machine does, and returns it.
func readAll(t *testing.T, logs *logStore, ranks ...int32) map[int32][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req := &apiv1.ReadLogsRequest{App: "a"}
	for _, rank := range ranks {
		req.From = append(req.From, &apiv1.LogPosition{Rank: rank})
	}
	stream, err := serveLogs(t, logs).ReadLogs(ctx, req)
	require.NoError(t, err)
	got := map[int32][]string{}
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return got
		}
		require.NoError(t, err)
		require.Empty(t, m.Faults)
		for _, x := range m.Lines {
			got[x.Rank] = append(got[x.Rank], string(x.Text))
		}
	}
}

// TestOutputIsReadWhileAWriteHangs: what is stored is read while the disk takes no end with what comes after it, and a line is there when it is
// stored, or lost when it cannot be, and not before.
func TestOutputIsReadWhileAWriteHangs(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 0), line(0, 1)}))
	disk, w, err := os.Pipe()
	require.NoError(t, err)
	defer disk.Close() //nolint:errcheck // a test's
	l.files[0].close()
	l.files[0].file = w // which takes 64 KiB, and then nothing until somebody reads
	more := line(0, 2)
	more.Text = make([]byte, 200<<10)
	before := l.state(0)
	appended := make(chan error, 1)
	go func() { appended <- l.append([]*apiv1.LogLine{line(1, 0), more}) }()
	_, err = disk.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Equal(t, map[int32][]string{0: {"rank 0 line 0", "rank 0 line 1"}, 1: {"rank 1 line 0"}}, readAll(t, s, 0, 1))
	require.EqualValues(t, 2, l.state(0).next)
	n, _ := l.lost(0)
	require.Zero(t, n)
	select {
	case err := <-appended:
		require.NoError(t, err)
		require.FailNow(t, "it hangs no more")
	case <-before.changed:
		require.FailNow(t, "nothing has changed")
	default:
	}
	require.NoError(t, disk.Close())
	require.ErrorIs(t, <-appended, syscall.EPIPE)
	within(t, before.changed, "it is seen that the line is lost")
	n, _ = l.lost(0)
	require.EqualValues(t, 1, n)
	lost := "godwit: 1 lines of rank 0's output are lost here: its host could not store them (broken pipe)"
	require.Equal(t, map[int32][]string{0: {"rank 0 line 0", "rank 0 line 1", lost}}, readAll(t, s, 0))
}

// TestOutputIsReadFromAReadOnlyDisk: all that an earlier life left is read where nothing can be written, up to what is torn or damaged; what is
// torn is cut off when the disk takes writes again, before what comes next.
func TestOutputIsReadFromAReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "size=1m")
	s, err := newLogStore(dir, 1<<40, newLogs(t).log)
	require.NoError(t, err)
	l, err := s.app("a")
	require.NoError(t, err)
	for rank, rest := range map[int32]string{0: "", 1: "\x09x", 2: "\x01\xff\xff"} {
		require.NoError(t, l.append([]*apiv1.LogLine{line(rank, 0), line(rank, 1)}))
		f, err := os.OpenFile(l.path(rank), os.O_WRONLY|os.O_APPEND, 0)
		require.NoError(t, err)
		_, err = f.WriteString(rest)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	for _, r := range l.files { // the worker dies
		r.close()
	}
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	s, err = newLogStore(dir, 1<<40, s.log)
	require.NoError(t, err)
	damage := "godwit: the file of rank 2's output is damaged here: its last 3 bytes are lost"
	want := map[int32][]string{
		0: {"rank 0 line 0", "rank 0 line 1"}, 1: {"rank 1 line 0", "rank 1 line 1"}, 2: {"rank 2 line 0", "rank 2 line 1", damage},
	}
	require.Equal(t, want, readAll(t, s, 0, 1, 2))

	l, err = s.app("a") // it runs here again
	require.NoError(t, err)
	require.Equal(t, want, readAll(t, s, 0, 1, 2))
	require.ErrorIs(t, l.append([]*apiv1.LogLine{line(0, 2), line(1, 2), line(2, 3)}), syscall.EROFS)
	lost := func(rank int32) string {
		return fmt.Sprintf("godwit: 1 lines of rank %d's output are lost here: its host could not store them (read-only file system)", rank)
	}
	want[0], want[1] = append(want[0], lost(0)), append(want[1], lost(1))
	want[2][2] += ", and 1 lines after them: its host could not store them (read-only file system)"
	require.Equal(t, want, readAll(t, s, 0, 1, 2))

	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, ""))
	require.NoError(t, l.append([]*apiv1.LogLine{line(0, 3), line(1, 3), line(2, 4)}))
	want[0], want[1], want[2] = append(want[0], "rank 0 line 3"), append(want[1], "rank 1 line 3"), append(want[2], "rank 2 line 4")
	require.Equal(t, want, readAll(t, s, 0, 1, 2))
	for rank := range int32(3) {
		b, err := os.ReadFile(l.path(rank))
		require.NoError(t, err)
		facts, err := readLog(bytes.NewReader(b), rank)
		require.NoError(t, err)
		require.EqualValues(t, len(b), facts.size)
	}
}

// TestTornOutputIsCutAtTheEnd: also of a rank that writes no more here.
func TestTornOutputIsCutAtTheEnd(t *testing.T) {
	s := newLogs(t)
	l, err := s.app("a")
	require.NoError(t, err)
	whole := records(t, line(0, 0))
	require.NoError(t, os.WriteFile(l.path(0), append(bytes.Clone(whole), 9, 'x'), 0o600))
	s, err = newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	l, err = s.app("a")
	require.NoError(t, err)
	l.close()
	b, err := os.ReadFile(l.path(0))
	require.NoError(t, err)
	require.Equal(t, whole, b)
}

// keenTarget takes a transfer, and keeps the log.
type keenTarget struct {
	dataService
	log *bytes.Buffer
}

func (k keenTarget) Transfer(_ context.Context, stream apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return &apiv1.TransferResponse{}, nil
		} else if err != nil {
			return nil, err
		}
		k.log.Write(m.GetLog())
	}
}

// TestTornOutputStaysBehind: of a file at whose end a write has failed, and could not be cut off, a rank takes the whole lines along.
func TestTornOutputStaysBehind(t *testing.T) {
	target := keenTarget{log: new(bytes.Buffer)}
	b := newBench(t)
	b.rec.Addrs["h2"] = serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, target) })
	require.NoError(t, b.a.output.append([]*apiv1.LogLine{line(0, 0), line(0, 1)}))
	r := b.a.output.files[0]
	whole := r.file
	var err error
	r.file, err = os.Open(r.path) // nobody can write to it, nor cut it
	require.NoError(t, err)
	require.Error(t, b.a.output.append([]*apiv1.LogLine{line(0, 2)}))
	_, err = whole.WriteString("\x09x")
	require.NoError(t, err)
	require.NoError(t, whole.Close())
	b.frozen()
	require.NoError(t, b.a.host.tasks.Wait())
	b.sent()
	facts, err := readLog(target.log, 0)
	require.NoError(t, err)
	require.EqualValues(t, 3, facts.next)
	require.EqualValues(t, 1, facts.lostEver)
}

// TestWhoHasGoneWaitsForNobodysDisk: a reader ends with its caller though somebody else's look at what an earlier life left hangs.
func TestWhoHasGoneWaitsForNobodysDisk(t *testing.T) {
	s := newLogs(t)
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "a"), 0o700))
	path := filepath.Join(s.dir, "a", "0.log")
	require.NoError(t, syscall.Mkfifo(path, 0o600)) // it is not even opened before somebody writes
	s, err := newLogStore(s.dir, 1<<40, s.log)
	require.NoError(t, err)
	reader := func(ctx context.Context, l *appLog) <-chan error {
		end := make(chan error, 1)
		go func() {
			r := &logReader{log: l, turns: newReaders(), mine: make(chan struct{}, 1)}
			_, err := r.read(ctx, false, func(context.Context, []*apiv1.LogLine) error { return nil })
			end <- err
		}()
		return end
	}
	l, err := found(t.Context(), s, "a")
	require.NoError(t, err)
	first := reader(t.Context(), l)
	require.Eventually(t, func() bool { return len(l.leftOver(0).taking) == 1 }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	second := reader(ctx, l)
	cancel()
	require.ErrorIs(t, <-second, context.Canceled)
	require.ErrorIs(t, l.takeUp(ctx, 0, func() {}), context.Canceled)
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, <-first)
	require.Nil(t, l.leftOver(0))

	// So it is while somebody looks which files there are.
	l = newAppLog(l.dir, &s.bytes, true)
	s.apps["a"] = l
	require.NoError(t, l.looking.take(t.Context()))
	found, err := found(t.Context(), s, "a")
	require.NoError(t, err)
	require.Same(t, l, found)
	require.ErrorIs(t, <-reader(ctx, l), context.Canceled)
	require.Nil(t, l.leftOver(0))
	l.looking.release()
	require.NoError(t, l.ready(t.Context()))
	require.NotNil(t, l.leftOver(0))
}

// TestReadersOfAFileThatChanges see each line once and in order, or a notice of it, whatever is written and whichever file takes its place.
func TestReadersOfAFileThatChanges(t *testing.T) {
	const steps = 300
	l, err := newLogs(t).app("a")
	require.NoError(t, err)
	turns := newReaders()
	ends := make(chan error)
	const followers = 3
	for range followers {
		go func() {
			want := uint64(0)
			r := &logReader{log: l, turns: turns, mine: make(chan struct{}, 1)}
			_, err := r.read(t.Context(), true, func(_ context.Context, lines []*apiv1.LogLine) error {
				for _, x := range lines {
					switch {
					case x.Lost > 0 && x.Seq+x.Lost > want: // it may have read some of them
						want = x.Seq + x.Lost
					case x.Lost == 0 && x.Seq == want && bytes.HasPrefix(x.Text, line(0, want).Text):
						want++
					default:
						return fmt.Errorf("line %d comes where line %d belongs: %.50q", x.Seq, want, x.Text)
					}
				}
				return nil
			})
			if err == nil && l.state(0).next != want {
				err = fmt.Errorf("it ends with line %d", want)
			}
			ends <- err
		}()
	}
	tmp := filepath.Join(t.TempDir(), "arrived")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	next := uint64(0)
	for range steps {
		if rng.IntN(10) > 0 || next == 0 {
			require.NoError(t, l.append([]*apiv1.LogLine{long(0, next), long(0, next+1)}))
			next += 2
			continue
		}
		b := records(t, &apiv1.LogLine{Stream: stderrStream, Lost: next - 1}, line(0, next-1)) // all lines stand elsewhere
		facts, err := readLog(bytes.NewReader(b), 0)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(tmp, b, 0o600))
		require.NoError(t, l.replace(0, tmp, facts))
	}
	l.finish(0)
	for range followers {
		require.NoError(t, <-ends)
	}
	info, err := os.Stat(l.path(0))
	require.NoError(t, err)
	require.Equal(t, info.Size(), l.total.own.Load())
}

// takesAll is a target that takes whatever is sent.
type takesAll struct{}

func (takesAll) Send(*apiv1.TransferRequest) error { return nil }

// TestLogGoesWholeOrNotAtAll: a rank whose log is not there as it is known does not leave: its target would have less, and its source then nothing.
func TestLogGoesWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "log")
	require.NoError(t, os.WriteFile(short, []byte("12345"), 0o600))
	still := make(chan struct{})
	close(still)
	send := func(log string, end int64) error {
		return (&logSending{header: &apiv1.TransferHeader{App: "a"}, log: log, still: still, end: end}).parts(t.Context(), takesAll{})
	}
	require.ErrorIs(t, send(short, 6), errOwnFile)
	require.ErrorIs(t, send(filepath.Join(dir, "none"), 1), errOwnFile)
	require.ErrorIs(t, send(dir, 1), errOwnFile, "read(2) refuses it")
	require.NoError(t, send(short, 5))
	require.NoError(t, send(filepath.Join(dir, "none"), 0))
	require.Equal(t, io.ErrClosedPipe, sendFile(short, 0, 5, func([]byte) error { return io.ErrClosedPipe }), "no fault of the file")
}
