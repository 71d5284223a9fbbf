package wasm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A program that looks for what a guest has not is told so in words that its author knows, by POSIX.
func TestGuestHasNoFiles(t *testing.T) {
	w := &world{t: t, module: compile(t, "nofiles"), args: []string{"nofiles"}}
	r := w.run(1)[0]
	require.Equal(t, Exit{}, r.exit, "%s", &r.stderr)
	require.Equal(t, `fopen r: No such file or directory
fopen r+: No such file or directory
fopen w: Read-only file system
fopen a: No such file or directory
open .: ok
opendir /: ok
opendir data: No such file or directory
getcwd: ok
stat .: ok
stat file: No such file or directory
access: No such file or directory
chdir: No such file or directory
mkdir: Read-only file system
mkdir /: File exists
rmdir: No such file or directory
unlink: No such file or directory
rename: No such file or directory
link: No such file or directory
symlink: Read-only file system
readlink: No such file or directory
lseek: Invalid seek
ftruncate: Invalid argument
close: ok
tmpfile: No such file or directory
system: Function not implemented
a shell: Success
gethostname: ok
gethostname, no room: Filename too long
fopen '': No such file or directory
fopen '', w: No such file or directory
open '': No such file or directory
opendir '': No such file or directory
stat '': No such file or directory
lstat '': No such file or directory
fstatat '': No such file or directory
access '': No such file or directory
chdir '': No such file or directory
mkdir '': No such file or directory
rmdir '': No such file or directory
unlink '': No such file or directory
remove '': No such file or directory
rename '': No such file or directory
rename to '': No such file or directory
link '': No such file or directory
symlink '': No such file or directory
readlink '': No such file or directory
truncate '': No such file or directory
getcwd: ok
chdir .: ok
chdir /: ok
getcwd: ok
`, r.stdout.String())
}
