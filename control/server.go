package control

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/grpcreflect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// hopHeader marks a request that a server has passed on: it is passed on once at the most.
const hopHeader = "Godwit-Forwarded"

// controlPath is where the Control service's requests go.
const controlPath = "/" + apiv1connect.ControlName + "/"

// What the first messages of requests may have. A spec in JSON is longer than in the log; a worker's first word tells of as many apps as fit
// half of it, and a module's has a chunk.
const (
	maxSubmit    = 2 << 20
	maxFirstWord = 512 << 10
)

// Handler answers the API: gRPC, gRPC-Web and JSON. Requests to the Control service go to the leader; health, reflection
// and the Cluster service are this server's own.
func (c *Control) Handler() http.Handler {
	s := c.methods()
	mux := http.NewServeMux()
	transport.MountBounded(mux, s, map[string]int{
		apiv1connect.ControlSubmitProcedure:  maxSubmit,
		apiv1connect.ClusterSessionProcedure: maxFirstWord, apiv1connect.ControlUploadModuleProcedure: maxFirstWord,
		apiv1connect.ClusterPushModuleProcedure: maxFirstWord, apiv1connect.ControlUploadBlobProcedure: maxFirstWord,
	})
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := c.unready(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, c.alarms()) // an alarm is no reason not to be used
	})
	return c.forward(mux)
}

// methods are all that the server answers.
func (c *Control) methods() *connect.Server {
	s := connect.NewServer(c.logErrors, c.admit, refuseUnknown)
	apiv1connect.RegisterControlHandler(s, c)
	apiv1connect.RegisterClusterHandler(s, c)
	c.registerHealth(s)
	grpcreflect.Register(s)
	return s
}

// forward passes requests that need the leader on to it. Bodies and trailers stream both ways.
func (c *Control) forward(local http.Handler) http.Handler {
	errs := connecthttp.NewErrorWriter()
	rt := c.servers.Transport
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leader, self := c.log.Leader()
		if self || !strings.HasPrefix(r.URL.Path, controlPath) {
			local.ServeHTTP(w, r)
			return
		}
		unavailable := func(reason, wrong string) {
			_ = errs.Write(w, r, apierr.New(connect.CodeUnavailable, reason, "", wrong, "try again")) // the client is gone if this fails
		}
		switch {
		case leader == "":
			_ = errs.Write(w, r, c.noLeader())
			return
		case r.Header.Get(hopHeader) != "":
			unavailable(apierr.ReasonNotLeader, "this server does not lead any more")
			return
		}
		p := &httputil.ReverseProxy{
			Transport: rt, FlushInterval: -1,
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(&url.URL{Scheme: "http", Host: leader})
				pr.Out.Header.Set(hopHeader, "1")
				c.passOn(r.Context(), pr.Out.Header)
			},
			ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
				if apierr.Info(err) != nil { // this server's own word about the request's body
					_ = errs.Write(w, r, err)
					return
				}
				unavailable(apierr.ReasonUnknownOutcome, "the leader did not answer: "+err.Error())
			},
			ErrorLog: slog.NewLogLogger(c.slog.Handler(), slog.LevelDebug),
		}
		p.ServeHTTP(w, r)
	})
}

// refuseUnknown refuses requests of clients that have fields which this build does not know. What workers say may have more than is understood, which is left out: some of it goes to
// the log as it is.
func refuseUnknown(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		return next(ctx, spec, knownOnly{stream, strings.HasPrefix(spec.Procedure, controlPath)})
	}
}

// knownOnly is a stream of messages without unknown fields.
type knownOnly struct {
	connect.ServerStream

	refuses bool // those that have some; else they are left out
}

// Receive implements connect.ServerStream.
func (s knownOnly) Receive(msg any) error {
	err := s.ServerStream.Receive(msg)
	m, ok := msg.(proto.Message)
	if !ok || err != nil {
		return err
	}
	in := fsm.UnknownField(m)
	switch {
	case in == "":
		return nil
	case s.refuses:
		return unknownToUs("the request has a field of " + in + " that this server does not know")
	}
	known, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	proto.Reset(m)
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(known, m)
}

// logErrors gives errors without a code one, and logs those that are this server's fault.
func (c *Control) logErrors(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		start := time.Now()
		err := next(ctx, spec, stream)
		if err == nil {
			return nil
		}
		if apierr.Info(err) == nil && connect.CodeOf(err) == connect.CodeUnknown {
			err = apiError(err)
		}
		if connect.CodeOf(err) == connect.CodeInternal {
			c.slog.Error("request failed", "method", spec.Procedure, "took", time.Since(start), "err", err)
		}
		return err
	}
}
