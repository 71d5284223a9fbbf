package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStateGoesOneWay(t *testing.T) {
	disk, broken, died := false, error(nil), []error(nil)
	s := newStateWatch(func() (bool, error) { return disk, broken }, func(err error) { died = append(died, err) })
	require.NoError(t, s.first())
	require.False(t, s.has())
	disk = true
	require.True(t, s.has())
	disk = false
	require.True(t, s.has(), "what was seen stays")
	broken = errors.New("input/output error")
	require.True(t, s.has())
	require.Empty(t, died)
}

// A directory that cannot be read is never an empty one: a cluster would be made over what it holds.
func TestUnreadableStateEndsTheServer(t *testing.T) {
	broken, died := errors.New("input/output error"), []error(nil)
	s := newStateWatch(func() (bool, error) { return false, broken }, func(err error) { died = append(died, err) })
	require.ErrorIs(t, s.first(), broken)
	require.ErrorContains(t, s.first(), "mend the directory")
	require.True(t, s.has())
	require.Len(t, died, 1)
	require.ErrorIs(t, died[0], broken)
	own := ownState{id: "a", addr: "A:1", expect: 1, hasState: s.has()}
	require.Equal(t, moveRun, decide(own, nil).move, "no new cluster")
}

// The answer of a look that began before another found state does not undo it.
func TestStateOfAnOlderLook(t *testing.T) {
	var s *stateWatch
	s = newStateWatch(func() (bool, error) {
		s.seen.Store(true) // another goroutine, meanwhile
		return false, nil
	}, nil)
	require.True(t, s.has())
	require.True(t, s.has())
}
