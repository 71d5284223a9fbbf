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
	"github.com/godwit-run/godwit/internal/transport"
)

// transferDeadline bounds the sending of one rank; the leader aborts a migration long before.
const transferDeadline = 5 * time.Minute

// transfer is one frozen rank to send.
type transfer struct {
	header *apiv1.TransferHeader
	image  string // path
	digest string
	since  func() float64 // milliseconds since the rank stopped
	log    string         // path
	to     string         // the target host
	addr   string         // of its data port
}

// send streams a rank's log and image to its target; nil means that the target has checked the digest.
func (w *Worker) send(t transfer) error {
	ctx, cancel := context.WithTimeout(context.Background(), transferDeadline)
	defer cancel()
	client := apiv1connect.NewDataClient(transport.NewClient(w.http, t.addr))
	stream, err := client.Transfer(ctx)
	if err != nil {
		return fmt.Errorf("worker: send rank %d to host %s: %w", t.header.Rank, t.to, err)
	}
	err = sendParts(stream, t)
	if _, rerr := stream.CloseAndReceive(); rerr != nil {
		err = rerr // the target's word says more than a broken stream
	}
	if err != nil {
		return fmt.Errorf("worker: send rank %d to host %s: %w", t.header.Rank, t.to, err)
	}
	return nil
}

func sendParts(stream apiv1connect.DataTransferClientStream, t transfer) error {
	if err := stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Header{Header: t.header}}); err != nil {
		return err
	}
	err := sendFile(t.log, func(b []byte) error {
		return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: b}})
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a rank that never wrote has no log
		return err
	}
	err = sendFile(t.image, func(b []byte) error {
		return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Image{Image: b}})
	})
	if err != nil {
		return err
	}
	return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_End{
		End: &apiv1.TransferEnd{Digest: t.digest, SinceMs: t.since()},
	}})
}

func sendFile(path string, send func([]byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	buf := make([]byte, transport.ChunkBytes)
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 {
			if err := send(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Transfer implements the Data service: it stores what comes, checks the digest, and gives the rank to its app.
func (s dataService) Transfer(_ context.Context, stream apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	first, err := stream.Receive()
	if err != nil {
		return nil, err
	}
	h := first.GetHeader()
	if h == nil || filepath.Base(h.App) != h.App || filepath.Base(h.Migration) != h.Migration {
		return nil, apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "header", "the first message of a transfer must be its header", "")
	}
	s.w.mu.Lock()
	a := s.w.apps[h.App]
	s.w.mu.Unlock()
	if a == nil {
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "",
			fmt.Sprintf("host %s does not expect a rank of app %s", s.w.cfg.Name, h.App), "")
	}
	r, err := s.w.newArrival(h)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for r.digest == "" {
		m, err := stream.Receive()
		if err != nil {
			return nil, fmt.Errorf("worker: transfer of rank %d broke off: %w", h.Rank, err)
		}
		if err := r.add(m); err != nil {
			return nil, err
		}
	}
	if err := r.finish(a); err != nil {
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "", err.Error(), "")
	}
	return &apiv1.TransferResponse{ImageBytes: r.size}, nil
}

// arrival is a rank being received.
type arrival struct {
	header     *apiv1.TransferHeader
	image, log *os.File
	imageW     *bufio.Writer
	sum        hash.Hash
	size       int64
	digest     string    // set at the end
	stopped    time.Time // when the rank stopped, on this host's clock
}

func (w *Worker) newArrival(h *apiv1.TransferHeader) (*arrival, error) {
	dir, err := w.imageDir(h.App)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(dir, fmt.Sprintf("%s-%d", h.Migration, h.Rank))
	a := &arrival{header: h, sum: sha256.New()}
	if a.image, err = os.OpenFile(base+".arrived", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("worker: images: %w", err)
	}
	if a.log, err = os.OpenFile(base+".log", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("worker: images: %w", err), a.image.Close())
	}
	a.imageW = bufio.NewWriterSize(a.image, 1<<20)
	return a, nil
}

func (a *arrival) close() {
	_ = a.image.Close() // finish has checked what matters
	_ = a.log.Close()   // finish has checked what matters
}

func (a *arrival) add(m *apiv1.TransferRequest) (err error) {
	switch m := m.Msg.(type) {
	case *apiv1.TransferRequest_Log:
		_, err = a.log.Write(m.Log)
	case *apiv1.TransferRequest_Image:
		a.sum.Write(m.Image)
		a.size += int64(len(m.Image))
		_, err = a.imageW.Write(m.Image)
	case *apiv1.TransferRequest_End:
		a.digest, a.stopped = hex.EncodeToString(a.sum.Sum(nil)), time.Now().Add(-time.Duration(m.End.SinceMs*float64(time.Millisecond)))
		if m.End.Digest != a.digest {
			return apierr.New(connect.CodeDataLoss, apierr.ReasonRefused, "digest",
				fmt.Sprintf("the image of rank %d arrived with digest %.12s, it was sent with %.12s", a.header.Rank, a.digest, m.End.Digest), "")
		}
	default:
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "", fmt.Sprintf("unexpected message %T in a transfer", m), "")
	}
	if err != nil {
		return fmt.Errorf("worker: store the image of rank %d: %w", a.header.Rank, err)
	}
	return nil
}

// finish gives the rank to its app.
func (a *arrival) finish(to *app) error {
	if err := errors.Join(a.imageW.Flush(), a.log.Close()); err != nil {
		return fmt.Errorf("worker: store the image of rank %d: %w", a.header.Rank, err)
	}
	answer := make(chan error, 1)
	to.post(func() {
		if to.output == nil {
			answer <- fmt.Errorf("worker: app %s has no executor here", to.id)
			return
		}
		if err := to.output.replace(a.header.Rank, a.log.Name()); err != nil {
			answer <- err
			return
		}
		answer <- to.arrived(a)
	})
	select {
	case err := <-answer:
		return err
	case <-to.done:
		return fmt.Errorf("worker: app %s is over here", to.id)
	}
}
