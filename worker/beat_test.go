package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/native"
)

// slowStream takes its time over each message, on the test's clock.
type slowStream struct {
	sentStream
	now *moment
}

func (s *slowStream) Send(m *apiv1.SessionRequest) error {
	*s.now += at(3)
	return s.sentStream.Send(m)
}

// TestAnswerRenewsFromTheSending: the leader counts a host's lease from when the heartbeat came, so the worker counts from before it went,
// however long the message and its answer have taken. What was answered once renews nothing again.
func TestAnswerRenewsFromTheSending(t *testing.T) {
	l, now := testLease()
	l.grant(at(0), 10*time.Second)
	s := &session{w: &Worker{}, stream: &slowStream{now: now}, lease: l, sent: map[uint64]moment{}}
	*now = at(4)
	require.NoError(t, s.beat(1))
	require.NoError(t, s.beat(2)) // goes at 7
	*now = at(12)
	s.taken(1)
	require.Equal(t, at(4), l.renewed)
	*now = at(16)
	s.taken(2)
	require.Equal(t, at(7), l.renewed)
	require.False(t, l.over())
	s.taken(2)
	s.taken(1)
	s.taken(3) // never sent
	require.Equal(t, at(7), l.renewed)
	*now = at(17) + 1
	require.True(t, l.over())
}

// TestHeartbeatsGoBeforeCode: however many modules a worker tells of, a heartbeat that is due goes before the next.
func TestHeartbeatsGoBeforeCode(t *testing.T) {
	k := newTestCodes(t, t.TempDir())
	k.end()
	for i := range 100 {
		digest := fmt.Sprintf("%064x", i)
		k.kept[digest] = []*keptCode{{Name: native.Name{Module: digest}}}
	}
	k.begin()
	stream := &sentStream{}
	s := &session{w: &Worker{codes: k.codes, checkpoints: &checkpointStore{}, storing: &storing{}}, stream: stream}
	dueCh, beats := make(chan time.Time, 1), 0
	dueCh <- time.Time{}
	require.NoError(t, s.report(dueCh, func() error {
		if beats++; beats < 50 {
			dueCh <- time.Time{}
		}
		return nil
	}))
	require.Equal(t, 50, beats)
	require.Len(t, stream.sent, 101, "and that this is all")
}

// TestWelcomeGrantsFromTheHello: the first lease counts from before the hello went.
func TestWelcomeGrantsFromTheHello(t *testing.T) {
	var now atomic.Int64
	now.Store(int64(at(5)))
	f := &fakeLeader{term: 5, lease: 10 * time.Second, greets: func() { now.Store(int64(at(12))) }}
	serveFake(t, f)
	w := newTestWorker(t, func() []string { return nil }, nil)
	k := &keeper{w: w, lease: newLease(func() moment { return moment(now.Load()) }, func(time.Duration) {})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := k.open(ctx, cancel, lead{addr: f.addr, term: 5})
	require.NoError(t, err)
	require.Equal(t, at(5), k.lease.renewed)
	require.False(t, k.lease.over())
	now.Store(int64(at(15)) + 1)
	require.True(t, k.lease.over())
}

// TestFirstBeatGoesAtOnce: a session begins with a heartbeat, however rare they are: it says whether the host is fit.
func TestFirstBeatGoesAtOnce(t *testing.T) {
	l, _ := testLease()
	stream := &sentStream{}
	s := &session{w: &Worker{checkpoints: newStore(t, t.TempDir())}, stream: stream, lease: l, every: time.Hour, sent: map[uint64]moment{}}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.send(t.Context(), over), context.Canceled)
	require.Equal(t, []string{"Heartbeat"}, stream.sent)
}
