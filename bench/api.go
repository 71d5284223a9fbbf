package main

import (
	"context"
	"net"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// discoverMethod is the call that is compared.
const discoverMethod = "/godwit.v1.Cluster/Discover"

// answer is what both servers say.
func answer() *apiv1.DiscoverResponse {
	return &apiv1.DiscoverResponse{ServerId: "s1", ClusterId: "c1", LeaderAddr: "127.0.0.1:7400", Term: 3}
}

type connectServer struct {
	apiv1connect.UnimplementedClusterHandler
}

// Discover implements the Cluster service.
func (connectServer) Discover(context.Context, *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	return answer(), nil
}

// api compares one call over connect-go, as the API uses it, with one over grpc-go: both speak gRPC over loopback.
func (b *bench) api(ctx context.Context) error {
	ours, err := connectCall(ctx)
	if err != nil {
		return err
	}
	theirs, err := grpcCall(ctx)
	if err != nil {
		return err
	}
	for _, clients := range []int{1, 32} {
		name := "one API call, 1 client"
		if clients > 1 {
			name = "API calls, 32 clients"
		}
		r := row{what: name, unit: "us", godwit: []float64{timeCalls(clients, ours)}}
		r.peers = []peerFigure{{peer: "grpc-go", values: []float64{timeCalls(clients, theirs)}}}
		b.core = append(b.core, r)
	}
	return nil
}

// timeCalls is the microseconds of one call while so many clients call.
func timeCalls(clients int, call func() error) float64 {
	r := testing.Benchmark(func(b *testing.B) {
		b.SetParallelism(clients)
		if clients == 1 {
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
			return
		}
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	return float64(r.T.Microseconds()) / float64(max(r.N, 1))
}

func connectCall(ctx context.Context) (func() error, error) {
	s := connect.NewServer()
	apiv1connect.RegisterClusterHandler(s, connectServer{})
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = transport.Serve(ctx, l, mux) }() // ends with the program
	client := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), l.Addr().String()))
	return func() error {
		_, err := client.Discover(ctx, &apiv1.DiscoverRequest{})
		return err
	}, nil
}

func grpcCall(ctx context.Context) (func() error, error) {
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "godwit.v1.Cluster", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Discover", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := dec(new(apiv1.DiscoverRequest)); err != nil {
				return nil, err
			}
			return answer(), nil
		}}},
	}, nil)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = s.Serve(l) }() // ends with the program
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return func() error {
		return cc.Invoke(ctx, discoverMethod, &apiv1.DiscoverRequest{}, new(apiv1.DiscoverResponse))
	}, nil
}
