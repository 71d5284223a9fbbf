package main

import (
	"context"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

// sweeper is a server beside which somebody removes modules, some number of times just before an app is submitted.
type sweeper struct {
	apiv1connect.UnimplementedControlHandler
	removals int

	has                  bool
	uploadKeys, appsKeys []string
	interrupt            func() // at a refused submission; may be nil
}

func (s *sweeper) ListModules(_ context.Context, req *apiv1.ListModulesRequest) (*apiv1.ListModulesResponse, error) {
	res := &apiv1.ListModulesResponse{}
	if s.has {
		res.Modules = append(res.Modules, &apiv1.Module{Digest: req.Digest})
	}
	return res, nil
}

func (s *sweeper) UploadModule(_ context.Context, stream apiv1connect.ControlUploadModuleServerStream) (*apiv1.UploadModuleResponse, error) {
	first, err := stream.Receive()
	for more := err; more == nil; {
		_, more = stream.Receive()
	}
	if err != nil {
		return nil, err
	}
	s.has, s.uploadKeys = true, append(s.uploadKeys, first.IdempotencyKey)
	return &apiv1.UploadModuleResponse{Module: &apiv1.Module{Digest: first.Digest}}, nil
}

func (s *sweeper) Submit(_ context.Context, req *apiv1.SubmitRequest) (*apiv1.SubmitResponse, error) {
	s.appsKeys = append(s.appsKeys, req.IdempotencyKey)
	if s.removals > 0 {
		s.removals--
		s.has = false
	}
	if !s.has {
		if s.interrupt != nil {
			s.interrupt()
		}
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonNotFound, "spec.module_digest", "no module "+req.Spec.ModuleDigest, "upload it first")
	}
	return &apiv1.SubmitResponse{App: &apiv1.App{Id: "a"}}, nil
}

// TestSubmitSendsARemovedModuleAgain: who has the file in hand is not told to upload it. All tries have one key, each upload its own.
func TestSubmitSendsARemovedModuleAgain(t *testing.T) {
	for _, tc := range []struct {
		removals, tries, uploads int
		before                   bool // the cluster has the module at first
		want                     string
	}{
		{removals: 0, before: true, tries: 1, uploads: 0},
		{removals: 0, tries: 1, uploads: 1},
		{removals: 1, before: true, tries: 2, uploads: 1},
		{removals: 4, tries: 5, uploads: 5},
		{removals: 5, tries: 5, uploads: 5, want: "each time somebody had removed its module"},
	} {
		s := &sweeper{removals: tc.removals, has: tc.before}
		err := sweptRun(t, s, newInterrupts()).run(t.Context(), "../../worker/wasm/testdata/nompi.wasm")
		if tc.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, exitFailed, exitCode(err))
		}
		require.Len(t, s.appsKeys, tc.tries)
		require.Len(t, s.uploadKeys, tc.uploads)
		apps, uploads := map[string]bool{}, map[string]bool{}
		for _, k := range s.appsKeys {
			apps[k] = true
		}
		for _, k := range s.uploadKeys {
			uploads[k] = true
		}
		require.Len(t, apps, 1)
		require.Len(t, uploads, tc.uploads)
	}
}

// TestInterruptedSubmissionIsNotTriedAgain: a refused try left nothing to cancel, and there is no other.
func TestInterruptedSubmissionIsNotTriedAgain(t *testing.T) {
	in := newInterrupts()
	s := &sweeper{removals: 1, has: true, interrupt: func() { close(in.first) }}
	err := sweptRun(t, s, in).run(t.Context(), "../../worker/wasm/testdata/nompi.wasm")
	require.Equal(t, exitInterrupted, exitCode(err))
	require.Len(t, s.appsKeys, 1)
	require.Empty(t, s.uploadKeys)
}

func sweptRun(t *testing.T, s *sweeper, in *interrupts) *runner {
	t.Helper()
	return &runner{
		o: &options{output: "table"}, in: in, client: serveControl(t, s), program: "godwit",
		f: &submitFlags{spec: &apiv1.AppSpec{Name: "swept", Size: 1}, detach: true, quiet: true},
	}
}
