package fsm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// hostOf is a host as the state has it.
func hostOf(t *testing.T, m *Machine, id HostID) *apiv1.Host {
	t.Helper()
	h, ok := m.View().Host(id)
	require.True(t, ok, id)
	return h
}

// TestWhyAHostIsUnfit: what its worker says and what others say of how it is reached are kept apart, in words that are fit to be shown, and what is known
// already changes nothing.
func TestWhyAHostIsUnfit(t *testing.T) {
	m := New()
	says := func(own, others string) {
		t.Helper()
		index := m.View().Index()
		results, err := applyEntry(m, index+1, &apiv1.Entry{Commands: []*apiv1.Command{{Op: &apiv1.Command_SetHostUnfit{
			SetHostUnfit: &apiv1.SetHostUnfit{Host: "h1", Incarnation: "i1", Reason: own, Unreached: others},
		}}}})
		require.NoError(t, err)
		require.Empty(t, results[0].GetCode(), results[0].GetReason())
	}
	mustHold(t, m, "init c1", "host h1 4 n1 i1")
	says("no disk", "")
	require.Equal(t, "no disk", hostOf(t, m, "h1").GetUnfit())
	says("no disk", "h2 does not reach it")
	require.Equal(t, "h2 does not reach it", hostOf(t, m, "h1").GetUnreached())
	says("", "h2 does not reach it")
	require.Empty(t, hostOf(t, m, "h1").GetUnfit())
	require.Equal(t, "h2 does not reach it", hostOf(t, m, "h1").GetUnreached())
	before := hostOf(t, m, "h1")
	says("", "h2 does not reach it")
	require.Same(t, before, hostOf(t, m, "h1"), "it is no news")
	long := strings.Repeat("\x1b", 2*MaxReasonBytes)
	says(long, long)
	for _, why := range []string{hostOf(t, m, "h1").GetUnfit(), hostOf(t, m, "h1").GetUnreached()} {
		require.LessOrEqual(t, len(why), MaxReasonBytes)
		require.NotContains(t, why, "\x1b")
	}
	results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{{Op: &apiv1.Command_RegisterHost{
		RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{Id: "h2", Addr: "h2:1", Slots: 1, NodeId: "n2", Incarnation: "i1", Unfit: long, Unreached: long}},
	}}}})
	require.NoError(t, err)
	require.Empty(t, results[0].GetCode(), results[0].GetReason())
	require.Equal(t, cleanReason(long), hostOf(t, m, "h2").GetUnfit())
	require.Equal(t, cleanReason(long), hostOf(t, m, "h2").GetUnreached())
}

// TestWishOfAnotherReason: a wish that is repeated with another reason, or deadline, is news.
func TestWishOfAnotherReason(t *testing.T) {
	m := New()
	mustHold(t, m, "init c1", "host h1 4 n1 i1", "wish h1 draining a new kernel")
	mustHold(t, m, "wish h1 draining a new disk")
	require.Equal(t, "a new disk", hostOf(t, m, "h1").GetWishReason())
	mustHold(t, m, "wish h1 evicting by=9 a new disk")
	mustHold(t, m, "wish h1 evicting by=10 a new disk")
	require.EqualValues(t, 10, hostOf(t, m, "h1").GetDeadline().GetSeconds())
}

// TestGoneHostsMakeRoom: where there are as many hosts as may be, the one goes that has been gone for longest, the first by its id among equals, and whoever
// follows the state hears it; one that a frozen migration is to save the ranks of stays.
func TestGoneHostsMakeRoom(t *testing.T) {
	m := New()
	mustHold(t, m, "init c1", "module m migratable")
	mustApplyMany(t, m, MaxHosts, func(i int) string { return fmt.Sprintf("host h%05d 4 n%d i1", i, i) })
	for _, r := range mustHold(t, m, "submit a1 m 2", "place a1 h00000 h00001", "started a1 h00000 1", "started a1 h00001 1",
		"propose g1 a1 1 0:h00000>h00009", "announce g1 h00000 h00001 h00009", "freeze g1 0") {
		require.Empty(t, r.GetCode(), r.GetReason())
	}
	mustHold(t, m, "state h00000 i1 lost")
	require.EqualValues(t, 1, hostOf(t, m, "h00000").GetUsed(), "its rank is on its way")
	mustHold(t, m, "state h00007 i1 left", "state h00006 i1 left")
	mustHold(t, m, "state h00005 i1 left")
	for _, goes := range []string{"h00006", "h00007", "h00005"} {
		from := m.View().Index()
		require.Empty(t, mustHold(t, m, fmt.Sprintf("host new-%s 1 n-%s i1", goes, goes))[0].GetCode())
		_, ok := m.View().Host(HostID(goes))
		require.False(t, ok, goes)
		changes, _, ok := m.Feed().Since(from)
		require.True(t, ok)
		require.Len(t, changes, 1)
		require.Contains(t, changes[0].Hosts, HostID(goes))
	}
	hostOf(t, m, "h00000")
	require.Equal(t, string(CodeTooMany), mustApply(t, m, "host more 1 n i1")[0].GetCode())
}
