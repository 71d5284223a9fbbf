package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

func TestRetryable(t *testing.T) {
	tests := []struct {
		err  error
		want bool
	}{
		{connect.NewError(connect.CodeUnavailable, "dial"), true},
		{apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "no leader", ""), true},
		{apierr.New(connect.CodeUnavailable, apierr.ReasonUnknownOutcome, "", "unknown", ""), true},
		{connect.NewError(connect.CodeInternal, "incomplete envelope"), true},
		{connect.NewError(connect.CodeInternal, "marshal message: string field contains invalid UTF-8"), false},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{apierr.New(connect.CodeInternal, apierr.ReasonInternal, "", "broken", ""), false},
		{apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", "no app", ""), false},
		{apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "f", "bad", ""), false},
		{apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "busy", ""), true},
		{apierr.New(connect.CodeResourceExhausted, apierr.ReasonInvalid, "", "too large", ""), false},
		{connect.NewError(connect.CodeCanceled, "http2: server sent GOAWAY"), true},
		{connect.NewError(connect.CodeDeadlineExceeded, "").WithCause(&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}), true},
		{connect.NewError(connect.CodeDeadlineExceeded, "").WithCause(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), false},
		{errors.New("of the caller itself"), false},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, Retryable(tt.err), "%v", tt.err)
	}
}

// TestPatienceCountsFromTheFirstFailure: a call that worked for longer than the patience is still repeated when it breaks.
func TestPatienceCountsFromTheFirstFailure(t *testing.T) {
	c, err := New("127.0.0.1:1,127.0.0.1:2", time.Hour)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2"}, c.addrs)
	c.asks = sameCluster
	c.patience = 50 * time.Millisecond
	calls := 0
	err = c.Do(t.Context(), func(ctx context.Context, _ apiv1connect.ControlClient) error {
		if calls++; calls == 1 {
			<-time.After(2 * c.patience) // a stream that goes well for long
			return connect.NewError(connect.CodeUnavailable, "broke")
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, calls)

	calls = 0
	err = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error {
		calls++
		return connect.NewError(connect.CodeUnavailable, "refused")
	})
	require.ErrorIs(t, err, ErrUnreachable)
	require.Greater(t, calls, 1)

	calls = 0
	mine := errors.New("of the caller itself")
	err = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error { calls++; return mine })
	require.ErrorIs(t, err, mine)
	require.Equal(t, 1, calls)
}

// TestNobodyAtTheAddress: an address from which nothing comes back, not even a refusal, is tried like one that refuses.
func TestNobodyAtTheAddress(t *testing.T) {
	c, err := New("192.0.2.1:7400", time.Second)
	require.NoError(t, err)
	dials := 0
	c.http = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}}}
	err = c.Do(t.Context(), func(ctx context.Context, control apiv1connect.ControlClient) error {
		_, err := control.ListApps(ctx, &apiv1.ListAppsRequest{})
		return err
	})
	require.ErrorIs(t, err, ErrUnreachable)
	require.Greater(t, dials, 1)
}

// TestAllAreTriedBeforeAPause: of several servers the next is asked at once, and after the last one there is a pause, a longer one each time.
func TestAllAreTriedBeforeAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New("192.0.2.1:7400,192.0.2.2:7400,192.0.2.3:7400", time.Second)
		require.NoError(t, err)
		c.asks = sameCluster
		tries, began := map[time.Duration]int{}, time.Now()
		err = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error {
			tries[time.Since(began)]++
			return connect.NewError(connect.CodeUnavailable, "").WithCause(&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded})
		})
		require.ErrorIs(t, err, ErrUnreachable)
		require.Equal(t, 3, tries[0])
		require.Equal(t, 3, tries[retryPause])
		require.Equal(t, 3, tries[3*retryPause])
		require.Equal(t, 3, tries[7*retryPause])
	})
}

// TestPatienceCountsTheDialing: what it takes to find out that nobody is at an address is of the patience; each address is tried all the same.
func TestPatienceCountsTheDialing(t *testing.T) {
	for addrs, tries := range map[string]int{"192.0.2.1:7400": 1, "192.0.2.1:7400,192.0.2.2:7400,192.0.2.3:7400": 3} {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(addrs, 3*time.Second)
			require.NoError(t, err)
			c.asks = sameCluster
			dials, began := 0, time.Now()
			err = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error {
				dials++
				time.Sleep(4 * time.Second)
				return connect.NewError(connect.CodeUnavailable, "").WithCause(&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded})
			})
			require.ErrorIs(t, err, ErrUnreachable)
			require.Equal(t, tries, dials)
			require.Equal(t, time.Duration(tries)*4*time.Second, time.Since(began))
		})
	}
}

// TestAServersWordCounts: what one server says tells more than that the others cannot be reached, whichever came last.
func TestAServersWordCounts(t *testing.T) {
	word := apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "no leader: 1 of 3 answers", "")
	for speaks := range 3 {
		c, err := New("127.0.0.1:1,127.0.0.1:2,127.0.0.1:3", 20*time.Millisecond)
		require.NoError(t, err)
		c.asks = sameCluster
		calls := 0
		err = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error {
			calls++
			if (calls-1)%3 == speaks {
				return word
			}
			return connect.NewError(connect.CodeUnavailable, "refused")
		})
		require.Equal(t, apierr.ReasonNoLeader, apierr.Info(err).GetReason(), "%v", err)
	}
	c, err := New("127.0.0.1:1,127.0.0.1:2", 20*time.Millisecond)
	require.NoError(t, err)
	c.asks = sameCluster
	said := false
	err = c.Do(t.Context(), func(context.Context, apiv1connect.ControlClient) error {
		if !said {
			said = true
			return word
		}
		return connect.NewError(connect.CodeUnavailable, "refused")
	})
	require.ErrorIs(t, err, ErrUnreachable, "what a server said before it died counts no more")
}

func TestAddresses(t *testing.T) {
	t.Setenv("GODWIT_ADDR", "a, b:1,")
	c, err := New("", time.Second)
	require.NoError(t, err)
	require.Equal(t, []string{"a:7400", "b:1"}, c.addrs)
	require.Equal(t, []string{"[::1]:7400", "[::1]:7401", "[fe80::1%eth0]:7400", "[::2]:7400", "10.0.0.1:7400"},
		SplitAddrs("[::1],[::1]:7401,fe80::1%eth0, ::2,,10.0.0.1"))
	_, err = New(",", time.Second)
	require.ErrorContains(t, err, "host:port")
}

// TestWaitingIsTold: whoever waits for long hears once what for.
func TestWaitingIsTold(t *testing.T) {
	c, err := New("127.0.0.1:1", sayAfter+time.Second)
	require.NoError(t, err)
	var told []error
	c.Waiting = func(why error, more time.Duration) {
		require.Less(t, more, c.patience-sayAfter)
		told = append(told, why)
	}
	refuse := func(context.Context, apiv1connect.ControlClient) error {
		return connect.NewError(connect.CodeUnavailable, "refused")
	}
	require.ErrorIs(t, c.Do(t.Context(), refuse), ErrUnreachable)
	require.Len(t, told, 1)
	require.ErrorIs(t, told[0], ErrUnreachable)
	c.patience = time.Millisecond
	require.Error(t, c.Do(t.Context(), refuse))
	require.Len(t, told, 1)
}

// TestCheckAddrs: what is no address is refused before anything is asked, and named.
func TestCheckAddrs(t *testing.T) {
	for _, list := range []string{"", "a", "a:1,b", " a:7400 , [::1]:1", "::1", "[fe80::1%eth0]", "10.0.0.1"} {
		require.NoError(t, CheckAddrs(list), list)
	}
	for list, named := range map[string]string{
		"http://127.0.0.1:7999": `"http://127.0.0.1:7999"`, "a:1,127.0.0.1:": `"127.0.0.1:"`, "a:70000": `"a:70000"`, "a:b": `"a:b"`, ":7400": `":7400"`, "a b": `"a b"`,
	} {
		require.ErrorContains(t, CheckAddrs(list), named+" is no server's address: give host:port", list)
		_, err := New(list, 0)
		require.Error(t, err)
	}
}
