package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/synctrace"
)

// TestModulesSurviveAPowerCut: what is in the store is on the disk, and so is its name.
func TestModulesSurviveAPowerCut(t *testing.T) {
	require.Empty(t, synctrace.Lost(t, nil, func(dir string) error {
		s, err := newModuleStore(dir)
		if err != nil {
			return err
		}
		code := []byte("a module")
		in, err := s.begin(digestOf(code))
		if err != nil {
			return err
		}
		defer in.drop()
		if err := in.add(code); err != nil {
			return err
		}
		return in.keep()
	}))
}
