package sdk

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Functions that a guest cannot have are not there, so that whoever looks for them finds out: configure, or the link. The link says why.

// missing are such functions, by why they are.
var missing = []struct{ names, why string }{ //nolint:gochecknoglobals // an immutable lookup table
	{
		"fork vfork clone execl execle execlp execv execve execvp execvpe fexecve posix_spawn posix_spawnp daemon setsid setpgid wait3 wait4 waitid pipe pipe2 ptrace",
		"a rank is one process, which starts no others: start ranks with mpirun",
	},
	{"dup dup2 dup3", "an open file has one number, and standard streams go where the run's do (GoogleTest: -DGTEST_HAS_STREAM_REDIRECTION=0)"},
	{
		"alarm ualarm setitimer getitimer timer_create timer_settime timer_delete pause sigsuspend sigwait sigwaitinfo sigtimedwait sigqueue signalfd",
		"no signal comes to a rank from a clock or from another process, but SIGTERM, whose handler runs at a call; look at the time (MPI_Wtime) instead",
	},
	{
		"socket connect bind listen sendto recvfrom sendmsg recvmsg getsockname getpeername setsockopt socketpair gethostbyaddr getnameinfo getservbyname " +
			"getprotobyname getifaddrs if_nametoindex inet_addr inet_ntoa",
		"a rank has no network but MPI",
	},
	{
		"shmget shmat shmdt shmctl semget semop semctl msgget msgsnd msgrcv msgctl ftok shm_open shm_unlink sem_open sem_unlink mq_open mq_send mq_receive " +
			"process_vm_readv process_vm_writev mkfifoat",
		"ranks share no memory but windows: MPI_Win_allocate_shared",
	},
	{"dlopen dlsym dlclose dlerror dladdr", "a guest is one module: link the library into it"},
	{
		"setuid seteuid setgid setegid setreuid setregid setresuid setresgid setgroups initgroups chroot mount umount umount2 reboot sethostname " +
			"getpass crypt prlimit ulimit",
		"a rank has no rights on its host",
	},
	{
		"tcgetattr tcsetattr tcflush tcsendbreak tcdrain tcflow tcgetpgrp tcsetpgrp cfgetospeed cfsetospeed cfgetispeed cfsetispeed openpty forkpty ctermid",
		"a rank has no terminal: its output is collected",
	},
	{"getcontext setcontext makecontext swapcontext", "a guest's stack is out of its reach; setjmp and exceptions work"},
	{
		"mprotect mremap mincore mlock munlock mlockall munlockall memfd_create remap_file_pages",
		"a guest's memory has no pages of its own: what mmap gives can be read and written, and is in memory as its host's is",
	},
	{"mallinfo mallinfo2 malloc_stats malloc_trim malloc_info mtrace", "the malloc of guests keeps no numbers: getrusage tells how large the memory is"},
	{"fchdir", "an open directory does not know its name: keep that (getcwd), and go there by chdir"},
	{"readdir_r", "an entry is as long as its name is, and struct dirent has no room for any: call readdir, which keeps one for each open directory"},
	{"brk", "a guest's memory grows by malloc, or by sbrk"},
	{"feenableexcept fedisableexcept fegetexcept", "WebAssembly has no floating-point traps: look at the results (isnan, isinf)"},
}

// missingHeaders are headers without which a guest has to do, by what is to be done.
var missingHeaders = []struct{ names, why string }{ //nolint:gochecknoglobals // an immutable lookup table
	{"dlfcn.h link.h", "a guest is one module, without dlopen: link the library into it"},
	{"obstack.h argp.h envz.h argz.h libintl.h mcheck.h fpu_control.h gnu/libc-version.h", "it is of GNU's C library, and guests have musl's: packages have their own of gnulib, or do without (--disable-nls)"},
	{"sys/tree.h", "it is of BSD, and no GNU C library has it either: it needs no library, and can stand beside the program"},
	{"ucontext.h sys/ucontext.h", "a guest's stack is out of its reach; setjmp and exceptions work"},
	{"sys/shm.h sys/ipc.h sys/sem.h sys/msg.h", "ranks share no memory but windows: MPI_Win_allocate_shared"},
	{"spawn.h sys/ptrace.h sys/prctl.h sys/user.h", "a rank is one process, which starts no others: start ranks with mpirun"},
	{"termios.h pty.h termio.h curses.h ncurses.h", "a rank has no terminal: its output is collected"},
	{"sys/epoll.h sys/inotify.h sys/signalfd.h sys/timerfd.h sys/sysctl.h sys/mount.h sys/vfs.h linux/limits.h linux/types.h asm/types.h", "it is of Linux, and a guest is not: POSIX's headers are there (limits.h, stdint.h, sys/statvfs.h)"},
	{"quadmath.h", "it is gcc's: long double has 128 bits here, and its functions are math.h's"},
	{"bits/stdc++.h", "it is gcc's: include the headers of C++ that are used"},
	{"wordexp.h", "there is no shell; <glob.h> expands names of files"},
}

// intrinsicsHeader is how clang tells of one that was included for instructions of another machine; there are many errors, of which none says so.
var intrinsicsHeader = regexp.MustCompile(`\b(\w*intrin|arm_neon|arm_sve|altivec)\.h:\d+:\d+: (?:fatal )?error:`)

// missingHeader is how clang says that there is no header.
var missingHeader = regexp.MustCompile(`fatal error: '([^']+)' file not found`)

// explainHeaders writes why headers are not there that a compiler has not found.
func explainHeaders(compiler []byte, lang Lang, stderr io.Writer) {
	if match := intrinsicsHeader.FindSubmatch(compiler); match != nil {
		fmt.Fprintf(stderr, "%s: %s.h is of the instructions of a processor, and guests have WebAssembly's: build the program without them (its portable variant; __SSE2__, __AVX__ and their like are not defined here)\n", lang, match[1])
	}
	var said []string
	for _, match := range missingHeader.FindAllSubmatch(compiler, -1) {
		name := string(match[1])
		for _, m := range missingHeaders {
			if slices.Contains(strings.Fields(m.names), name) && !slices.Contains(said, name) {
				said = append(said, name)
				fmt.Fprintf(stderr, "%s: %s is not there: %s\n", lang, name, m.why)
			}
		}
	}
}

// whyMissing is why a function is not there; empty: nothing is known of it.
func whyMissing(name string) string {
	for _, m := range missing {
		if slices.Contains(strings.Fields(m.names), name) {
			return m.why
		}
	}
	return ""
}

// ofFloats is how clang says that fenv.h has not what WebAssembly has not.
var ofFloats = regexp.MustCompile(`undeclared identifier '(FE_(?:DIVBYZERO|INEXACT|INVALID|OVERFLOW|UNDERFLOW|UPWARD|DOWNWARD|TOWARDZERO))'`)

// otherHeader is how clang says that a compiled header does not fit.
var otherHeader = regexp.MustCompile(`(?:PCH|AST|precompiled) file|precompiled header`)

// explainNames writes what clang's words of a name in fenv.h, or of a compiled header, do not tell.
func explainNames(compiler []byte, lang Lang, stderr io.Writer) {
	if match := ofFloats.FindSubmatch(compiler); match != nil {
		fmt.Fprintf(stderr, "%s: %s is not there: WebAssembly rounds to the nearest, and keeps no flags of what has happened; as the standard of C has it, programs ask by #ifdef\n", lang, match[1])
	}
	if bytes.Contains(compiler, []byte("error: ")) && otherHeader.Match(compiler) {
		fmt.Fprintf(stderr, "%s: a compiled header (.gch, .pch) is of another compiler, language or of other options than this file: make it by those, or remove it\n", lang)
	}
}

// undefinedSymbol is how wasm-ld says that nobody defines a function.
var undefinedSymbol = regexp.MustCompile(`undefined symbol: (\S+)`)

// explainMissing writes why functions are not there that a linker has not found.
func explainMissing(linker []byte, lang Lang, stderr io.Writer) {
	var said []string
	for _, match := range undefinedSymbol.FindAllSubmatch(linker, -1) {
		name := string(match[1])
		if why := whyMissing(name); why != "" && !slices.Contains(said, name) {
			said = append(said, name)
			fmt.Fprintf(stderr, "%s: %s is not there: %s\n", lang, name, why)
		}
	}
	if len(said) == 0 && bytes.Contains(linker, []byte("undefined symbol: __kmpc_")) {
		fmt.Fprintf(stderr, "%s: an object was compiled with OpenMP, but not by %s, which leaves its pragmas out: compile it with -fopenmp here\n", lang, lang)
	}
}

// undeclared is the module that wasm-ld imports a function from whose declaration does not name one.
const undeclared = "env"

// noteUndeclared writes which functions a program calls that were declared without mpi.h or setjmp.h, or not at all: configure scripts look for them so, and are to find
// them, but no guest gets them.
func noteUndeclared(module []byte, lang Lang, stderr io.Writer) {
	var names []string
	for _, f := range importedFunctions(module) {
		if f.module == undeclared {
			names = append(names, f.name)
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(stderr, "%s: note: %s is called where its header is not included (mpi.h, setjmp.h): the program links, which is enough for a configure script, but does not run\n", lang, strings.Join(names, ", "))
	}
}
