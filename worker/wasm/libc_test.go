package wasm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLibc: what programs take for granted of other systems' C libraries.
func TestLibc(t *testing.T) {
	for name, want := range map[string]string{
		"queues": "all lists are as they should be\n",
		"formats": "50%, x=3\n9, 9, 50%, x=3\n%%Matrix 3\n11, 11, %%Matrix 3\n3%, %y text\n12, 12, 3%, %y text\n%|3\n4, 4, %|3\n3 %\n4, 4, 3 %\n%-3~3\n6, 6, %-3~3\n" + // as glibc's
			"up to here -1, -1, up to here 100%, 3\n8, 8, 100%, 3\n" +
			"50%, x=3\n9\n%%Matrix 3\n11\n3%, %y text\n12\n%|3\n4\n3 %\n4\n%-3~3\n6\nup to here -1\n100%, 3\n8\n3 4 text %,\n",
	} {
		w := &world{t: t, module: compile(t, name), args: []string{name}}
		r := w.run(1)[0]
		require.Equal(t, Exit{}, r.exit, "%s: %s", name, &r.stdout)
		require.Equal(t, want, r.stdout.String(), name)
	}
}
