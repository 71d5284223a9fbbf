package native

// Where things are in an instance, which lies right before its memory (c/guest.h).
const (
	memoryAt    = 64 << 10 // from an instance to its memory
	tablesAt    = 256
	tableBytes  = 16
	globalBytes = 16
)

// Span is how much address space an instance takes: itself, all that an address and an offset of 32 bits reach, and an access beyond.
const Span = memoryAt + 8<<30 + 64<<10

// MemoryAt is where in it the memory begins.
const MemoryAt = memoryAt

// globalAt is where a global is in an instance.
func (m *module) globalAt(index uint32) int {
	begin := tablesAt + (len(m.tables)*tableBytes+15)&^15
	return begin + int(index)*globalBytes
}
