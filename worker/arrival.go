package worker

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
)

// Bounds of what comes with one rank.
const (
	maxLogFile    = 256 << 20 // the cap of a rank's output, with what stands around its lines
	maxImageExtra = 4 << 30   // the MPI part of an image
	pageBytes     = 64 << 10  // of a guest's memory

	maxFilesRequest   = files.PieceBytes + 64<<10
	maxTransferHeader = 64 << 10 // nothing larger is read before the rank is expected
)

// Transfer implements the Data service: it stores what comes beside what is here, checks all of it, and gives it to the rank's app,
// which takes it whole or not at all.
func (s dataService) Transfer(ctx context.Context, stream apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	first, err := stream.Receive()
	transport.Yield(ctx) // what follows is the app's, and the disk's
	if err != nil {
		return nil, err
	}
	h := first.GetHeader()
	if h == nil {
		return nil, invalid("header", "the first message of a transfer must be its header", "")
	}
	if err := errors.Join(checkID("app", h.App), checkID("migration", h.Migration), checkRank(h.Rank)); err != nil {
		return nil, invalid("header", err.Error(), "")
	}
	s.w.mu.Lock()
	a := s.w.apps[h.App]
	s.w.mu.Unlock()
	if a == nil {
		return nil, refusedTransfer(fmt.Errorf("host %s does not expect a rank of app %s", s.w.hostName(), h.App))
	}
	if err := a.ask(func() error { return a.expects(h) }); err != nil {
		return nil, refusedTransfer(err)
	}
	r, err := s.w.newArrival(h)
	if err != nil {
		return nil, s.unstored(h, err)
	}
	defer r.close()
	for r.digest == "" {
		m, err := stream.Receive()
		if err != nil {
			return nil, fmt.Errorf("worker: transfer of rank %d broke off: %w", h.Rank, err)
		}
		if err := r.add(m); err != nil {
			return nil, s.unstored(h, err)
		}
	}
	if err := r.finish(a); err != nil {
		return nil, refusedTransfer(err)
	}
	return &apiv1.TransferResponse{ImageBytes: r.size}, nil
}

// unstored is the answer to the source of a rank whose image this host could not store, in words for the migration's reason. What
// is an answer already stays.
func (s dataService) unstored(h *apiv1.TransferHeader, err error) error {
	if apierr.Info(err) != nil {
		return err
	}
	s.w.suspectDisk()
	s.w.log.Error("an image could not be stored", "app", h.App, "rank", h.Rank, "err", err)
	return apierr.New(connect.CodeResourceExhausted, apierr.ReasonRefused, "",
		fmt.Sprintf("host %s could not store the image of rank %d (%s)", s.w.cfg.Name, h.Rank, reasonOf(err)), "")
}

func refusedTransfer(err error) error {
	if errors.Is(err, errNotYet) {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "", err.Error(), "send it again in a moment")
	}
	return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "", err.Error(), "")
}

// arrival is a rank being received.
type arrival struct {
	header     *apiv1.TransferHeader
	image, log *os.File
	imageW     *bufio.Writer
	logW       *bufio.Writer
	sum        hash.Hash
	size       int64
	maxSize    int64
	logSize    int64
	facts      logFacts
	digest     string    // set at the end
	stopped    time.Time // when the rank stopped, on this host's clock
	taken      bool      // by the app, with the files
}

// arrivals is where what has come for an app is, beside its migrations: the executor removes an image when it has it.
const arrivals = "arrivals"

// newArrival makes the files of an arrival. Nobody else's are touched, whatever the header says.
func (w *Worker) newArrival(h *apiv1.TransferHeader) (*arrival, error) {
	dir, err := w.imageDir(h.App, arrivals)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: images: %w", err)
	}
	a := &arrival{header: h, sum: sha256.New(), maxSize: int64(w.cfg.MemoryLimitPages)*pageBytes + maxImageExtra}
	if a.image, err = os.CreateTemp(dir, "arrived-*.image"); err != nil {
		return nil, fmt.Errorf("worker: images: %w", err)
	}
	if a.log, err = os.CreateTemp(dir, "arrived-*.log"); err != nil {
		a.log = a.image // close removes it
		a.close()
		return nil, fmt.Errorf("worker: images: %w", err)
	}
	a.imageW, a.logW = bufio.NewWriterSize(a.image, 1<<20), bufio.NewWriterSize(a.log, 64<<10)
	return a, nil
}

// close releases the files, and removes them if the app has not taken them.
func (a *arrival) close() {
	for _, f := range []*os.File{a.image, a.log} {
		_ = f.Close() // finish has checked what matters
		if !a.taken {
			_ = os.Remove(f.Name()) // the app's end removes what is left
		}
	}
}

func (a *arrival) add(m *apiv1.TransferRequest) (err error) {
	switch m := m.Msg.(type) {
	case *apiv1.TransferRequest_Log:
		if a.logSize += int64(len(m.Log)); a.logSize > maxLogFile {
			return invalid("log", fmt.Sprintf("the log of rank %d is over %d bytes", a.header.Rank, int64(maxLogFile)), "")
		}
		_, err = a.logW.Write(m.Log)
	case *apiv1.TransferRequest_Image:
		if a.size += int64(len(m.Image)); a.size > a.maxSize {
			return invalid("image", fmt.Sprintf("the image of rank %d is over %d bytes", a.header.Rank, a.maxSize), "")
		}
		a.sum.Write(m.Image)
		_, err = a.imageW.Write(m.Image)
	case *apiv1.TransferRequest_End:
		a.digest, a.stopped = hex.EncodeToString(a.sum.Sum(nil)), before(time.Now(), m.End.GetSinceMs())
		if m.End.GetDigest() != a.digest {
			return apierr.New(connect.CodeDataLoss, apierr.ReasonRefused, "digest",
				fmt.Sprintf("the image of rank %d arrived with digest %.12s, it was sent with %.12s", a.header.Rank, a.digest, m.End.GetDigest()), "")
		}
	default:
		return invalid("", fmt.Sprintf("unexpected message %T in a transfer", m), "")
	}
	if err != nil {
		return fmt.Errorf("worker: store the image of rank %d: %w", a.header.Rank, err)
	}
	return nil
}

// before is the time so many milliseconds before t, as another host says; nonsense counts as none.
func before(t time.Time, ms float64) time.Time {
	const most = float64(24 * time.Hour / time.Millisecond)
	if !(ms >= 0 && ms <= most) { // not a number is neither
		ms = 0
	}
	return t.Add(-time.Duration(ms * float64(time.Millisecond)))
}

// finish gives the rank to its app. The rank is staged when the executor has its memory and the disk its log, which go on at the same
// time: with the commit that may follow, the source forgets both.
func (a *arrival) finish(to *app) error {
	if err := errors.Join(a.imageW.Flush(), a.logW.Flush()); err != nil {
		return fmt.Errorf("%s could not store the image of rank %d (%s)", to.host.cfg.Name, a.header.Rank, reasonOf(err))
	}
	if err := a.checkLog(); err != nil {
		return err
	}
	var logs string
	err := to.ask(func() error {
		if err := to.arrived(a); err != nil {
			return err
		}
		a.taken, logs = true, to.output.dir
		return nil
	})
	if err != nil {
		return err
	}
	if err := errors.Join(a.log.Sync(), durable.SyncDir(logs), durable.SyncDir(filepath.Dir(logs))); err != nil {
		return fmt.Errorf("%s could not store the output of rank %d (%s)", to.host.cfg.Name, a.header.Rank, reasonOf(err))
	}
	return to.ask(func() error { return to.logKept(a.header) })
}

// checkLog reads the log that came: every record must be a line of this rank, in order.
func (a *arrival) checkLog() (err error) {
	if _, err := a.log.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("worker: store the log of rank %d: %w", a.header.Rank, err)
	}
	if a.facts, err = readLog(a.log, a.header.Rank); err != nil {
		return fmt.Errorf("worker: the log that came with rank %d is damaged: %w", a.header.Rank, err)
	}
	if a.facts.size != a.logSize {
		return fmt.Errorf("worker: the log that came with rank %d is damaged: %d of its %d bytes are lines", a.header.Rank, a.facts.size, a.logSize)
	}
	return nil
}

// ask runs f on the app's goroutine and returns what it says.
func (a *app) ask(f func() error) error {
	answer := make(chan error, 1)
	a.post(func() { answer <- f() })
	select {
	case err := <-answer:
		return err
	case <-a.done:
		select {
		case err := <-answer: // the last thing it did
			return err
		default:
			return fmt.Errorf("worker: app %s is over here", a.id)
		}
	}
}
