package executor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// nextStaged is what a host says of the rank that it stages next.
func (a *testApp) nextStaged(h *host) *apiv1.ExecStaged {
	a.t.Helper()
	for {
		if s := a.next(h).GetStaged(); s != nil {
			return s
		}
	}
}

// An image whose MPI state cannot be used is refused when it is staged, before any commit, and the rank runs on at its source.
func TestBadStateIsRefusedWhenStaged(t *testing.T) {
	a := frozenReceiver(t, []int{0, 0}, 2, "4")
	src, dst := a.hosts[0], a.hosts[1]
	whole := recorded(a, 1)
	for name, damage := range map[string]func(h *apiv1.ImageHeader){
		"cut":     func(h *apiv1.ImageHeader) { h.MpiState = h.MpiState[:len(h.MpiState)/2] },
		"version": func(h *apiv1.ImageHeader) { h.MpiState[0] = 99 },
		"empty":   func(h *apiv1.ImageHeader) { h.MpiState = nil },
	} {
		bad := *whole
		bad.header = proto.CloneOf(whole.header)
		damage(bad.header)
		a.expect(name, 1, dst)
		const want = "the image of rank 1: restore rank 1: mpi: bad rank state"
		require.Contains(t, bad.play(a, dst, name).Error, want, name)
		require.Contains(t, a.nextStaged(dst).Error, want, name)
	}
	bad := *whole
	bad.header = proto.CloneOf(whole.header)
	bad.header.Rank = 0
	a.expect("other", 1, dst)
	require.Contains(t, bad.play(a, dst, "other").Error, "rank 0; want version")
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{1}}}})
	a.finish()
	require.Equal(t, 3, a.lines(1))
}

// An image that breaks off, wherever, is begun anew, and whole in the end.
func TestBrokenImageIsBegunAnew(t *testing.T) {
	a := frozenReceiver(t, []int{0, 0}, 2, "4")
	src, dst := a.hosts[0], a.hosts[1]
	img := recorded(a, 1)
	a.expect("m", 1, dst)
	for _, cut := range []int{1, 60, 70, 100, len(img.state), len(img.state) + 75, len(img.state) + 100} {
		img.playCut(a, dst, "m", cut)
	}
	got := sent{Error: errNotExpected.Error()}
	for got.Error != "" { // the last one may not have been noticed yet
		got = img.play(a, dst, "m")
	}
	require.NotEmpty(t, got.Digest)
	require.Equal(t, got.Digest, a.nextStaged(dst).Digest)
	a.epoch++
	a.epochs[1], a.placement[1] = a.epoch, 1
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{1}}}})
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Routes{Routes: a.routes()}})
	}
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Rank: 1, Epoch: a.epoch}}})
	a.finish()
	require.Equal(t, 3, a.lines(1))
}
