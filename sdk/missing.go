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
		"no signal comes to a rank from a clock or from another process; look at the time (MPI_Wtime) instead",
	},
	{
		"socket connect bind listen sendto recvfrom sendmsg recvmsg getsockname getpeername setsockopt socketpair gethostbyaddr getnameinfo getservbyname " +
			"getprotobyname getifaddrs if_nametoindex inet_addr inet_ntoa",
		"a rank has no network but MPI",
	},
	{
		"shmget shmat shmdt shmctl semget semop semctl msgget msgsnd msgrcv msgctl ftok shm_open shm_unlink sem_open sem_unlink mq_open mq_send mq_receive " +
			"process_vm_readv process_vm_writev",
		"ranks share no memory but windows: MPI_Win_allocate_shared",
	},
	{"dlopen dlsym dlclose dlerror dladdr", "a guest is one module: link the library into it"},
	{
		"setuid seteuid setgid setegid setreuid setregid setresuid setresgid setgroups initgroups chroot mount umount umount2 reboot sethostname " +
			"getpass crypt",
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
	{"brk", "a guest's memory grows by malloc, or by sbrk"},
	{"feenableexcept fedisableexcept fegetexcept", "WebAssembly has no floating-point traps: look at the results (isnan, isinf)"},
}

// undefinedSymbol is how wasm-ld says that nobody defines a function.
var undefinedSymbol = regexp.MustCompile(`undefined symbol: (\S+)`)

// explainMissing writes why functions are not there that a linker has not found.
func explainMissing(linker []byte, lang Lang, stderr io.Writer) {
	var said []string
	for _, match := range undefinedSymbol.FindAllSubmatch(linker, -1) {
		name := string(match[1])
		for _, m := range missing {
			if slices.Contains(strings.Fields(m.names), name) && !slices.Contains(said, name) {
				said = append(said, name)
				fmt.Fprintf(stderr, "%s: %s is not there: %s\n", lang, name, m.why)
			}
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
