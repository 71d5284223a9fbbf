package wasm

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

// typist is a standard input on which a line comes when it is sent, and whose reader says when it waits.
type typist struct {
	text    []byte // all that has come
	at      int
	linesCh chan string // closed: the input has ended
	waitsCh chan struct{}
	ended   bool
	resumed int
}

func (p *typist) Await(stop <-chan struct{}) {
	for p.at == len(p.text) && !p.ended {
		select {
		case p.waitsCh <- struct{}{}:
		case line, ok := <-p.linesCh:
			p.text, p.ended = append(p.text, line...), !ok
		case <-stop:
			return
		}
	}
}

func (p *typist) Read(b []byte) (int, error) {
	p.Await(nil)
	if p.at == len(p.text) {
		return 0, io.EOF
	}
	n := copy(b, p.text[p.at:])
	p.at += n
	return n, nil
}

func (p *typist) Resume(at uint64) { p.at, p.resumed = int(at), p.resumed+1 }

// halting is a Host that has a guest stop wherever it is when stopCh is closed.
type halting struct{ stopCh chan struct{} }

func (h *halting) Halting() <-chan struct{} { return h.stopCh }

func (h *halting) Invoke(*mpi.Call, []uint64) (uint64, error) {
	select {
	case <-h.stopCh:
		return 0, mpi.ErrFrozen
	default:
		return 0, nil
	}
}

// A rank that waits for a line is frozen and moved there, as often as need be, and has the line when it comes.
func TestFrozenWhileReading(t *testing.T) {
	module := compile(t, "input")
	var out bytes.Buffer
	input := &typist{linesCh: make(chan string), waitsCh: make(chan struct{})}
	config := func() GuestConfig { return GuestConfig{Args: []string{"input"}, Stdin: input, Stdout: &out} }
	guest, err := module.New(context.Background(), config())
	require.NoError(t, err)
	host := &halting{make(chan struct{})}
	guest.Bind(host)
	moved := 0
	for _, line := range []string{"a lin", "e\n", "1 2", "3 4\n", "0\n", "x"} {
		for _, away := range []bool{false, true} {
			exit := make(chan Exit, 1)
			go func() { exit <- guest.Run(context.Background()) }()
			select {
			case <-input.waitsCh:
			case e := <-exit:
				require.Fail(t, "ended", "%+v %s", e, &out)
			}
			close(host.stopCh)
			require.True(t, (<-exit).Frozen)
			host = &halting{make(chan struct{})}
			if !away {
				guest.Bind(host)
				continue
			}
			var image bytes.Buffer
			err := guest.Capture(&image)
			require.NoError(t, err)
			require.NoError(t, guest.Close(context.Background()))
			guest, err = module.Restore(context.Background(), config(), &image)
			require.NoError(t, err)
			guest.Bind(host)
			moved++
		}
		input.text = append(input.text, line...)
	}
	exit := make(chan Exit, 1)
	go func() { exit <- guest.Run(context.Background()) }()
	<-input.waitsCh
	close(input.linesCh)
	require.Equal(t, Exit{}, <-exit)
	require.Equal(t, "line: a line\nsum: 83\nbyte: x\n", out.String())
	require.Equal(t, 6, moved)
	require.Positive(t, input.resumed)
	require.NoError(t, guest.Close(context.Background()))
}
