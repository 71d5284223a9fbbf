package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/identity"
)

// group are the members s1, s2, ... at a1, a2, ..., all of them voters.
func group(n int) []*apiv1.GroupMember {
	var out []*apiv1.GroupMember
	for i := range n {
		out = append(out, &apiv1.GroupMember{Id: fmt.Sprintf("s%d", i+1), Addr: fmt.Sprintf("a%d", i+1), Voter: true})
	}
	return out
}

// says is the answer of server si at ai, which knows the group.
func says(i int, members []*apiv1.GroupMember) *apiv1.DiscoverResponse {
	return &apiv1.DiscoverResponse{
		ServerId: fmt.Sprintf("s%d", i), Addr: fmt.Sprintf("a%d", i), ProcessId: fmt.Sprintf("p%d", i), ClusterId: "c", Members: members, Bootstrapped: true,
		Term: 4, LastLogTerm: 3, LastLogIndex: uint64(i), //nolint:gosec // a small number
	}
}

// TestSurveyFollowsMembersAndEnds: one address leads to the others, and those that hang hold up nothing beyond the bound.
func TestSurveyFollowsMembersAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := func(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error) {
			switch addr {
			case "localhost", "a1":
				return says(1, group(3)), nil
			case "a2":
				return nil, errors.New("connection refused")
			}
			<-ctx.Done() // it is stopped
			return nil, ctx.Err()
		}
		start := time.Now()
		var met []string
		found := survey(t.Context(), []string{"localhost"}, ask, func(addr string) { met = append(met, addr) })
		require.LessOrEqual(t, time.Since(start), surveyWait)
		require.Equal(t, []string{"localhost", "a1", "a2", "a3"}, met)
		require.Len(t, found, 4)
		require.Equal(t, "s1", found[1].res.GetServerId())
		require.ErrorContains(t, found[2].err, "refused")
		require.ErrorIs(t, found[3].err, context.DeadlineExceeded)
		require.Equal(t, "no answer within 2s", whyNotReached(found[3].err))
	})
}

// TestSurveyIsBounded: whoever names ever more servers is not followed without end.
func TestSurveyIsBounded(t *testing.T) {
	found := survey(t.Context(), []string{"a1"}, func(context.Context, string) (*apiv1.DiscoverResponse, error) {
		return says(1, group(10*maxSurveyed)), nil
	}, func(string) {})
	require.Len(t, found, maxSurveyed)
}

// pictureCase is what was found, and what is said of it.
type pictureCase struct {
	name  string
	found []surveyed
	note  string
	rows  string // id, role and whether it answers.
	code  int
	fix   string
}

func surveyedAt(i int, members []*apiv1.GroupMember) surveyed {
	return surveyed{addr: fmt.Sprintf("a%d", i), res: says(i, members)}
}

func silentAt(i int) surveyed {
	return surveyed{addr: fmt.Sprintf("a%d", i), err: errors.New("connection refused")}
}

// foreignServer is of another cluster, removedServer of this one no more.
func foreignServer() surveyed {
	s := surveyedAt(9, group(9))
	s.res.ClusterId = "d"
	return s
}

func removedServer() surveyed {
	s := surveyedAt(4, group(3))
	s.res.Standing = apiv1.Standing_STANDING_RUNS
	return s
}

func startingServer() surveyed { return surveyedAt(5, nil) }

func pictureCases() []pictureCase {
	at, silent, foreign, removed := surveyedAt, silentAt, foreignServer(), removedServer()
	leads := at(2, group(3))
	leads.res.LeaderAddr = "a2"
	fresh := at(3, nil)
	fresh.res.ClusterId, fresh.res.Bootstrapped = "", false
	moved := at(1, group(3))
	moved.addr, moved.res.Addr = "b1", "b1"
	return []pictureCase{
		{"nobody", []surveyed{silent(1), silent(2)}, "no server answers", "[{- a1 - false} {- a2 - false}]", exitUnreachable, "no server answers at a1, a2"},
		{
			"one of three",
			[]surveyed{at(1, group(3)), silent(2), silent(3)},
			"1 of 3 voters answers, and 2 are needed; no leader",
			"[{s1 a1 voter true} {s2 a2 voter false} {s3 a3 voter false}]", exitNoLeader, "at least 1 of a2, a3; only if they are lost for good",
		},
		{
			"one that believes it leads",
			[]surveyed{leads, silent(1), silent(3)},
			"1 of 3 voters answers, and 2 are needed; a2 is believed to lead, and does not confirm it",
			"[{s2 a2 voter true} {s1 a1 voter false} {s3 a3 voter false}]", exitNoLeader, "server recover",
		},
		{
			"an election",
			[]surveyed{at(1, group(3)), at(2, group(3)), silent(3)},
			"2 of 3 voters answer; no leader",
			"[{s1 a1 voter true} {s2 a2 voter true} {s3 a3 voter false}]", exitNoLeader, "in a moment",
		},
		{
			"the newest group counts",
			[]surveyed{at(1, group(3)), at(2, group(5)), silent(3), silent(4), silent(5)},
			"2 of 5 voters answer, and 3 are needed; no leader",
			"[{s1 a1 voter true} {s2 a2 voter true} {s3 a3 voter false} {s4 a4 voter false} {s5 a5 voter false}]", exitNoLeader, "at least 1 of a3, a4, a5",
		},
		{
			"one at two addresses, and where it was before",
			[]surveyed{moved, {addr: "name", res: moved.res}, silent(1), silent(2), silent(3)},
			"1 of 3 voters answers, and 2 are needed; no leader",
			"[{s1 b1 voter true} {s2 a2 voter false} {s3 a3 voter false}]", exitNoLeader, "bring back",
		},
		{
			"of another cluster",
			[]surveyed{at(1, group(3)), foreign, silent(2), silent(3)},
			"1 of 3 voters answers, and 2 are needed; no leader",
			"[{s1 a1 voter true} {s9 a9 voter true} {s2 a2 voter false} {s3 a3 voter false}]", exitNoLeader, "bring back",
		},
		{
			"a removed one",
			[]surveyed{at(1, group(3)), removed, silent(2), silent(3)},
			"1 of 3 voters answers, and 2 are needed; no leader",
			"[{s1 a1 voter true} {s4 a4 - true} {s2 a2 voter false} {s3 a3 voter false}]", exitNoLeader, "bring back",
		},
		{"in no cluster", []surveyed{fresh, silent(1)}, "what answers is in no cluster, or only starts", "[{s3 a3 - true} {- a1 - false}]", exitNoLeader, "their logs"},
	}
}

func TestPicture(t *testing.T) {
	for _, tc := range pictureCases() {
		t.Run(tc.name, func(t *testing.T) {
			p := newPicture(tc.found)
			require.Equal(t, "not confirmed by a majority: "+tc.note, p.note())
			type row struct {
				id, addr, role string
				reached        bool
			}
			rows := []row{}
			for _, s := range p.servers {
				rows = append(rows, row{orDash(s.ID), s.Addr, orDash(s.Role), s.Reached})
			}
			require.Equal(t, tc.rows, fmt.Sprint(rows))
			err := p.unconfirmed([]string{"a1", "a2"})
			require.Equal(t, tc.code, exitCode(err))
			require.ErrorContains(t, err, tc.fix)
		})
	}
}

// What is odd about one that answers stands beside it.
func TestPictureHealth(t *testing.T) {
	healths := newPicture([]surveyed{surveyedAt(1, group(3)), foreignServer(), removedServer(), startingServer(), {addr: "x", err: identity.ErrUnproved}}).servers
	for _, want := range []string{"answers", "answers, of another cluster: d", "answers, and is no member by its own log", "answers, and starts: its log is not open yet", "what answers does not prove which server it is"} {
		require.True(t, slices.ContainsFunc(healths, func(s pictured) bool { return s.Health == want }), want)
	}
}
