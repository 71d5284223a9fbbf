package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/worker/part"
)

// Bounds of what comes with one rank.
const (
	maxLogFile = 256 << 20 // the cap of a rank's output, with what stands around its lines
	syncEach   = 8 << 20   // of a log that comes: the last part is short then

	maxFilesRequest   = files.PieceBytes + 64<<10
	maxTransferHeader = 64 << 10 // nothing larger is read before the rank is expected
)

// Transfer implements the Data service: it stores what comes of a log beside what is here, checks all of it, and gives it to the rank's app,
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
	if err := a.ask(func() error { return a.part.Expects(h) }); err != nil {
		return nil, refusedTransfer(err)
	}
	r, err := s.w.newArrival(h)
	if err != nil {
		return nil, s.unstored(h, err)
	}
	defer r.close()
	for !r.whole {
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
	return &apiv1.TransferResponse{LogBytes: r.size}, nil
}

// unstored is the answer to the source of a rank whose log this host could not store, in words for the migration's reason. What
// is an answer already stays.
func (s dataService) unstored(h *apiv1.TransferHeader, err error) error {
	if apierr.Info(err) != nil {
		return err
	}
	s.w.suspectDisk()
	s.w.log.Error("a log could not be stored", "app", h.App, "rank", h.Rank, "err", err)
	return apierr.New(connect.CodeResourceExhausted, apierr.ReasonRefused, "",
		fmt.Sprintf("host %s could not store the output of rank %d (%s)", s.w.cfg.Name, h.Rank, reasonOf(err)), "")
}

func refusedTransfer(err error) error {
	if errors.Is(err, part.ErrNotYet) {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "", err.Error(), "send it again in a moment")
	}
	return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "", err.Error(), "")
}

// arrival is a rank's log being received.
type arrival struct {
	header *apiv1.TransferHeader
	log    *os.File
	logW   *bufio.Writer
	check  logCheck
	size   int64
	synced int64 // of these are on the disk for sure
	whole  bool  // set at the end
	taken  bool  // by the app, with the file
}

// newArrival makes the file of an arrival. Nobody else's are touched, whatever the header says.
func (w *Worker) newArrival(h *apiv1.TransferHeader) (*arrival, error) {
	dir, err := w.arrivalDir(h.App)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	a := &arrival{header: h, check: logCheck{rank: h.Rank}}
	if a.log, err = os.CreateTemp(dir, "arrived-*.log"); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	a.logW = bufio.NewWriterSize(a.log, 64<<10)
	return a, nil
}

// close releases the file, and removes it if the app has not taken it.
func (a *arrival) close() {
	_ = a.log.Close() // finish has checked what matters
	if !a.taken {
		_ = os.Remove(a.log.Name()) // the app's end removes what is left
	}
}

// add takes the next part. Every record must be a line of this rank, in order.
func (a *arrival) add(m *apiv1.TransferRequest) (err error) {
	switch m := m.Msg.(type) {
	case *apiv1.TransferRequest_Log:
		if a.size += int64(len(m.Log)); a.size > maxLogFile {
			return invalid("log", fmt.Sprintf("the log of rank %d is over %d bytes", a.header.Rank, int64(maxLogFile)), "")
		}
		if err := a.check.add(m.Log); err != nil {
			return a.damaged(err)
		}
		if _, err = a.logW.Write(m.Log); err == nil && a.size-a.synced >= syncEach {
			err, a.synced = errors.Join(a.logW.Flush(), a.log.Sync()), a.size
		}
	case *apiv1.TransferRequest_End:
		if facts := a.check.facts; m.End.GetLogBytes() != a.size || facts.size != a.size {
			return a.damaged(fmt.Errorf("%d of its %d bytes are lines, of %d that were sent", facts.size, a.size, m.End.GetLogBytes()))
		}
		a.whole = true
	default:
		return invalid("", fmt.Sprintf("unexpected message %T in a transfer", m), "")
	}
	if err != nil {
		return fmt.Errorf("worker: store the log of rank %d: %w", a.header.Rank, err)
	}
	return nil
}

func (a *arrival) damaged(err error) error {
	return apierr.New(connect.CodeDataLoss, apierr.ReasonRefused, "log", fmt.Sprintf("the log that came with rank %d is damaged: %v", a.header.Rank, err), "")
}

// finish gives the log to the rank's app. The rank is staged when the executor has its memory and the disk its log, which go on at the same
// time: with the commit that may follow, the source forgets both.
func (a *arrival) finish(to *app) error {
	if err := a.logW.Flush(); err != nil {
		return fmt.Errorf("%s could not store the output of rank %d (%s)", to.host.cfg.Name, a.header.Rank, reasonOf(err))
	}
	var logs string
	err := to.ask(func() error {
		if err := to.logArrived(a); err != nil {
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
	return to.ask(func() error { return to.part.LogKept(a.header) })
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
