package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// main has as many parameters as the program likes, and others may call it.
func TestMains(t *testing.T) {
	const environment = "#include <stdio.h>\n#include <string.h>\nextern char **environ; int more(char **);\nint main(int c, char **v, char **e) { int own = 0; for (char **at = e; *at; at++) own += strcmp(*at, \"NAME=value\") == 0; return printf(\"%d %d %s\\n\", own, e == environ, v[0]) < 0; }\n"
	for name, tt := range map[string]struct {
		files map[string]string
		args  string
		want  string
	}{
		"three":                           {map[string]string{"a.c": environment}, "a.c", "1 1 a.wasm\n"},
		"three, in an archive":            {map[string]string{"b.c": "int unused;\n", "a.c": environment}, "b.c liba.a", "1 1 a.wasm\n"},
		"three, beside two in an archive": {map[string]string{"a.c": "#include <stdio.h>\nint main(int c, char **v) { return printf(\"%d\\n\", c) < 0; }\n", "b.c": environment}, "b.c liba.a", "1 1 a.wasm\n"},
		"three, which calls itself":       {map[string]string{"a.c": "#include <stdio.h>\nint main(c, v, e) int c; char **v, **e; { if (c > 3) return 0; printf(\"%d\\n\", c); return main(c + 1, v, e); }\n"}, "a.c", "1\n2\n3\n"},
		"one":                             {map[string]string{"a.c": "#include <stdio.h>\nint main(int c) { printf(\"%d\\n\", c); return 0; }\n"}, "a.c", "1\n"},
		"two, called by another": {map[string]string{
			"a.c": "int g(void); int main(int c, char **v) { return c > 100 ? 5 : g(); }\n", "g.c": "#include <stdio.h>\nint main(); int g(void) { printf(\"g\\n\"); return main(200, (char **)0) - 5; }\n",
		}, "a.c g.c", "g\n"},
		"none, called by another": {map[string]string{
			"a.c": "int g(void), n; int main(void) { return n++ ? 5 : g(); }\n", "g.c": "#include <stdio.h>\nint main(); int g(void) { printf(\"g\\n\"); return main() - 5; }\n",
		}, "a.c g.c", "g\n"},
	} {
		t.Run(name, func(t *testing.T) {
			library(t, C, tt.files, "", "liba.a", "a.c")
			_, said := linked(t, C, tt.args)
			require.Empty(t, said)
			printed, err := runGuest(t)
			require.NoError(t, err)
			require.Equal(t, tt.want, printed)
		})
	}
}
