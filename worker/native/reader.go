package native

import "github.com/godwit-run/godwit/internal/bytecode"

// reader decodes a module's parts. The first error sticks.
type reader struct{ bytecode.Reader }

func newReader(data []byte) *reader { return &reader{bytecode.Reader{Data: data}} }
