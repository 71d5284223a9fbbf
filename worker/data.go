package worker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

// dataService is what other hosts and the servers ask of this host.
type dataService struct{ w *Worker }

var _ apiv1connect.DataHandler = dataService{}

// serveData answers on the worker's port.
func (w *Worker) serveData(ctx context.Context) error {
	s := connect.NewServer(onlyFiles)
	apiv1connect.RegisterDataHandler(s, dataService{w})
	mux := http.NewServeMux()
	transport.MountBounded(mux, s, map[string]int{
		apiv1connect.DataTransferProcedure: maxTransferHeader, apiv1connect.DataFilesProcedure: maxFilesRequest,
		apiv1connect.DataHoldCheckpointProcedure: apiv1.MaxManifestBytes + 4<<10, apiv1connect.DataPushBlobProcedure: transport.ChunkBytes + 4<<10,
	})
	return transport.ServeBulk(ctx, w.dataConns, mux)
}

// onlyFiles has executors of other hosts ask for the files of their app, and for nothing else.
func onlyFiles(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		if id, ok := transport.Peer(ctx); ok && id.Role == trust.Executor && spec.Procedure != apiv1connect.DataFilesProcedure {
			return apierr.New(connect.CodePermissionDenied, apierr.ReasonForbidden, "", fmt.Sprintf("%s may not call %s", id, spec.Procedure), "")
		}
		return next(ctx, spec, stream)
	}
}

// onlyMembers lets in the servers and the workers of the cluster.
func onlyMembers(id trust.Identity) error {
	if id.Role != trust.Server && id.Role != trust.Worker {
		return fmt.Errorf("%w: %s is neither a server nor a worker", trust.ErrRole, id)
	}
	return nil
}

// authority is the certificate of the cluster's, in DER; nil: the cluster is not secured.
func (w *Worker) authority() []byte {
	if w.cfg.Holder == nil {
		return nil
	}
	return w.cfg.Holder.Authority()
}

// guest is the executor of which app on another host a certificate is of: one of an app of which this host knows the key.
func (w *Worker) guest(leaf *x509.Certificate) (trust.Identity, error) {
	id, err := trust.IdentityOf(leaf)
	if err != nil {
		return id, err
	}
	w.mu.Lock()
	now, before := w.records[id.Name].GetLinkKey(), w.keysBefore[id.Name]
	w.mu.Unlock()
	if known, err := trust.OfApp(leaf, now); err == nil {
		return known, nil
	}
	return trust.OfApp(leaf, before) // it may not have heard of the next
}

// takeRankConns hands connections from other hosts' executors to the executor of their app.
func (w *Worker) takeRankConns(ctx context.Context) error {
	acc := w.rankConns
	stop := context.AfterFunc(ctx, func() { _ = acc.Close() }) // it only unblocks Accept
	defer stop()
	for {
		conn, err := acc.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("worker: rank connections: %w", err)
		}
		if err := w.handOver(conn.Conn, conn.Args); err != nil {
			w.log.Debug("rank connection refused", "err", err)
			if w.cfg.Holder != nil {
				listen.Refuse(conn.Conn)
			}
			_ = conn.Close() // the caller dials again
		}
	}
}

func (w *Worker) handOver(conn net.Conn, args []string) error {
	secured := w.cfg.Holder != nil && len(args) == 1
	if secured { // TLS is the executor's to speak: what is said with the connection comes inside
		args = []string{trust.AppOfLinks(args[0]), pipe.SecureNote}
	}
	if len(args) != 2 && len(args) != 3 {
		return fmt.Errorf("worker: a rank connection names its app and host, and a word if it is a direct one; got %d words", len(args))
	}
	err := checkID("app", args[0])
	if !secured {
		err = errors.Join(err, checkID("host", args[1]))
	}
	if err != nil {
		return err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("worker: a %T cannot be handed over", conn)
	}
	if c := w.childOf(args[0]); c != nil {
		return c.handOver(tcp, strings.Join(args[1:], " "))
	}
	return fmt.Errorf("worker: no executor of app %s here yet", args[0])
}

// Identify implements the Data service. The name is the one of the last hello, so that it goes with the incarnation.
func (s dataService) Identify(context.Context, *apiv1.IdentifyRequest) (*apiv1.IdentifyResponse, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return &apiv1.IdentifyResponse{Host: s.w.cfg.Name, Incarnation: s.w.incarnation}, nil
}

// ReadLogs implements the Data service.
func (s dataService) ReadLogs(ctx context.Context, req *apiv1.ReadLogsRequest, stream apiv1connect.DataReadLogsServerStream) error {
	transport.Yield(ctx)
	l, err := s.logsFor(ctx, req)
	if err != nil {
		return err
	}
	defer l.letGo()
	leave, err := s.w.readers.enter(transport.From(ctx), len(req.From))
	if err != nil {
		return err
	}
	defer leave()
	if req.Follow {
		defer l.audience.enter()()
	}
	out := make(chan *apiv1.ReadLogsResponse)
	request := ctx
	g, ctx := errgroup.WithContext(ctx)
	send := func(ctx context.Context, m *apiv1.ReadLogsResponse) error {
		select {
		case out <- m:
			return nil
		case <-ctx.Done():
			return turnError(ctx)
		}
	}
	readers, rctx := errgroup.WithContext(ctx)
	mine := make(chan struct{}, readingOfOne)
	for _, p := range req.From {
		readers.Go(func() error {
			r := &logReader{log: l, rank: p.Rank, from: p.Seq, since: req.SinceMs, turns: s.w.readers, mine: mine}
			done, err := r.answer(rctx, req, send)
			if f := faultOf(p.Rank, err); f != nil {
				return send(rctx, &apiv1.ReadLogsResponse{Faults: []*apiv1.OutputFault{f}})
			}
			if err != nil || !done {
				return err
			}
			return send(rctx, &apiv1.ReadLogsResponse{Complete: []int32{p.Rank}})
		})
	}
	g.Go(func() error {
		defer close(out)
		err := readers.Wait()
		if err != nil {
			transport.WriteWithin(request, lastWait) // a write may wait for a caller who does not read
		}
		return err
	})
	g.Go(func() error {
		for m := range out {
			transport.WriteWithin(request, takeWait)
			if err := stream.Send(m); err != nil {
				return err
			}
			transport.WriteAnytime(request)
		}
		return nil
	})
	return g.Wait()
}

// logsFor finds the log that a request is about.
func (s dataService) logsFor(ctx context.Context, req *apiv1.ReadLogsRequest) (*appLog, error) {
	if len(req.From) > MaxSlots {
		return nil, invalid("from", fmt.Sprintf("%d ranks are asked for at once", len(req.From)), fmt.Sprintf("ask for %d at the most", MaxSlots))
	}
	asked := map[int32]bool{}
	for _, p := range req.From {
		if err := checkRank(p.Rank); err != nil {
			return nil, err
		}
		if asked[p.Rank] {
			return nil, invalid("from", fmt.Sprintf("rank %d is asked for twice", p.Rank), "name each rank once")
		}
		asked[p.Rank] = true
	}
	l, err := s.w.logs.find(ctx, req.App)
	if err != nil && l == nil { // what cannot be read of one that is there is told rank by rank
		return nil, err
	}
	if l == nil {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app",
			fmt.Sprintf("host %s has no output of app %s", s.w.hostName(), req.App), "")
	}
	return l, nil
}

// faultOf is what is said of a rank whose output cannot be given, while that of others may be; nil: err is no such thing.
func faultOf(rank int32, err error) *apiv1.OutputFault {
	f := &apiv1.OutputFault{Rank: rank}
	switch {
	case errors.Is(err, errMoved):
		f.Kind = apiv1.OutputFault_KIND_MOVED
	case errors.Is(err, errForgotten):
		f.Kind = apiv1.OutputFault_KIND_GONE
	case !errors.Is(err, errUnreadable):
		return nil
	}
	f.Reason = clean(reasonOf(err))
	return f
}
