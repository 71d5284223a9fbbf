package main

import (
	"context"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// printing is a server of an app that prints lines, and runs until it is cancelled.
type printing struct {
	apiv1connect.UnimplementedControlHandler
	lines     int
	immortal  bool          // it does not end when it is cancelled
	cancelled chan struct{} // closed when it is
}

func (p *printing) GetApp(context.Context, *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	return &apiv1.GetAppResponse{App: &apiv1.App{Id: "a", Phase: apiv1.AppRunning}}, nil
}

func (p *printing) CancelApp(context.Context, *apiv1.CancelAppRequest) (*apiv1.CancelAppResponse, error) {
	close(p.cancelled)
	return &apiv1.CancelAppResponse{App: &apiv1.App{Id: "a"}}, nil
}

func (p *printing) ended(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.cancelled:
	}
	if p.immortal {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (p *printing) WaitApp(ctx context.Context, _ *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	if err := p.ended(ctx); err != nil {
		return nil, err
	}
	return &apiv1.WaitAppResponse{App: &apiv1.App{Id: "a", Phase: apiv1.AppCancelled}}, nil
}

func (p *printing) Logs(ctx context.Context, _ *apiv1.LogsRequest, stream apiv1connect.ControlLogsServerStream) error {
	for seq := range p.lines {
		line := &apiv1.LogLine{Seq: uint64(seq), Text: []byte(strconv.Itoa(seq))} //nolint:gosec // not below 0
		if err := stream.Send(&apiv1.LogsResponse{Lines: []*apiv1.LogLine{line}}); err != nil {
			return err
		}
	}
	return p.ended(ctx)
}

// runUnread follows an app whose lines go to write.
func runUnread(t *testing.T, p *printing, in *interrupts, write func(*apiv1.LogLine) error) <-chan error {
	t.Helper()
	p.cancelled = make(chan struct{})
	r := &runner{in: in, f: &submitFlags{quiet: true}, client: serveControl(t, p), program: "godwit", id: "a", lines: write}
	done := make(chan error, 1)
	go func() { done <- in.exit(r.follow(t.Context(), "a")) }()
	return done
}

// A run whose output is open and not read ends as soon as it was interrupted and its app is over, or at the second interrupt.
func TestUnreadOutputCanBeInterrupted(t *testing.T) {
	for _, immortal := range []bool{false, true} {
		t.Run("immortal="+strconv.FormatBool(immortal), func(t *testing.T) {
			in, writing, never := newInterrupts(), make(chan struct{}), make(chan struct{})
			in.patience = time.Millisecond
			done := runUnread(t, &printing{lines: 1, immortal: immortal}, in, func(*apiv1.LogLine) error {
				close(writing)
				<-never
				return nil
			})
			t.Cleanup(func() { close(never) })
			<-writing
			close(in.first)
			if immortal {
				close(in.second)
			}
			err := <-done
			require.Equal(t, exitInterrupted, exitCode(err))
			if !immortal {
				require.ErrorContains(t, err, "godwit logs a shows it")
			}
		})
	}
}

// Whoever goes on reading after an interrupt has all that the app has printed.
func TestInterruptedOutputIsReadToItsEnd(t *testing.T) {
	const lines = 50
	in, writing, read := newInterrupts(), make(chan struct{}, 1), make(chan struct{})
	in.patience = time.Hour
	p := &printing{lines: lines}
	got := 0
	done := runUnread(t, p, in, func(*apiv1.LogLine) error {
		select {
		case writing <- struct{}{}:
		default:
		}
		<-read
		got++
		return nil
	})
	<-writing
	close(in.first)
	<-p.cancelled
	close(read)
	require.Equal(t, exitInterrupted, exitCode(<-done))
	require.Equal(t, lines, got)
}

// What is said to somebody who does not read it keeps no run that was interrupted; what is read later comes in order.
func TestTell(t *testing.T) {
	reader, writer := io.Pipe()
	in := newInterrupts()
	in.patience = time.Millisecond
	close(in.first)
	in.tell(writer, "one")
	in.tell(io.Discard, "behind it")
	buf := make([]byte, 16)
	n, err := reader.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "one\n", string(buf[:n]))
	require.NoError(t, reader.Close())
}

// The last word of an interrupted run waits for nobody either.
func TestReportOfAnInterruptedRun(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer func(old *os.File) { os.Stderr = old }(os.Stderr)
	os.Stderr = writer
	require.NoError(t, writer.SetWriteDeadline(time.Now().Add(-time.Hour)))
	for err == nil { // until it is full
		_, err = writer.Write(make([]byte, 4096))
	}
	require.NoError(t, writer.SetWriteDeadline(time.Time{}))
	in := newInterrupts()
	in.patience = time.Millisecond
	close(in.first)
	require.Equal(t, exitInterrupted, report("godwit", in.exit(&exitError{exitInterrupted, "left"})))
	require.NoError(t, reader.Close())
}
