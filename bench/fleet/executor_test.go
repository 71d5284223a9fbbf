package fleet

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker"
)

// next is the next event of an executor.
func next(t *testing.T, l worker.Link) *apiv1.ExecEvent {
	t.Helper()
	ev := new(apiv1.ExecEvent)
	require.NoError(t, l.Receive(ev))
	return ev
}

// starts has an executor begin ranks that last long.
func starts(t *testing.T, l worker.Link, ranks ...int32) {
	t.Helper()
	s := &apiv1.ExecStart{Ranks: ranks, Programs: []*apiv1.ExecProgram{{Args: []string{"fleet", "1000"}}}}
	require.NoError(t, l.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: s}}))
	require.NotNil(t, next(t, l).GetReady())
}

// A rank moves as a worker has it: nothing of it goes ahead before its target expects it, it runs in one place, and ends once.
func TestPlayedRankMoves(t *testing.T) {
	s := newStage(time.Millisecond)
	from, to := s.play("h1")("a"), s.play("h2")("a")
	starts(t, from, 0, 1)
	starts(t, to)
	send := func(l worker.Link, c *apiv1.ExecCommand) { require.NoError(t, l.Send(c)) }
	send(from, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{Migration: "m", Ranks: []*apiv1.PrecopyTarget{{Rank: 0, Host: "h2"}}}}})
	send(from, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
	require.NotNil(t, next(t, from).GetPong(), "the target expects nobody yet")
	send(to, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Expect{Expect: &apiv1.ExecExpect{Migration: "m", Ranks: []int32{0}}}})
	require.Equal(t, []int32{0}, next(t, to).GetExpecting().GetRanks())
	require.True(t, next(t, from).GetAhead().GetReady())
	send(from, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "m", Ranks: []int32{0}}}})
	require.Equal(t, "m", next(t, from).GetFrozen().GetMigration())
	require.Len(t, next(t, to).GetStaged().GetDigest(), 64)
	send(to, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Ranks: []int32{0}, Epoch: 2}}})
	require.NotNil(t, next(t, to).GetThawed())
	send(from, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{0}}}})
	require.Equal(t, 1, s.tally.movedRanks())
	require.False(t, s.tally.over("a", 2))
	close(s.hurry)
	require.EqualValues(t, 1, next(t, from).GetEnded().GetRank())
	require.EqualValues(t, 0, next(t, to).GetEnded().GetRank())
	require.NoError(t, s.tally.check("a", 2))
	for _, l := range []worker.Link{from, to} {
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.Receive(new(apiv1.ExecEvent)), io.EOF)
		require.Error(t, l.Send(&apiv1.ExecCommand{}))
	}
	s.tasks.Wait()
	require.Empty(t, s.used())
}

// What is no life of an app is found.
func TestTally(t *testing.T) {
	now := time.Now()
	whole := newTally()
	whole.began("a", []int32{0, 1}, now)
	whole.ended("a", 0)
	require.ErrorContains(t, whole.check("a", 2), "rank 1 began 1 times and ended 0 times")
	whole.ended("a", 1)
	require.NoError(t, whole.check("a", 2))
	require.ErrorContains(t, whole.check("a", 1), "has 1 ranks, and 2 have begun")
	require.ErrorContains(t, whole.check("b", 1), "began on no host")
	whole.began("a", []int32{1}, now)
	require.ErrorContains(t, whole.check("a", 2), "rank 1 began 2 times")
	ended := newTally()
	ended.began("a", []int32{0}, now)
	ended.lost("a")
	require.ErrorContains(t, ended.check("a", 1), "executors were ended with 1 of its ranks")
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	require.ErrorContains(t, c.Validate(), "the binary")
	c.Godwit, c.Module, c.Dir, c.Hosts = "g", "m", "d", "h"
	require.NoError(t, c.Validate())
	for _, bad := range []func(c *Config){
		func(c *Config) { c.Workers = 0 },
		func(c *Config) { c.MostRanks = c.Workers*c.Slots + 1 },
		func(c *Config) { c.Hour = 0 },
		func(c *Config) { c.Mean = 0 },
		func(c *Config) { c.Drain = c.Workers },
	} {
		d := c
		bad(&d)
		require.Error(t, d.Validate())
	}
}
