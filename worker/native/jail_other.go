//go:build !linux || !amd64

package native

// Lacking says what of clang's jail this machine cannot do; empty: it is whole.
func Lacking() string { return "the native engine does not know this processor" }

func confine(string, []string) ([]string, error) { return nil, nil }

func onThread(f func() error) error { return f() }

func toolsOf(string) []string { return nil }
