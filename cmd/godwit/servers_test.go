package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestAlarmText(t *testing.T) {
	require.Empty(t, alarmText(nil))
	said := alarmText([]*apiv1.Alarm{
		{Index: 7, What: "the books are\nwrong", At: timestamppb.Now()}, {Index: 9, What: "again", At: timestamppb.Now()},
	})
	for _, part := range []string{"2 alarms", "entry 7, ", ": the books are wrong\n", "entry 9, ", "godwit servers clear-alarms 9\n"} {
		require.Contains(t, said, part)
	}
}

// TestClearText: who clears alarms hears how many, and that there was none.
func TestClearText(t *testing.T) {
	alarms := []*apiv1.Alarm{{Index: 7}, {Index: 9}}
	for index, want := range map[uint64]string{7: "cleared 1 alarms; 1 of later entries are left", 8: "cleared 1 alarms; 1 of later entries are left", 9: "cleared 2 alarms", 99: "cleared 2 alarms"} {
		said, err := clearText(alarms, index)
		require.NoError(t, err)
		require.Equal(t, want, said)
	}
	_, err := clearText(alarms, 5)
	require.ErrorContains(t, err, "no alarm of an entry up to 5: the first is of entry 7")
	_, err = clearText(nil, 5)
	require.ErrorContains(t, err, "there is no alarm to clear")
}

func TestRemovedText(t *testing.T) {
	before := []*apiv1.Server{
		{Id: "s1", Addr: "a:1"},
		{Id: "v2", Role: apiv1.ServerVoter},
		{Id: "v3", Role: apiv1.ServerLeader},
		{Id: "v4", Role: apiv1.ServerVoter},
		{Id: "n5", Role: apiv1.ServerNonvoter},
	}
	gone := &apiv1.RemoveServerResponse{Id: "s1"}
	require.Equal(t, "removed s1 (a:1)", removedText(before, gone))
	require.Equal(t, "removed s1 (a:1); of the two that are left none may fail: add one", removedText(before[:3], gone))
	require.Equal(t, "removed s1 (a:1); the one that is left must not fail: add servers, three bear the loss of one", removedText(before[:2], gone))
	require.Equal(t, "s2 is removed already", removedText(before, &apiv1.RemoveServerResponse{Id: "s2", Already: true}))
}

func TestTransferText(t *testing.T) {
	servers := func(leader string) []*apiv1.Server {
		var out []*apiv1.Server
		for _, id := range []string{"s1", "s2"} {
			s := &apiv1.Server{Id: id, Addr: "10.0.0." + id[1:] + ":7400", Role: "voter"}
			if id == leader {
				s.Role = "leader"
			}
			out = append(out, s)
		}
		return out
	}
	require.Equal(t, "s2 (10.0.0.2:7400) leads now", transferText(servers("s1"), servers("s2")))
	require.Equal(t, "s2 (10.0.0.2:7400) already leads", transferText(servers("s2"), servers("s2")))
	require.Equal(t, "s3", serverText(servers("s1"), "s3"))
}

// The level is shown only where there is something to do about it.
func TestLevelIsShownWhileBuildsDiffer(t *testing.T) {
	for _, tc := range []struct {
		inForce uint32
		knows   []uint32
		shown   bool
	}{
		{1, []uint32{1, 1, 1}, false},
		{0, []uint32{1, 1, 0}, false}, // a new cluster, of which one has not been heard
		{1, []uint32{1, 2, 1}, true},
		{1, []uint32{2, 2, 0}, true},
		{2, []uint32{2, 2, 0}, false},
		{2, []uint32{2, 1, 2}, true}, // one that cannot join
	} {
		res := &apiv1.ListServersResponse{FeatureLevel: tc.inForce}
		for _, l := range tc.knows {
			res.Servers = append(res.Servers, &apiv1.Server{FeatureLevel: l})
		}
		require.Equal(t, tc.shown, levelText(res) != "", "%+v", tc)
	}
	require.Equal(t, "-", levelOf(&apiv1.Server{}))
	require.Equal(t, "3", levelOf(&apiv1.Server{FeatureLevel: 3}))
}

// TestIDAt: an address is made an id before anything is asked, where it is one server's.
func TestIDAt(t *testing.T) {
	servers := []*apiv1.Server{{Id: "aaaa", Addr: "10.0.0.1:7400"}, {Id: "bbbb", Addr: "10.0.0.2:7400"}, {Id: "cccc", Addr: "10.0.0.2:7401"}}
	for ref, want := range map[string]string{
		"10.0.0.1": "aaaa", "10.0.0.1:7400": "aaaa", "10.0.0.2:7401": "cccc", "10.0.0.2": "10.0.0.2", "aaaa": "aaaa", "10.0.0.3": "10.0.0.3", "": "",
	} {
		require.Equal(t, want, idAt(servers, ref), ref)
	}
}
