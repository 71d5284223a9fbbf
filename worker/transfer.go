package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// sendPause is how long a target is left that has not taken a log, at first.
	sendPause = 10 * time.Millisecond
	// moreEvery is how often it is looked what a rank has printed meanwhile, and the target hears from its source.
	moreEvery = time.Second
	// mostTorn is after how many streams the next counts as progress only if it sends more than any before.
	mostTorn = 10
)

// logSending is the log of a rank that is about to leave: what there is of it goes ahead, and the rest when the rank stands still.
type logSending struct {
	header *apiv1.TransferHeader
	log    string       // path
	size   func() int64 // bytes of it that are whole lines, and will be no other
	to     string       // the target host
	addr   string       // of its data port
	ahead  func()       // called once all that there was has been sent, and again
	more   func()       // called now and then while that lasts
	sent   atomic.Int64 // bytes, of the stream under way, and before
	before int64        // bytes of streams that have broken, of so many
	torn   int

	still  chan struct{}  // closed when the following are set: the rank prints nothing more here
	end    int64          // bytes of the log that go along
	notice *apiv1.LogLine // belongs at the end of the log, where it could not be stored; nil: none does
}

// send streams a log to its target; nil means that the target has it on its disk. What breaks off, and what a target does not take yet, is sent again: it ends with ctx, which ends with the migration.
func (w *Worker) send(ctx context.Context, t *logSending) error {
	for pause := sendPause; ; pause = min(2*pause, time.Second) {
		err := w.sendOnce(ctx, t)
		if n := t.sent.Load() - t.before; n > 0 && t.torn < mostTorn {
			t.torn++
			t.before += n
		}
		if err == nil || errors.Is(err, errOwnFile) || apierr.Info(err).GetReason() == apierr.ReasonRefused {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (w *Worker) sendOnce(ctx context.Context, t *logSending) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := apiv1connect.NewDataClient(transport.NewClient(w.http, t.addr))
	stream, err := client.Transfer(ctx)
	if err != nil {
		return fmt.Errorf("worker: send the log of rank %d to host %s: %w", t.header.Rank, t.to, err)
	}
	err = t.parts(ctx, stream)
	if _, rerr := stream.CloseAndReceive(); rerr != nil && !errors.Is(err, errOwnFile) {
		err = rerr // the target's word says more than a broken stream
	}
	if err != nil {
		return fmt.Errorf("worker: send the log of rank %d to host %s: %w", t.header.Rank, t.to, err)
	}
	return nil
}

// transferStream takes the parts of a transfer.
type transferStream interface {
	Send(part *apiv1.TransferRequest) error
}

// parts sends what there is, then what comes, until the rank stands still and all is sent.
func (t *logSending) parts(ctx context.Context, stream transferStream) error {
	if err := stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Header{Header: t.header}}); err != nil {
		return err
	}
	more := time.NewTicker(moreEvery)
	defer more.Stop()
	for sent := int64(0); ; {
		last := false
		select {
		case <-t.still:
			last = true
		default:
		}
		var end int64
		if last {
			end = t.end
		} else {
			end = t.size()
		}
		if err := t.part(stream, &sent, end); err != nil {
			return err
		}
		if last {
			return t.finish(stream, sent)
		}
		t.ahead()
		select {
		case <-t.still:
		case <-more.C: // an empty part says that the source is there
			if err := stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{}}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// part sends the log from sent on to end.
func (t *logSending) part(stream transferStream, sent *int64, end int64) error {
	if end <= *sent { // a rank that never wrote has no log
		return nil
	}
	told := time.Now()
	err := sendFile(t.log, *sent, end, func(b []byte) error {
		*sent += int64(len(b))
		t.sent.Store(t.before + *sent)
		if time.Since(told) > moreEvery {
			told = time.Now()
			t.more()
		}
		return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: b}})
	})
	if err == nil && *sent < end {
		err = fmt.Errorf("%w: its log has %d bytes, and had %d", errOwnFile, *sent, end)
	}
	return err
}

func (t *logSending) finish(stream transferStream, sent int64) error {
	if t.notice != nil {
		var b bytes.Buffer
		if _, err := protodelim.MarshalTo(&b, t.notice); err != nil {
			return err
		}
		sent += int64(b.Len())
		if err := stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: b.Bytes()}}); err != nil {
			return err
		}
	}
	return stream.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_End{End: &apiv1.TransferEnd{LogBytes: sent}}})
}

// errOwnFile is of what a source cannot read of what it sends.
var errOwnFile = errors.New("a file of the rank cannot be read")

// sendFile sends a part of a file.
func sendFile(path string, from, end int64, send func([]byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errOwnFile, err)
	}
	defer f.Close() //nolint:errcheck // read only
	part := io.NewSectionReader(f, from, end-from)
	buf := make([]byte, min(transport.ChunkBytes, end-from))
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
