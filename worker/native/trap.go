package native

import (
	"fmt"
	"strings"
)

// What traps are called: as wazero calls them.
const (
	trapUnreachable = "unreachable"
	trapBounds      = "out of bounds memory access"
	trapTable       = "invalid table access"
	trapCallType    = "indirect call type mismatch"
	trapDivide      = "integer divide by zero"
	trapOverflow    = "integer overflow"
	trapConversion  = "invalid conversion to integer"
	trapStack       = "stack overflow"
)

// trapTexts are the traps by their numbers in c/guest.h.
var trapTexts = []string{trapUnreachable, trapBounds, trapTable, trapCallType, trapDivide, trapOverflow, trapConversion} //nolint:gochecknoglobals // an immutable list

// Trap is how a guest ends that does what it may not.
type Trap struct {
	Why    string
	Frames []string // the functions under way, the innermost first; one without a name is $ and its index
}

// Error tells the trap as wazero does.
func (t *Trap) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wasm error: %s\nwasm stack trace:", t.Why)
	for _, f := range t.Frames {
		b.WriteString("\n\t" + f)
	}
	return b.String()
}

// name is what a function is called.
func (m *module) name(index uint32) string {
	if name := m.names[index]; name != "" {
		return name
	}
	return fmt.Sprintf("$%d", index)
}
