package worker

import (
	"log/slog"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testLease is a lease whose clock the test holds.
func testLease() (*lease, *moment) {
	now := new(moment)
	return newLease(func() moment { return *now }, func(time.Duration) {}), now
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
// starts before it is renewed, also when it has been told already.
func TestLeaseRunsOutMoreThanOnce(t *testing.T) {
	w := &Worker{log: slog.New(slog.DiscardHandler), children: map[*child]bool{}}
	l, now := testLease()
	l.grant(at(0), 10*time.Second)
	told := false
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
		{now: 24, renew: 12, over: true},
	} {
		c := sleeper(t)
		w.addChild(c)
		*now = at(step.now)
		l.renew(at(step.renew))
		told = w.enforce(l, told)
		require.Equal(t, step.over, told, "%+v", step)
		require.Equal(t, step.over, c.why.Load() != nil, "%+v", step)
		if step.over {
			select {
			case <-c.exited:
			default:
				require.Fail(t, "enforce has not waited for the end")
			}
		}
		w.removeChild(c)
	}
	l.grant(at(22), 30*time.Second)
	require.False(t, w.enforce(l, true), "a new leader's length counts")
}

// sleeper is an executor that does nothing.
func sleeper(t *testing.T) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "infinity")
	require.NoError(t, cmd.Start())
	c := &child{process: cmd.Process, exited: make(chan struct{}), runner: &runner{process: cmd.Process, gone: make(chan struct{})}}
	go c.runner.wait(cmd)
	go c.wait(&memory{})
	t.Cleanup(func() { c.kill("the test is over"); <-c.exited })
	return c
}

func TestLeaseSaysHowLongNobodyAnswered(t *testing.T) {
	l, now := testLease()
	l.grant(at(5), 10*time.Second)
	*now = at(17) + moment(300*time.Millisecond)
	require.Equal(t, 12*time.Second, l.silent())
}

// TestClockRunsOn: it goes on by itself, and counts nanoseconds: it cannot go slower than the clock that stands still while the
// machine is suspended, and goes no faster while it is not.
func TestClockRunsOn(t *testing.T) {
	const while = 20 * time.Millisecond
	outer := time.Now()
	before, inner := sinceBoot(), time.Now()
	for time.Since(inner) < while { //nolint:revive // it is about the clock
	}
	took := time.Since(inner)
	passed := time.Duration(sinceBoot() - before)
	require.GreaterOrEqual(t, passed, took)
	require.Less(t, passed, time.Since(outer)+time.Minute)
}

// TestWelcomeTakesNothingBack: a welcome to an older hello than the last answered heartbeat does not shorten the lease.
func TestWelcomeTakesNothingBack(t *testing.T) {
	l, now := testLease()
	l.grant(at(0), 10*time.Second)
	l.renew(at(55))
	l.grant(at(45), 10*time.Second)
	*now = at(60)
	require.False(t, l.over())
}

// TestLeaseTellsItsEnd: what executors go by is what the worker goes by, from the first grant on.
func TestLeaseTellsItsEnd(t *testing.T) {
	told := moment(0)
	now := at(60)
	l := newLease(func() moment { return now }, func(until time.Duration) { told = moment(until) })
	l.renew(at(50))
	require.Zero(t, told, "none was ever granted")
	for _, step := range []struct {
		do   func()
		want moment
	}{
		{func() { l.grant(at(51), 10*time.Second) }, at(61)},
		{func() { l.renew(at(55)) }, at(65)},
		{func() { l.renew(at(53)) }, at(65)},
		{func() { l.grant(at(54), 20*time.Second) }, at(75)},
		{func() { l.grant(at(56), 5*time.Second) }, at(61)},
	} {
		step.do()
		require.Equal(t, step.want, told)
		now = told
		require.False(t, l.over())
		now++
		require.True(t, l.over())
	}
}
