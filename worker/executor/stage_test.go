package executor

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// An image whose MPI state cannot be used is refused when it is staged, before any commit, and the rank runs on at its source.
func TestBadStateIsRefusedWhenStaged(t *testing.T) {
	a := frozenReceiver(t, []int{0, 0}, 2, "4")
	src, dst := a.hosts[0], a.hosts[1]
	image, err := os.ReadFile(filepath.Join(a.dir, "hold-1.image"))
	require.NoError(t, err)
	for name, damage := range map[string]func(h *apiv1.ImageHeader){
		"cut":     func(h *apiv1.ImageHeader) { h.MpiState = h.MpiState[:len(h.MpiState)/2] },
		"version": func(h *apiv1.ImageHeader) { h.MpiState[0] = 99 },
		"empty":   func(h *apiv1.ImageHeader) { h.MpiState = nil },
	} {
		var h apiv1.ImageHeader
		r := bytes.NewReader(image)
		br := bufio.NewReader(r)
		require.NoError(t, protodelim.UnmarshalFrom(br, &h))
		rest := image[len(image)-r.Len()-br.Buffered():]
		damage(&h)
		var bad bytes.Buffer
		_, err := protodelim.MarshalTo(&bad, &h)
		require.NoError(t, err)
		bad.Write(rest)
		path := filepath.Join(a.dir, name)
		require.NoError(t, os.WriteFile(path, bad.Bytes(), 0o600))
		dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Stage{Stage: &apiv1.ExecStage{Migration: "m", Rank: 1, Path: path}}})
		require.Contains(t, a.next(dst).GetStaged().GetError(), "image "+name+": restore rank 1: mpi: bad rank state", name)
	}
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{1}}}})
	a.finish()
	require.Equal(t, 3, a.lines(1))
}
