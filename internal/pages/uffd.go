package pages

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's words for userfaultfd (linux/userfaultfd.h, Linux 6.7) and for PAGEMAP_SCAN (linux/fs.h).
const (
	uffdUserModeOnly = 1
	uffdAPI          = 0xaa
	uffdWPAsync      = 1 << 15
	uffdRegisterWP   = 1 << 1

	ioctlUffdAPI      = 0xc018aa3f
	ioctlUffdRegister = 0xc020aa00
	ioctlPagemapScan  = 0xc0606610

	pageIsWritten    = 1 << 1
	scanWPMatching   = 1 << 0
	scanCheckWPAsync = 1 << 1
)

type uffdioAPI struct{ api, features, ioctls uint64 }

type uffdioRegister struct{ start, len, mode, ioctls uint64 }

// scanRegion is struct page_region.
type scanRegion struct{ start, end, categories uint64 }

// scanArg is struct pm_scan_arg.
type scanArg struct {
	size, flags                     uint64
	start, end, walkEnd             uint64
	vec, vecLen, maxPages           uint64
	inverted, mask, anyOf, returned uint64
}

// scanAtATime is how many regions one call of the kernel's may tell.
const scanAtATime = 1024

// errNoTracking is of a kernel, or a sandbox, that does not tell which pages have been written.
var errNoTracking = errors.New("the kernel does not tell which pages of a memory have been written")

// tracker has the kernel tell which pages of a mapping have been written: those that it has not protected, or from which a write has taken the protection. The kernel takes it
// off by itself, with no word to anybody.
type tracker struct {
	fd      int
	pagemap *os.File // the process's, which all share
	base    uint64
	regions []scanRegion
}

// track begins to tell of a mapping, which is private and anonymous. Its first scan tells of all pages that hold anything, and on some kernels of all that were never touched. Errors: errNoTracking, or a shortage of the machine's.
func track(mapping []byte) (*tracker, error) {
	if !canTrack() {
		return nil, errNoTracking
	}
	return newTracker(mapping)
}

// canTrack tries once in this process whether the kernel tells, and whether what it says is so: some kernels know the words and report nothing.
var canTrack = sync.OnceValue(func() bool { return tryTracking() == nil }) //nolint:gochecknoglobals // of the process

func tryTracking() (err error) {
	page := os.Getpagesize()
	probe, err := unix.Mmap(-1, 0, 8*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	defer unix.Munmap(probe) //nolint:errcheck // of this process alone
	probe[0], probe[5*page] = 1, 1
	t, err := newTracker(probe)
	if err != nil {
		return err
	}
	defer t.close()
	for i, want := range [][]int{{0, 5}, {}, {2, 5}, {}} {
		got, err := t.scan(len(probe), nil)
		if err != nil {
			return err
		}
		told := map[int]bool{}
		for _, r := range got {
			for n := range r.Count {
				told[(r.First+n)*Bytes/page] = true
			}
		}
		for _, n := range want {
			if !told[n] {
				return errNoTracking
			}
		}
		if i > 0 && len(told) != len(want) { // the first may tell of what was never touched, too
			return errNoTracking
		}
		if i == 1 { // the next is to tell of these
			probe[2*page], probe[5*page] = 2, 2
		}
	}
	return nil
}

func newTracker(mapping []byte) (*tracker, error) {
	pages, err := ownPages()
	if err != nil {
		return nil, fmt.Errorf("watch memory: %w", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("watch memory: userfaultfd: %w", errno)
	}
	t := &tracker{fd: int(fd), pagemap: pages, base: address(mapping), regions: make([]scanRegion, scanAtATime)}
	api := uffdioAPI{api: uffdAPI, features: uffdWPAsync}
	reg := uffdioRegister{start: t.base, len: uint64(len(mapping)), mode: uffdRegisterWP}
	err = ioctl(t.fd, ioctlUffdAPI, unsafe.Pointer(&api))
	if err == nil {
		err = ioctl(t.fd, ioctlUffdRegister, unsafe.Pointer(&reg))
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("watch memory: userfaultfd: %w", err)
	}
	return t, nil
}

func address(memory []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) }

// scan appends the pages of the first size bytes that have been written since the last scan, in ascending order, and protects them. What is written from then on is told by the next.
func (t *tracker) scan(size int, to []Run) ([]Run, error) {
	arg := scanArg{
		flags: scanWPMatching | scanCheckWPAsync, start: t.base, end: t.base + uint64(size),
		vec: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(t.regions)))), vecLen: uint64(len(t.regions)),
		mask: pageIsWritten, returned: pageIsWritten,
	}
	arg.size = uint64(unsafe.Sizeof(arg))
	for arg.start < arg.end {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, t.pagemap.Fd(), ioctlPagemapScan, uintptr(unsafe.Pointer(&arg)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return nil, fmt.Errorf("watch memory: look for written pages: %w", errno)
		}
		for _, r := range t.regions[:n] {
			first, end := int(r.start-t.base)/Bytes, int(r.end-t.base)/Bytes
			to = with(to, Run{first, end - first})
		}
		if arg.walkEnd <= arg.start {
			return nil, fmt.Errorf("watch memory: look for written pages: %w", errNoTracking)
		}
		arg.start = arg.walkEnd
	}
	return to, nil
}

// close ends it: the kernel takes what is protected out of protection.
func (t *tracker) close() {
	_ = unix.Close(t.fd)
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
