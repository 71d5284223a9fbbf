package files

import (
	"context"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// seal is what keeps requests from a Server that moves.
type seal struct {
	mu    sync.Mutex // guards the fields below
	shut  bool
	under int           // requests under way
	quiet chan struct{} // closed when there is none; nil: nobody waits for that
}

// enter begins a request, unless there is to be none.
func (s *seal) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.under++
	return true
}

func (s *seal) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under--; s.under == 0 && s.quiet != nil {
		close(s.quiet)
		s.quiet = nil
	}
}

// Try does what is asked, as Do, unless the Server is sealed: nil.
func (s *Server) Try(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	if req.Op >= apiv1.FilesRequest_OP_INPUT_WRITE {
		if s.input.isSealed() {
			return nil
		}
		res := s.Do(req) // it may wait, and nobody waits for it
		if s.input.isSealed() {
			return nil // it may not have been done, and may be done again
		}
		return res
	}
	if req.Op == apiv1.FilesRequest_OP_LOCK {
		return s.Do(req) // it may wait, too, and is not done when it is sealed
	}
	if !s.seal.enter() {
		return nil
	}
	defer s.seal.leave()
	return s.Do(req)
}

// Seal has nothing more begun. What is under way goes on.
func (s *Server) Seal() {
	s.seal.mu.Lock()
	s.seal.shut = true
	s.seal.mu.Unlock()
	s.input.setSealed(true)
	s.locks.seal(true)
}

// Quiet waits until nothing is under way that was begun before the seal, or until ctx ends.
func (s *Server) Quiet(ctx context.Context) error {
	s.seal.mu.Lock()
	if s.seal.under == 0 {
		s.seal.mu.Unlock()
		return nil
	}
	if s.seal.quiet == nil {
		s.seal.quiet = make(chan struct{})
	}
	quiet := s.seal.quiet
	s.seal.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unseal has the Server go on.
func (s *Server) Unseal() {
	s.input.setSealed(false)
	s.locks.seal(false)
	s.seal.mu.Lock()
	defer s.seal.mu.Unlock()
	s.seal.shut = false
}

func (i *Input) setSealed(sealed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sealed = sealed
	i.change()
}

func (i *Input) isSealed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sealed
}
