package files

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// stuckTree is one whose disk does not answer.
type stuckTree struct {
	Tree

	asked, goOn chan struct{}
}

func (t *stuckTree) Mkdir(string) error {
	t.asked <- struct{}{}
	<-t.goOn
	return nil
}

// TestSealOfStuckDisk: who waits for a request that the disk does not answer may give up; meanwhile others are told that they are to ask again, and after it
// are served.
func TestSealOfStuckDisk(t *testing.T) {
	tree := &stuckTree{asked: make(chan struct{}), goOn: make(chan struct{})}
	_, dir := newServed(t)
	input, err := NewInput(dir)
	require.NoError(t, err)
	s := NewServer(tree, tree, input)
	request := func(client uint64, op apiv1.FilesRequest_Op) *apiv1.FilesResponse {
		return s.Try(&apiv1.FilesRequest{Client: client, Number: 1, Op: op, Path: "a"})
	}
	var wg sync.WaitGroup
	wg.Go(func() { request(1, apiv1.FilesRequest_OP_MKDIR) })
	<-tree.asked
	s.Seal()
	ctx, giveUp := context.WithCancel(t.Context())
	quiet := make(chan error)
	go func() { quiet <- s.Quiet(ctx) }()
	require.Nil(t, request(2, apiv1.FilesRequest_OP_CLOSE), "it does not wait")
	giveUp()
	require.ErrorIs(t, <-quiet, context.Canceled)
	s.Unseal()
	require.NotNil(t, request(2, apiv1.FilesRequest_OP_CLOSE))
	s.Seal()
	go func() { quiet <- s.Quiet(t.Context()) }()
	close(tree.goOn)
	require.NoError(t, <-quiet)
	wg.Wait()
	require.NoError(t, s.Quiet(t.Context()))
	require.NoError(t, s.Close())
}
