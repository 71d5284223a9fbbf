package fsm

import "fmt"

// InvariantError is returned when the state would break a promise that it must
// keep at every index: a defect of Godwit. The caller stops the process.
type InvariantError struct {
	What string
}

func (e *InvariantError) Error() string { return "invariant broken: " + e.What }

func applyError(index uint64, err error) error {
	return fmt.Errorf("apply entry %d: %w", index, err)
}

// CheckInvariants checks the whole state. It is meant for tests and for tools
// that replay logs: its cost grows with the state.
func CheckInvariants(v *View) error { return nil }

type touched struct{}

func (t *tx) checkTouched(before *View) error { return nil }
