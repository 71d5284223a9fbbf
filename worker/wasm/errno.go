package wasm

import (
	"errors"
	"syscall"
)

// errno is an error number of WASI.
type errno uint16

// Error numbers that are told without asking anybody.
const (
	errnoSuccess     errno = 0
	errnoAccess      errno = 2
	errnoBadf        errno = 8
	errnoBusy        errno = 10
	errnoExist       errno = 20
	errnoFault       errno = 21
	errnoIllegal     errno = 25
	errnoInvalid     errno = 28
	errnoIO          errno = 29
	errnoIsDir       errno = 31
	errnoMFile       errno = 33
	errnoNameTooLong errno = 37
	errnoNoEntry     errno = 44
	errnoNoSys       errno = 52
	errnoNotDir      errno = 54
	errnoNotSup      errno = 58
	errnoPerm        errno = 63
	errnoReadOnly    errno = 69
	errnoNoSeek      errno = 70
	errnoCrossDevice errno = 75
)

// errnos are WASI's numbers of the system's errors.
var errnos = map[syscall.Errno]errno{ //nolint:gochecknoglobals // a table
	syscall.E2BIG: 1, syscall.EACCES: errnoAccess, syscall.EAGAIN: 6, syscall.EBADF: errnoBadf, syscall.EBUSY: errnoBusy, syscall.ECANCELED: 11,
	syscall.EDEADLK: 16, syscall.EDQUOT: 19, syscall.EEXIST: errnoExist, syscall.EFAULT: errnoFault, syscall.EFBIG: 22, syscall.EILSEQ: errnoIllegal,
	syscall.EINTR: 27, syscall.EINVAL: errnoInvalid, syscall.EIO: errnoIO, syscall.EISDIR: errnoIsDir, syscall.ELOOP: 32, syscall.EMFILE: errnoMFile,
	syscall.EMLINK: 34, syscall.ENAMETOOLONG: errnoNameTooLong, syscall.ENFILE: 41, syscall.ENODEV: 43, syscall.ENOENT: errnoNoEntry,
	syscall.ENOLCK: 46, syscall.ENOMEM: 48, syscall.ENOSPC: 51, syscall.ENOSYS: errnoNoSys, syscall.ENOTDIR: errnoNotDir, syscall.ENOTEMPTY: 55,
	syscall.EOPNOTSUPP: errnoNotSup, syscall.ENOTTY: 59, syscall.ENXIO: 60, syscall.EOVERFLOW: 61, syscall.EPERM: errnoPerm, syscall.EPIPE: 64,
	syscall.ERANGE: 68, syscall.EROFS: errnoReadOnly, syscall.ESPIPE: errnoNoSeek, syscall.ESTALE: 72, syscall.ETIMEDOUT: 73, syscall.ETXTBSY: 74,
	syscall.EXDEV: errnoCrossDevice,
}

// errnoOf is what a guest is told of an error; EIO for what has no number.
func errnoOf(err error) errno {
	if err == nil {
		return errnoSuccess
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		if n, ok := errnos[e]; ok {
			return n
		}
	}
	return errnoIO
}
