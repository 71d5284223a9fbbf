package wasm

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

// steps is what life prints before its last words.
const steps = "constructed 1\nstep 0, errno ERANGE\nstep 1, errno ERANGE\nstep 2, errno ERANGE\n"

// Constructors run once, at the start, and atexit handlers once, at the end, whatever functions of the guest the host calls
// between; and what a program has printed as whole lines before its end is out, whatever the end.
func TestLife(t *testing.T) {
	for how, want := range map[string]struct {
		code uint32
		last string
	}{
		"return":   {0, "without an endbye 1\n"},
		"exit":     {7, "without an endbye 1\n"},
		"_exit":    {7, ""},
		"abort":    {codeAbort, ""},
		"mpiabort": {42, ""},
		"mpierr":   {6, ""}, // MPI_ERR_RANK
		"trap":     {codeFPE, ""},
	} {
		t.Run(how, func(t *testing.T) {
			r := (&world{t: t, module: compile(t, "life"), args: []string{"life", how}}).run(1)[0]
			require.Equal(t, want.code, r.exit.Code, r.exit.Reason)
			require.Equal(t, steps+want.last, r.stdout.String())
			require.True(t, strings.HasPrefix(r.stderr.String(), how+"\n"), r.stderr.String())
		})
	}
}

// A line is out when it is printed, as on a terminal.
func TestLinesComeWhenPrinted(t *testing.T) {
	var out bytes.Buffer
	guest, err := compile(t, "life").New(context.Background(), GuestConfig{Args: []string{"life"}, Stdout: &out})
	require.NoError(t, err)
	proc, err := mpi.NewWorld(mpi.DefaultConfig(1), noNetwork{}).AddRank(0, 1, guest.Memory())
	require.NoError(t, err)
	watch := &outputAtBarriers{Proc: proc, out: &out}
	guest.Bind(watch)
	require.Equal(t, Exit{}, guest.Run(context.Background()))
	const before = "constructed 1\n"
	require.Equal(t, []string{
		before, before + "step 0, errno ERANGE\n", before + "step 0, errno ERANGE\nstep 1, errno ERANGE\n",
	}, watch.seen)
	require.NoError(t, guest.Close(context.Background()))
}

// outputAtBarriers notes what its guest has written by each barrier.
type outputAtBarriers struct {
	*mpi.Proc
	out  *bytes.Buffer
	seen []string
}

func (o *outputAtBarriers) Invoke(call *mpi.Call, args []uint64) (uint64, error) {
	if call.Name == "MPI_Barrier" {
		o.seen = append(o.seen, o.out.String())
	}
	return o.Proc.Invoke(call, args)
}
