package executor

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pages"
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
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Ranks: []int32{1}, Epoch: a.epoch}}})
	a.finish()
	require.Equal(t, 3, a.lines(1))
}

// An attempt that comes while the one before is about to be whole begins anew with another guest, or finds the rank here: never with one that is restored already.
func TestAttemptsInEachOthersWay(t *testing.T) {
	a := frozenReceiver(t, []int{0, 0}, 2, "4")
	dst := a.hosts[1]
	img := recorded(a, 1)
	a.expect("m", 1, dst)
	for _, cut := range []int{1, 70, len(img.state) + 75} {
		conn := img.begin(a, dst, "m", cut) // what is missing never comes, and the connection stays
		defer conn.Close()                  //nolint:errcheck // of a test
	}
	got := sent{Error: errNotExpected.Error()}
	for got.Error != "" {
		got = img.play(a, dst, "m")
	}
	require.Equal(t, got.Digest, a.nextStaged(dst).Digest)
}

// A memory that comes over several connections is whole when all of them have brought their parts, in whatever order.
func TestStreamsInAnyOrder(t *testing.T) {
	a := frozenReceiver(t, []int{0, 0}, 2, "4")
	dst := a.hosts[1]
	img := recorded(a, 1)
	a.expect("m", 1, dst)
	first, br := img.hello(t, dst, "m")
	defer first.Close() //nolint:errcheck // of a test
	second, br2 := img.helloOn(t, dst, "m", 1)
	defer second.Close() //nolint:errcheck // of a test
	sender := pages.NewSender(func() []byte { return img.memory }, pages.NewGuess())
	var late bytes.Buffer
	_, err := sender.Round([]io.Writer{first, &late}, true, true)
	require.NoError(t, err)
	var got apiv1.PrecopyAnswer
	require.NoError(t, protodelim.UnmarshalFrom(br, &got)) // the first's part is there, and nothing is staged for that
	require.Empty(t, got.Error)
	_, err = second.Write(late.Bytes())
	require.NoError(t, err)
	require.NoError(t, protodelim.UnmarshalFrom(br2, &got))
	require.Empty(t, got.Error)
	_, err = first.Write(img.tail(t, sender))
	require.NoError(t, err)
	require.NoError(t, protodelim.UnmarshalFrom(br, &got))
	require.Empty(t, got.Error)
	require.Equal(t, got.Digest, a.nextStaged(dst).Digest)
}
