// Package client calls a Godwit cluster: it knows several servers, goes on to the
// next when one does not answer, and repeats what may be repeated.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

// DefaultPort is the port of a server's API when nothing else is said.
const DefaultPort = "7400"

// DefaultAddr is where a server is looked for when nothing else is said.
const DefaultAddr = "127.0.0.1:" + DefaultPort

// Pauses after all servers have been tried: the first, and the longest that it grows to.
const (
	retryPause = 100 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// sayAfter is how long a call fails before Waiting is told.
const sayAfter = 2 * time.Second

// ErrUnreachable is returned when no server answers.
var ErrUnreachable = errors.New("no server answers")

// Client calls the Control service of a cluster. It may be used by several goroutines.
type Client struct {
	addrs  []string
	access Access
	http   *http.Client
	// patience is how long a call goes on trying from the moment it first failed.
	patience time.Duration
	// Waiting, if set before the first call, is told once in the client's life of a call that has failed for two seconds: why, and how much longer it is tried. Another goroutine may call it.
	Waiting func(why error, more time.Duration)
	told    sync.Once

	// asks asks a server which cluster it is of.
	asks func(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error)

	mu      sync.Mutex           // guards the fields below
	next    int                  // server to try first
	cluster string               // that is called; empty: none yet
	known   map[string]time.Time // when a server was last found to be of it
}

// New makes a client of the servers named in addrs, comma separated; empty: as FindAccess says. Calls try for
// as long as patience while there is no answer.
func New(addrs string, patience time.Duration) (*Client, error) {
	a, err := FindAccess(addrs)
	if err != nil {
		return nil, err
	}
	return NewBy(a, patience)
}

// NewBy is New for servers that are reached as a says.
func NewBy(a Access, patience time.Duration) (*Client, error) {
	addrs := a.Addrs
	if err := CheckAddrs(addrs); err != nil {
		return nil, err
	}
	h, err := a.HTTP()
	if err != nil {
		return nil, err
	}
	c := &Client{access: a, http: h, patience: patience, addrs: SplitAddrs(addrs), known: map[string]time.Time{}}
	c.asks = c.ask
	if len(c.addrs) == 0 {
		return nil, fmt.Errorf("GODWIT_ADDR %q names no server: give host:port, several with commas between", addrs)
	}
	return c, nil
}

// SplitAddrs splits a list of API addresses, with commas between. The port may be left out, of a name as of an address of IPv6, in brackets or
// not: it is DefaultPort then.
func SplitAddrs(list string) []string {
	var out []string
	for _, a := range strings.Split(list, ",") {
		a = strings.TrimSpace(a)
		if a == "" {
			continue
		}
		out = append(out, WithPort(a, DefaultPort))
	}
	return out
}

// WithPort is addr with the port if it has none. An address of IPv6 may be in brackets or not.
func WithPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	if host, ok := strings.CutPrefix(addr, "["); ok {
		addr = strings.TrimSuffix(host, "]")
	}
	return net.JoinHostPort(addr, port)
}

// CheckAddrs says which part of a list is no address as SplitAddrs takes them.
func CheckAddrs(list string) error {
	for _, part := range strings.Split(list, ",") {
		for _, a := range SplitAddrs(part) {
			host, port, err := net.SplitHostPort(a)
			n, perr := strconv.Atoi(port)
			if err != nil || perr != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, "/@ \t\"[]?#") {
				return fmt.Errorf("%q is no server's address: give host:port, several with commas between", strings.TrimSpace(part))
			}
		}
	}
	return nil
}

// Addrs are the servers that the client asks.
func (c *Client) Addrs() []string { return slices.Clone(c.addrs) }

// HTTP makes a client as this one reaches the servers with, of no connections yet.
func (c *Client) HTTP() *http.Client {
	h, err := c.access.HTTP()
	if err != nil {
		panic(err) // New has asked
	}
	return h
}

// Close gives up the connections that no call uses. A later call makes new ones.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// GaveUpError is returned when patience is over. It wraps what was said last.
type GaveUpError struct {
	// Addrs are the servers that were asked.
	Addrs []string
	Err   error
}

// Error implements error.
func (e *GaveUpError) Error() string { return apierr.Message(e.Err) }

// Unwrap returns what was said last.
func (e *GaveUpError) Unwrap() error { return e.Err }

// Do calls f with a server until it succeeds, or fails for a reason that another server or moment cannot change, or
// patience or ctx is over, also while a server has the call and answers nothing. f must be safe to repeat: mutating calls carry an idempotency key. Of several addresses those of one cluster
// are called: a TwoClustersError is returned if they are found to be of more.
func (c *Client) Do(ctx context.Context, f func(ctx context.Context, control apiv1connect.ControlClient) error) error {
	var deadline time.Time // set by the first failure, and by the first after a call that brought something: a call may wait or stream for long before that
	var word error         // what a server last said; it tells more than that another cannot be reached
	said := 0              // at which try
	strange := strangers{}
	pause := retryPause
	for tried := 1; ; tried++ {
		c.mu.Lock()
		i := c.next
		c.mu.Unlock()
		addr := c.addrs[i%len(c.addrs)]
		began := time.Now()
		err, answered := c.checkCluster(ctx, addr), false
		if err == nil {
			answered, err = c.call(ctx, addr, deadline, f)
		}
		if ctx.Err() == nil {
			if strange[addr] = NotAServer(ctx, c.http, addr, err); strange[addr] != nil {
				err = strange[addr]
			}
		}
		if err == nil || ctx.Err() != nil || !Retryable(err) {
			return err
		}
		if strange.all(c.addrs) {
			return fmt.Errorf("%w: %s", ErrUnreachable, strange.with(c.addrs, err))
		}
		if len(c.addrs) == 1 && errors.Is(err, errSilent) {
			return fmt.Errorf("%w: %w; see godwit servers", ErrUnreachable, err)
		}
		c.failed(addr)
		absent := undialed(err)
		if deadline.IsZero() || answered {
			if !absent { // it may have waited, or streamed, for long
				began = time.Now()
			}
			deadline = began.Add(c.patience)
		}
		busy := connect.CodeOf(err) == connect.CodeResourceExhausted
		if apierr.Info(err) != nil {
			word, said = err, tried
		}
		if word == nil || tried-said >= len(c.addrs) {
			err = fmt.Errorf("%w at %s: is the cluster up, and GODWIT_ADDR right? (%s)",
				ErrUnreachable, strings.Join(c.addrs, ","), strange.with(c.addrs, err))
		} else {
			err = word
		}
		left := time.Until(deadline)
		if left <= 0 && (!absent || tried >= len(c.addrs)) {
			return &GaveUpError{c.Addrs(), err}
		}
		if left < c.patience-sayAfter {
			c.tell(ctx, err, left)
		}
		c.mu.Lock()
		if c.next == i {
			c.next++
		}
		c.mu.Unlock()
		if tried%len(c.addrs) != 0 && !busy {
			continue
		}
		select {
		case <-time.After(min(pause, left)):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// undialed says that nothing was asked: there was no connection.
func undialed(err error) bool {
	dial := new(net.OpError)
	return errors.As(err, &dial) && dial.Op == "dial"
}

// Retryable says whether another server, or a later moment, may give another answer.
func Retryable(err error) bool {
	var stranger *StrangerError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errSilent) || errors.Is(err, errNoAnswer) || errors.As(err, &stranger) {
		return true
	}
	var call *connect.Error
	if !errors.As(err, &call) {
		return false // f's own
	}
	if undialed(err) {
		return true // also when it took too long
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable:
		return true
	case connect.CodeResourceExhausted: // nothing has happened, and a moment may help
		return apierr.Info(err).GetReason() == apierr.ReasonOverloaded
	case connect.CodeUnknown, connect.CodeInternal, connect.CodeCanceled:
		if !call.IsRemote() && strings.HasPrefix(call.Message(), "marshal message: ") { // such as a text that is not UTF-8: it was not sent
			return false
		}
		return apierr.Info(err) == nil // a broken connection, not a server's word
	default:
		return false
	}
}
