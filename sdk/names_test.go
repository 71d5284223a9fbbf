package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesOfOthers: what older systems and GNU's C library call, by their headers.
func TestNamesOfOthers(t *testing.T) {
	files := map[string]string{"a.c": `#define _GNU_SOURCE
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <paths.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/cdefs.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
__BEGIN_DECLS
static int raised;
static void counts(int number) { raised += number; }
__END_DECLS
int main(void) {
  struct group group, *found;
  char text[300] = "", path[PATH_MAX];
  gid_t list[2];
  int count = 2;
  printf("%d %d", getgrgid_r(getgid(), &group, text, sizeof text, &found), found == &group && group.gr_gid == getgid());
  printf(" %d %d", getgrnam_r("nobody", &group, text, sizeof text, &found), found == NULL);
  setgrent();
  printf(" %d %d", getgrent() != NULL, getgrent() == NULL);
  printf(" %d %d\n", getgrouplist("godwit", 5, list, &count), (int)list[0]);
  sigset(SIGUSR1, counts), sighold(SIGUSR1), raise(SIGUSR1);
  printf("%d ", raised);
  sigrelse(SIGUSR1);
  printf("%d %d ", raised, sigset(SIGUSR1, SIG_HOLD) == counts);
  raise(SIGUSR1), printf("%d %d ", raised, sigset(SIGUSR1, counts) == SIG_HOLD);
  printf("%d %d ", raised, sigblock(sigmask(SIGUSR2))), printf("%d\n", sigsetmask(0) == sigmask(SIGUSR2));
  int fd = open("f", O_RDWR | O_CREAT | O_LARGEFILE, 0644);
  struct timeval times[2] = {{5, 0}, {7, 250000}};
  struct stat st;
  printf("%d %d ", fallocate(fd, 0, 0, 100), fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1)), printf("%d ", errno == EOPNOTSUPP);
  printf("%d ", futimes(fd, times)), fstat(fd, &st), printf("%d %d %d ", (int)st.st_size, (int)st.st_mtim.tv_sec, (int)st.st_mtim.tv_nsec);
  printf("%d ", truncate64("f", 3)), stat("f", &st), printf("%d ", (int)st.st_size);
  closefrom(fd), printf("%d %d\n", (int)write(fd, "", 1), getwd(path) == path);
  printf("%d %d\n", (int)getrandom(text, sizeof text, 0), text[299] != 0 || text[298] != 0 || text[297] != 0);
  struct tm tm = {.tm_year = 100, .tm_mday = 1};
  printf("%lld %s\n", (long long)timelocal(&tm), _PATH_DEVNULL);
  error(0, ENOENT, "%d", 5), error_at_line(0, 0, "x.c", 3, "bad"), printf("%u\n", error_message_count);
  fflush(stdout), error(3, 0, "end");
}
`}
	for _, level := range []string{"-O0", "-O2"} {
		code, _, stderr := build(t, C, files, level, "-Wall", "-Werror", "a.c", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.ErrorContains(t, err, "exit_code(3)")
		require.Equal(t, "0 1 0 1 1 1 1 5\n0 10 1 10 1 20 0 1\n0 -1 1 0 100 7 250000000 0 3 -1 1\n300 1\n946684800 /dev/null\n"+
			"a.wasm: 5: No such file or directory\na.wasm:x.c:3: bad\n2\na.wasm: end\n", printed, level)
	}
}

// TestNamesOfBSD: sys/cdefs.h leaves names that only BSD's has to other headers and to the program, as glibc does, and has __THROW for each C++.
func TestNamesOfBSD(t *testing.T) {
	text := `#include <sys/cdefs.h>
#include <mqueue.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#if defined __unused || defined __packed || defined __dead2 || defined __printflike || defined __pure2
#error names that are not of sys/cdefs.h
#endif
#define __unused __attribute__((unused))
#define __packed __attribute__((packed))
#define __dead2 __attribute__((noreturn))
#define __printflike(format, first) __attribute__((format(printf, format, first)))
__BEGIN_DECLS
int count __P((void)) __THROW;
char *made(const char *) __THROW __nonnull((1)) __attribute_malloc__ __wur __attribute_pure__;
__END_DECLS
static int __unused x;
struct packed { char c; int i; } __packed;
int count(void) __THROW { return sizeof(struct packed); }
int main(void) { printf("%d %s\n", count(), __STRING(__CONCAT(a, b))); }
`
	files := map[string]string{"a.c": text, "a.cpp": text}
	warned := []string{"-Wall", "-Wextra", "-Wdeprecated", "-Werror", "-o", "a.wasm"}
	for lang, words := range map[Lang][]string{C: {"a.c"}, CXX: {"a.cpp", "-std=c++03", "-std=c++11", "-std=c++20"}} {
		for _, standard := range append(words[1:], "-O1") {
			code, _, stderr := build(t, lang, files, append(warned, words[0], standard)...)
			require.Zero(t, code, stderr)
			printed, err := runGuest(t)
			require.NoError(t, err)
			require.Equal(t, "5 __CONCAT(a, b)\n", printed, standard)
		}
	}
}

// TestWhyNamesAreMissing: what clang tells of by its own words only.
func TestWhyNamesAreMissing(t *testing.T) {
	files := map[string]string{
		"f.c": "#include <fenv.h>\nint main(void) { return fesetround(FE_UPWARD); }\n", "d.c": "#include <dirent.h>\nint main(void) { return readdir_r(0, 0, 0); }\n",
		"u.c": "int main(void) { return ulimit(1); }\n", "h.h": "int x;\n", "a.cpp": "#include \"h.h\"\nint main() { return x; }\n",
	}
	for source, why := range map[string]string{
		"f.c": "FE_UPWARD is not there: WebAssembly rounds to the nearest", "d.c": "readdir_r is not there: ", "u.c": "ulimit is not there: a rank has no rights",
	} {
		code, _, stderr := build(t, C, files, "-c", source)
		require.NotZero(t, code)
		require.Contains(t, stderr, why)
	}
	code, _, stderr := build(t, C, files, "h.h")
	require.Zero(t, code, stderr)
	files["h.h.gch"] = string(readFile("h.h.gch"))
	code, _, stderr = build(t, CXX, files, "-include", "h.h", "-c", "a.cpp")
	require.NotZero(t, code)
	require.Contains(t, stderr, "make it by those, or remove it")
}

// TestSummerTimeThatIsTwice: an hour that is twice is summer time, one that there is not is standard time, and summer time is an hour where there is none, as glibc has it.
func TestSummerTimeThatIsTwice(t *testing.T) {
	files := map[string]string{"a.c": `#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static void show(int month, int day, int hour, int summer) {
  struct tm tm = {.tm_year = 124, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = 30, .tm_isdst = summer};
  long long t = mktime(&tm);
  printf("%lld %d:%d %d\n", t, tm.tm_hour, tm.tm_min, tm.tm_isdst);
}
int main(void) {
  setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1), tzset();
  show(11, 3, 1, -1), show(11, 3, 1, 1), show(11, 3, 1, 0), show(3, 10, 2, -1), show(3, 10, 1, -1), show(3, 10, 3, -1), show(11, 3, 0, -1), show(11, 3, 2, -1), show(7, 1, 12, -1), show(7, 1, 12, 0);
  setenv("TZ", "UTC0", 1), tzset();
  show(7, 1, 12, -1), show(7, 1, 12, 1);
  return 0;
}
`}
	printsAtLevels(t, C, files, "a.c", "1730611800 1:30 1\n1730611800 1:30 1\n1730615400 1:30 0\n1710055800 3:30 1\n1710052200 1:30 0\n1710055800 3:30 1\n1730608200 0:30 1\n1730619000 2:30 0\n1719851400 12:30 1\n1719855000 13:30 1\n1719837000 12:30 0\n1719833400 11:30 0\n")
}
