package executor

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/trust"
)

// TestKeysOfEpochs: executors meet when either knows the key of the next epoch already, and not when one is two behind, or of another app.
func TestKeysOfEpochs(t *testing.T) {
	a, err := trust.NewAuthority("c1", time.Now())
	require.NoError(t, err)
	at := func(epochs ...uint64) *keys {
		var k *keys
		for _, e := range epochs {
			r := &apiv1.ExecRoutes{Epoch: e, LinkKey: bytes.Repeat([]byte{byte(e)}, trust.KeySize)}
			if k == nil {
				k, err = keysOf(&apiv1.ExecStart{App: "a-1", Authority: a.Certificate(), Routes: r})
				require.NoError(t, err)
			}
			require.NoError(t, k.learn(r))
			require.NoError(t, k.learn(r), "told again")
			require.NoError(t, k.learn(&apiv1.ExecRoutes{Epoch: e + 9}), "a worker that does not know it")
			require.NoError(t, k.learn(&apiv1.ExecRoutes{Epoch: e - 1, LinkKey: r.LinkKey}), "an older one")
		}
		return k
	}
	meet := func(dials, listens *keys) error {
		l, err := listen.New("127.0.0.1:0")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		rank := l.Protocol(pipe.RankProtocol)
		key, request, err := trust.Request()
		require.NoError(t, err)
		cert, err := a.Sign(request, trust.Identity{Cluster: "c1", Role: trust.Worker, Name: "w1"}, time.Now(), time.Hour)
		require.NoError(t, err)
		w1, err := trust.NewHolder(a.Certificate(), cert, key, nil)
		require.NoError(t, err)
		l.Secure(w1, nil)
		l.Relay(pipe.RankProtocol)
		ran, shook := make(chan error, 1), make(chan error, 1)
		go func() { ran <- l.Run(ctx) }()
		go func() {
			in, err := rank.Accept()
			if err == nil {
				if in, err = listen.Shake(ctx, in.Conn, pipe.RankProtocol, listens.listens()); err == nil {
					_, err = in.Write([]byte("x"))
				}
			}
			shook <- err
		}()
		c, err := dials.dialer().Dial(ctx, l.Addr().String(), pipe.RankProtocol, "a-1", "h1")
		if err == nil {
			_, err = c.Read(make([]byte, 1))
			_ = c.Close()
		}
		if serr := <-shook; err == nil {
			err = serr
		}
		stop()
		require.NoError(t, <-ran)
		return err
	}
	require.NoError(t, meet(at(1), at(1)))
	require.NoError(t, meet(at(1), at(1, 2)), "who calls has not heard of the next")
	require.Error(t, meet(at(1, 2), at(1)), "who is called has not: it is called again")
	require.Error(t, meet(at(1), at(1, 2, 3)))
	require.Error(t, meet(at(3), at(1)))
	require.Nil(t, func() *keys { k, err := keysOf(&apiv1.ExecStart{App: "a"}); require.NoError(t, err); return k }())
	var none *keys
	require.NoError(t, none.learn(&apiv1.ExecRoutes{}))
	require.False(t, none.dialer().Secure())
	_, err = keysOf(&apiv1.ExecStart{App: "a-1", Authority: a.Certificate(), Routes: &apiv1.ExecRoutes{Epoch: 1}})
	require.Error(t, err, "a secured cluster has a key")
}
