package control

import (
	"context"
	"net"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/transport"
)

// BenchmarkHeartbeat is a heartbeat of each of 1,000 workers, over a connection of its own on the loopback interface, until all are answered: what a leader does most of all. The processor's time is
// that of both ends, in one process.
func BenchmarkHeartbeat(b *testing.B) {
	const hosts = 1000
	cr := newCrowd(b, hosts, hosts, 10)
	for i := range hosts { // a worker has a secret
		cr.do(b, &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: withSecret(cr.host(i))}}})
	}
	c := cr.l.c
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	served, led := make(chan error, 1), make(chan error, 1)
	go func() { served <- transport.Serve(ctx, listener, c.Handler()) }()
	go func() { led <- c.Lead(ctx, 7) }()
	defer func() { cancel(); <-led; <-served }() //nolint:errcheck // they end with their context
	for c.current() == nil {
		runtime.Gosched()
	}
	links := make([]*link, hosts)
	var g errgroup.Group
	for i := range links {
		g.Go(func() error {
			client := transport.NewHTTPClient()
			for links[i] == nil && ctx.Err() == nil { // a worker tries again
				links[i], _ = dial(ctx, client, listener.Addr().String(), &apiv1.Hello{Secret: "s", Host: cr.host(i)})
			}
			return nil
		})
	}
	_ = g.Wait()
	beats, before := 0, cpuTime(b)
	for b.Loop() {
		beats++
		for _, l := range links {
			g.Go(func() error { return l.beatAnswered(uint64(beats)) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(beats)/hosts, "cpu-us/beat")
}

// beatAnswered sends a heartbeat and waits for its answer.
func (l *link) beatAnswered(seq uint64) error {
	if err := l.stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Heartbeat{Heartbeat: &apiv1.Heartbeat{Seq: seq}}}); err != nil {
		return err
	}
	for {
		select {
		case r := <-l.in:
			if r.GetHeartbeat().GetSeq() == seq {
				return nil
			}
		case err := <-l.over:
			return err
		}
	}
}

// cpuTime is what the process has used so far, in microseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000
}
