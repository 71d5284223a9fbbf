package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/worker/part"
)

// deafTarget takes a transfer, and reads nothing of it.
type deafTarget struct {
	dataService
	came, gone chan struct{}
}

func (d deafTarget) Transfer(ctx context.Context, _ apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	close(d.came)
	<-ctx.Done()
	close(d.gone)
	return nil, ctx.Err()
}

// TestSendingEndsWithItsMigration: what a source sends of a log is over with the migration, with the app and with the worker,
// however slowly the target takes it.
func TestSendingEndsWithItsMigration(t *testing.T) {
	for how, end := range map[string]func(b *bench){
		"aborted": func(b *bench) {
			b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
		},
		"the app is over": func(b *bench) { b.a.endRun(b.t.Context()) },
		"another one": func(b *bench) {
			b.rec.Migration.Id = "m2"
			b.migration("pending", 0, "h1", "h2")
			b.rec.Migration.Id = "m2"
			b.step()
		},
	} {
		t.Run(how, func(t *testing.T) {
			target := deafTarget{dataService{&Worker{log: slog.New(slog.DiscardHandler)}}, make(chan struct{}), make(chan struct{})}
			b := newBench(t)
			b.rec.Addrs["h2"] = serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, target) })
			b.frozen()
			within(t, target.came, "the transfer begins")
			end(b)
			within(t, target.gone, "the target sees its end")
			select {
			case f := <-b.a.inbox:
				f()
			case <-time.After(time.Minute):
				require.FailNow(t, "the source does not")
			}
			require.Empty(t, b.status().FailedReason)
		})
	}
}

// shyTarget takes the third transfer, and no other.
type shyTarget struct {
	dataService
	asked *atomic.Int32
}

func (s shyTarget) Transfer(_ context.Context, stream apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	if s.asked.Add(1) < 3 {
		return nil, refusedTransfer(fmt.Errorf("not now: %w", part.ErrNotYet))
	}
	for {
		if _, err := stream.Receive(); errors.Is(err, io.EOF) {
			return &apiv1.TransferResponse{}, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// TestSentAgain: a target that has not heard of the announcement yet is no reason to give the migration up.
func TestSentAgain(t *testing.T) {
	target := shyTarget{dataService{&Worker{log: slog.New(slog.DiscardHandler)}}, new(atomic.Int32)}
	b := newBench(t)
	b.rec.Addrs["h2"] = serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, target) })
	b.frozen()
	b.sent()
	require.EqualValues(t, 3, target.asked.Load())
}

// tearingTarget reads transfers, and takes only the third.
type tearingTarget struct{ shyTarget }

func (s tearingTarget) Transfer(ctx context.Context, stream apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	for {
		if m, err := stream.Receive(); err != nil || m.GetEnd() != nil {
			return s.shyTarget.Transfer(ctx, stream)
		}
	}
}

// TestWhatIsSentAgainGetsOn: a log whose streams break gets on from what was sent before.
func TestWhatIsSentAgainGetsOn(t *testing.T) {
	b := newBench(t)
	asked := new(atomic.Int32)
	target := tearingTarget{shyTarget{dataService{&Worker{log: slog.New(slog.DiscardHandler)}}, asked}}
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(log, make([]byte, 1000), 0o600))
	sent := &logSending{
		header: &apiv1.TransferHeader{App: "a", Migration: "m1", From: "h1"}, log: log, size: func() int64 { return 1000 }, to: "h2",
		addr:  serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, target) }),
		ahead: func() {}, more: func() {}, still: make(chan struct{}), end: 1000,
	}
	close(sent.still)
	require.NoError(t, b.a.host.send(t.Context(), sent))
	require.EqualValues(t, 3, asked.Load())
	require.EqualValues(t, 3000, sent.sent.Load())
}

// sent does what the app is told until all of the log of rank 0 is sent.
func (b *bench) sent() {
	b.t.Helper()
	over := make(chan struct{})
	go func() { _ = b.a.host.tasks.Wait(); close(over) }() // the sending is all that there is
	for {
		select {
		case f := <-b.a.inbox:
			f()
			continue
		case <-over:
		case <-time.After(time.Minute):
			require.FailNow(b.t, "it is not sent")
		}
		break
	}
	for len(b.a.inbox) > 0 {
		(<-b.a.inbox)()
	}
	require.Empty(b.t, b.status().FailedReason)
}
