package worker

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testLease is a lease whose clock the test holds.
func testLease() (*lease, *moment) {
	now := new(moment)
	return newLease(func() moment { return *now }), now
}

func at(seconds int) moment { return moment(time.Duration(seconds) * time.Second) }

func TestLeaseCountsFromTheSending(t *testing.T) {
	l, now := testLease()
	*now = at(60)
	require.False(t, l.over(), "none was ever granted")
	l.grant(at(49), 10*time.Second)
	require.True(t, l.over())
	l.renew(at(51))
	require.False(t, l.over())
	l.renew(at(40))
	require.False(t, l.over(), "an older answer takes nothing back")
}

// TestLeaseRunsOutMoreThanOnce: what was over once and was renewed is a lease like any other, and one that is over kills what
// starts before it is renewed.
func TestLeaseRunsOutMoreThanOnce(t *testing.T) {
	w := &Worker{log: slog.New(slog.DiscardHandler)}
	l, now := testLease()
	l.grant(at(0), 10*time.Second)
	for _, step := range []struct {
		now, renew int
		over       bool
	}{
		{now: 9, renew: 0, over: false},
		{now: 11, renew: 0, over: true},
		{now: 12, renew: 0, over: true},
		{now: 13, renew: 12, over: false}, // an answer that was on its way
		{now: 22, renew: 12, over: false},
		{now: 23, renew: 12, over: true},
	} {
		*now = at(step.now)
		l.renew(at(step.renew))
		require.Equal(t, step.over, w.enforce(l, false), "%+v", step)
	}
	l.grant(at(22), 30*time.Second)
	require.False(t, w.enforce(l, true), "a new leader's length counts")
}

func TestLeaseSaysHowLongNobodyAnswered(t *testing.T) {
	l, now := testLease()
	l.grant(at(5), 10*time.Second)
	*now = at(17) + moment(300*time.Millisecond)
	require.Equal(t, 12*time.Second, l.silent())
}

// TestClockRunsOn: it goes on by itself, and counts nanoseconds.
func TestClockRunsOn(t *testing.T) {
	before, start := sinceBoot(), time.Now()
	for sinceBoot() == before { //nolint:revive // it is about the clock
	}
	require.InDelta(t, float64(time.Since(start)), float64(sinceBoot()-before), float64(time.Minute))
}
