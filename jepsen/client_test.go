package jepsen

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// callLimit bounds one call: a server that is stopped does not answer.
const callLimit = 3 * time.Second

// client calls the API of a cluster's servers by gRPC. It is used by one test's goroutine.
type client struct {
	addrs []string
	http  *http.Client
	next  int // server to ask first: the one that has answered last
}

func newClient() *client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &client{http: &http.Client{Transport: &http.Transport{Protocols: p}}}
}

// do calls f with one server after the other until one gives an answer, within patience.
func (c *client) do(f func(context.Context, apiv1connect.ControlClient) error) error {
	deadline := time.Now().Add(patience)
	for tried := 1; ; tried++ {
		addr := c.addrs[c.next%len(c.addrs)]
		control := c.control(addr)
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		err := f(ctx, control)
		cancel()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		c.next++
		if tried%len(c.addrs) == 0 {
			<-time.After(pollEach)
		}
	}
}

// control calls one server.
func (c *client) control(addr string) apiv1connect.ControlClient {
	return apiv1connect.NewControlClient(connect.NewClient(connecthttp.NewTransport(c.http, "http://"+addr, connecthttp.WithGRPC())))
}

// cluster asks one server about itself.
func (c *client) cluster(addr string) apiv1connect.ClusterClient {
	return apiv1connect.NewClusterClient(connect.NewClient(connecthttp.NewTransport(c.http, "http://"+addr, connecthttp.WithGRPC())))
}
