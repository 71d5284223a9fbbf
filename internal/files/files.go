// Package files is what a program's files are reached through: a tree of them, on this host's disk or on another host. It has POSIX's
// meaning, and its errors are syscall.Errno or wrap one. See worker/wasm for what guests are told.
package files

import "time"

// Tree is a tree of files. Paths are relative to its root, which is ".", and may lead through links, but never out of it: what would is
// EACCES. All methods may be called from any goroutine, and block while the disk or the network does.
type Tree interface { //nolint:interfacebloat // what POSIX has
	// Open opens a file or a directory. flags are those of open(2): access mode, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW; what is
	// neither file nor directory is ENXIO.
	Open(path string, flags int) (File, error)
	// Stat describes what is at a path; if it is a link, the link itself unless follow.
	Stat(path string, follow bool) (Info, error)
	// Access says whether this process may do with what is there what mode says, of access(2); if it is a link, with the link itself unless follow.
	Access(path string, mode int, follow bool) error
	Mkdir(path string) error
	Rmdir(path string) error
	Unlink(path string) error
	Rename(from, to string) error
	// Link gives a file another name; a link at from is not followed.
	Link(from, to string) error
	// Symlink makes a link with a text, which is not looked at.
	Symlink(text, path string) error
	Readlink(path string) (string, error)
	// SetTimes sets times; with none of them it says whether what is there is in a file system that is only read.
	SetTimes(path string, follow bool, times Times) error
}

// File is an open file or directory. One goroutine uses it at a time, but others may use the same file through other Files.
type File interface { //nolint:interfacebloat // what POSIX has
	// ReadAt and WriteAt are as pread(2) and pwrite(2): they do all of p unless there is an error, which for ReadAt is io.EOF at the end.
	ReadAt(p []byte, at int64) (int, error)
	WriteAt(p []byte, at int64) (int, error)
	// Append writes p at the end, wherever that is, as one (on another host up to MaxWhole bytes of it), and returns how much of it, and where the end was
	// behind that. Less than all of p is with an error: a full disk parts it.
	Append(p []byte) (n int, end int64, err error)
	Stat() (Info, error)
	Truncate(size int64) error
	// Allocate makes sure that there is room for so many bytes at a place; the file grows if need be.
	Allocate(at, size int64) error
	Sync() error
	SetTimes(times Times) error
	// List lists a directory, sorted by name, without "." and "..".
	List() ([]Entry, error)
	// Path is where the file is in its tree now; empty: it has no name any more.
	Path() (string, error)
	Close() error
}

// Distant is a File each of whose requests waits for another host: to gather small writes, and to go on meanwhile, is worth it.
type Distant interface {
	File
	// Ahead says whether the host has just said, of whatever file, that there is room for writes that nobody waits for: more than all that may be under way will take.
	Ahead() bool
	// WriteAhead is WriteAt, or Append where at is negative, of bytes whose writer has been told that they are written: a quota is passed rather. It returns where
	// the end is after an Append.
	WriteAhead(p []byte, at int64) (end int64, err error)
	// Shut is Close. It waits for the host, unless that has just said that there is room: what the file has may be what another needs who hears that it is closed.
	Shut() error
}

// Kind is what something in a tree is.
type Kind uint8

// The kinds.
const (
	Other Kind = iota // nothing that a program may open
	Regular
	Directory
	Link
	Device // a device of the program's own, such as /dev/null
)

// Info describes a file.
type Info struct {
	Kind                       Kind
	ID                         uint64 // tells it from the other files of its tree, as an inode number
	Links                      uint64
	Size                       int64 // bytes
	Accessed, Changed, Touched int64 // ns since 1970: read, written, changed in any way
}

// Entry is a line of a directory.
type Entry struct {
	Name string
	Kind Kind
	ID   uint64
}

// Times are times to set; the zero Time leaves what is there.
type Times struct{ Accessed, Changed time.Time }
