package wasm

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What config.site tells configure of the functions that it cannot try, a guest finds to be so, each of them.
func TestConfigSiteIsTrue(t *testing.T) {
	w := &world{t: t, module: compile(t, "configured"), args: []string{"configured"}, dir: "/work", mounts: []Mount{mountLocal(t, "/work", t.TempDir(), false)}}
	r := w.run(1)[0]
	require.Equal(t, Exit{}, r.exit, "%s", &r.stderr)
	site, err := os.ReadFile("../../sdk/share/config.site")
	require.NoError(t, err)
	var told []string
	for _, m := range regexp.MustCompile(`\$\{(ac_cv_func_\w+=\w+)\}`).FindAllStringSubmatch(string(site), -1) {
		told = append(told, m[1])
	}
	beside := []string{ // there are no links and no process groups, the compiler sees what closedir gives, and the module jumps shows longjmp
		"ac_cv_func_closedir_void=no", "ac_cv_func_longjmp=yes", "ac_cv_func_lstat_dereferences_slashed_symlink=yes", "ac_cv_func_setpgrp_void=yes",
	}
	found := append(strings.Fields(r.stdout.String()), beside...)
	slices.Sort(found)
	slices.Sort(told)
	require.Equal(t, told, found)
}
