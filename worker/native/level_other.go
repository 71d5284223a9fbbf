//go:build !(linux && amd64)

package native

// Level is the level of this processor that objects are compiled for: none, the engine does not know it.
func Level() string { return "" }
