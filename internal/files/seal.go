package files

import (
	"sync"
	"sync/atomic"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// seal is what keeps requests from a Server that moves: those under way hold mu for reading.
type seal struct {
	mu   sync.RWMutex
	shut atomic.Bool
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
	s.seal.mu.RLock()
	defer s.seal.mu.RUnlock()
	if s.seal.shut.Load() {
		return nil
	}
	return s.Do(req)
}

// Seal has nothing more begun. What is under way goes on.
func (s *Server) Seal() {
	s.seal.shut.Store(true)
	s.input.setSealed(true)
}

// Quiet waits until nothing is under way that was begun before the seal.
func (s *Server) Quiet() {
	s.seal.mu.Lock()
	defer s.seal.mu.Unlock()
}

// Unseal has the Server go on.
func (s *Server) Unseal() {
	s.input.setSealed(false)
	s.seal.shut.Store(false)
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
