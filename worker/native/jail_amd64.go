//go:build linux && amd64

package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine confines the calling thread for good, and so the children that it starts: they have no network, gain no privileges by what they execute, and of files they
// see tools and may change dir. What this machine cannot do of that is left out: lacking says what.
func confine(dir string, tools []string) (lacking []string, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("no new privileges: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		lacking = append(lacking, "a network of its own: "+err.Error())
	}
	if err := restrictFiles(dir, tools); err != nil {
		lacking = append(lacking, "bounds on files: "+err.Error())
	}
	if err := filterCalls(); err != nil {
		lacking = append(lacking, "a filter of system calls: "+err.Error())
	}
	return lacking, nil
}

// onThread calls f on a thread that ends with it: what f does to the thread is done to no other. It blocks for as long as f does.
func onThread(f func() error) error {
	doneCh := make(chan error, 1)
	go func() { // ends with f
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // this one stays, and stands for the process
			doneCh <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		doneCh <- f() // not unlocked: the thread ends with the goroutine
	}()
	return <-doneCh
}

// Lacking says what of clang's jail this machine cannot do; empty: it is whole.
func Lacking() string {
	var lacking []string
	err := onThread(func() (err error) {
		lacking, err = confine(os.TempDir(), nil)
		return err
	})
	if err != nil {
		return err.Error()
	}
	return strings.Join(lacking, "; ")
}

// toolsOf are the files and directories that a compiler needs of the system, with its own.
func toolsOf(clang string) []string {
	tools := []string{"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"}
	path, err := filepath.EvalSymlinks(clang)
	if err != nil {
		return tools
	}
	if root := filepath.Dir(filepath.Dir(path)); root != "/" && isDirectory(filepath.Join(root, "lib", "clang")) {
		return append(tools, root)
	}
	return append(tools, path)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Rights of landlock's, by the version that brought them.
const (
	readRights  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
	firstRights = 1<<13 - 1 // all of version 1
	fileRights  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// restrictFiles has landlock bound what the thread may do with files.
func restrictFiles(dir string, tools []string) error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	handled := uint64(firstRights)
	for since, right := range map[uintptr]uint64{2: unix.LANDLOCK_ACCESS_FS_REFER, 3: unix.LANDLOCK_ACCESS_FS_TRUNCATE, 5: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV} {
		if version >= since {
			handled |= right
		}
	}
	set, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled), 0)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	defer unix.Close(int(set)) //nolint:errcheck // it is in force, or of no use
	allow := func(path string, rights uint64) error { return allowBeneath(set, path, rights&handled) }
	err := errors.Join(allow(dir, writeRights|unix.LANDLOCK_ACCESS_FS_TRUNCATE), allow(os.DevNull, unix.LANDLOCK_ACCESS_FS_READ_FILE|unix.LANDLOCK_ACCESS_FS_WRITE_FILE))
	for _, path := range tools {
		err = errors.Join(err, allow(path, readRights))
	}
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0); errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	return nil
}

// allowBeneath gives rights to a file, or to all that is in a directory. What is not there needs none.
func allowBeneath(set uintptr, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(fd) //nolint:errcheck // only a place
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, set, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("landlock of %s: %w", path, errno)
	}
	return nil
}

// refused are the system calls that a compiler has no use for and that lead out of it: networks, other processes, and the kernel's larger doors.
var refused = []uint32{ //nolint:gochecknoglobals // an immutable list
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_IO_URING_SETUP,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_KILL, unix.SYS_TKILL,
	unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_KCMP,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_OPEN_TREE,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT, unix.SYS_OPEN_BY_HANDLE_AT,
}

// filterCalls has the refused system calls, and all of other processors' numbers, fail in the thread.
func filterCalls() error {
	const number, processor, argument, x32 = 0, 4, 16, 0x40000000 // places in struct seccomp_data; numbers of the x32 kind
	const fail = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	load, equal, least, give := uint16(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS), uint16(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K), uint16(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K), uint16(unix.BPF_RET|unix.BPF_K)
	program := []unix.SockFilter{
		{Code: load, K: processor},
		{Code: equal, K: unix.AUDIT_ARCH_X86_64, Jt: 1},
		{Code: give, K: fail},
		{Code: load, K: number},
		{Code: least, K: x32, Jf: 1},
		{Code: give, K: fail},
	}
	for _, call := range refused {
		program = append(program, unix.SockFilter{Code: equal, K: call, Jf: 1}, unix.SockFilter{Code: give, K: fail})
	}
	program = append(program, []unix.SockFilter{
		{Code: equal, K: unix.SYS_PRLIMIT64, Jf: 3}, // of itself only, as C libraries do
		{Code: load, K: argument},
		{Code: equal, K: 0, Jt: 1},
		{Code: give, K: fail},
		{Code: give, K: unix.SECCOMP_RET_ALLOW},
	}...)
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]} //nolint:gosec // a hundred
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}
