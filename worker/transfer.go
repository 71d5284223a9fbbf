package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// transferDeadline bounds the sending of one rank; the leader aborts a migration long before.
const transferDeadline = 5 * time.Minute

// sendPause is how long a target is left that has not taken a rank, at first.
const sendPause = 10 * time.Millisecond

// transfer is one frozen rank to send.
type transfer struct {
	header *apiv1.TransferHeader
	image  string // path
	digest string
	since  func() float64 // milliseconds since the rank stopped
	log    string         // path
	logEnd int64          // bytes of the log that go along: what may be behind them is none of it
	notice *apiv1.LogLine // belongs at the end of the log, where it could not be stored; nil: none does
	to     string         // the target host
	addr   string         // of its data port
}

// send streams a rank's log and image to its target; nil means that the target has checked the digest. A target that has not heard yet that
// it gets the rank, or has too much to do, is asked again. It ends with ctx.
func (w *Worker) send(ctx context.Context, t transfer) error {
	ctx, cancel := context.WithTimeout(ctx, transferDeadline)
	defer cancel()
	for pause := sendPause; ; pause = min(2*pause, time.Second) {
		err := w.sendOnce(ctx, t)
		switch apierr.Info(err).GetReason() {
		case apierr.ReasonNotYet, apierr.ReasonOverloaded:
		default:
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (w *Worker) sendOnce(ctx context.Context, t transfer) error {
	client := apiv1connect.NewDataClient(transport.NewClient(w.http, t.addr))
	stream, err := client.Transfer(ctx)
	if err != nil {
		return fmt.Errorf("worker: send rank %d to host %s: %w", t.header.Rank, t.to, err)
	}
	err = sendParts(stream, t)
	if _, rerr := stream.CloseAndReceive(); rerr != nil && !errors.Is(err, errOwnFile) {
		err = rerr // the target's word says more than a broken stream
	}
	if err != nil {
		return fmt.Errorf("worker: send rank %d to host %s: %w", t.header.Rank, t.to, err)
	}
	return nil
}

// transferStream takes the parts of a transfer.
type transferStream interface {
	Send(part *apiv1.TransferRequest) error
}

func sendParts(stream transferStream, t transfer) error {
	if err := stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Header{Header: t.header}}); err != nil {
		return err
	}
	if t.logEnd > 0 { // a rank that never wrote has no log
		sent := int64(0)
		err := sendFile(t.log, t.logEnd, func(b []byte) error {
			sent += int64(len(b))
			return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: b}})
		})
		if err == nil && sent < t.logEnd {
			err = fmt.Errorf("%w: its log has %d bytes, and had %d", errOwnFile, sent, t.logEnd)
		}
		if err != nil {
			return err
		}
	}
	if t.notice != nil {
		var b bytes.Buffer
		if _, err := protodelim.MarshalTo(&b, t.notice); err != nil {
			return err
		}
		if err := stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: b.Bytes()}}); err != nil {
			return err
		}
	}
	err := sendFile(t.image, math.MaxInt64, func(b []byte) error {
		return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Image{Image: b}})
	})
	if err != nil {
		return err
	}
	return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_End{
		End: &apiv1.TransferEnd{Digest: t.digest, SinceMs: t.since()},
	}})
}

// errOwnFile is of what a source cannot read of what it sends.
var errOwnFile = errors.New("a file of the rank cannot be read")

// sendFile sends a file, at most so many bytes of it.
func sendFile(path string, most int64, send func([]byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errOwnFile, err)
	}
	defer f.Close() //nolint:errcheck // read only
	part := io.LimitReader(f, most)
	buf := make([]byte, transport.ChunkBytes)
	for {
		n, err := io.ReadFull(part, buf)
		if n > 0 {
			if err := send(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errOwnFile, err)
		}
	}
}
