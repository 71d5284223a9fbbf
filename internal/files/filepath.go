package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Path asks the kernel, which knows of all renames, and looks whether that is so. It does not know of another name of a file whose one was removed: that is
// looked for, and ESTALE if it is not found.
func (o *localFile) Path() (string, error) {
	for range pathTries {
		st, err := o.f.Stat()
		if err != nil {
			return "", errno(err)
		}
		info, err := o.tree.info(st)
		if err != nil || info.Links == 0 {
			return "", err
		}
		name, err := o.lastName()
		if err != nil || name == "." {
			return name, err
		}
		if have, err := o.tree.look(name, false); err == nil && os.SameFile(have, st) {
			return name, nil
		}
		if strings.HasSuffix(name, nameRemoved) {
			return o.tree.find(st)
		}
	}
	return "", syscall.ESTALE // it is renamed all the time
}

const (
	// nameRemoved is what the kernel adds to a name that was removed.
	nameRemoved = " (deleted)"
	// pathTries bounds how often a file is asked for its name while it is renamed.
	pathTries = 8
	// maxLooked bounds among how many a file's other name is looked for.
	maxLooked = 1 << 17
)

// lastName is by which name, in its tree, the kernel knows a file.
func (o *localFile) lastName() (string, error) {
	top, err := os.Readlink(descriptorPath(int(o.tree.dir.Fd())))
	if err != nil {
		return "", errno(err)
	}
	at, err := os.Readlink(descriptorPath(int(o.f.Fd())))
	if err != nil {
		return "", errno(err)
	}
	if at == top {
		return ".", nil
	}
	rest, inside := strings.CutPrefix(at, strings.TrimRight(top, "/")+"/")
	if !inside {
		return "", syscall.ESTALE // it was moved out of the tree, by somebody else
	}
	return rest, nil
}

// find looks for a file that has some name in the tree.
func (l *Local) find(file os.FileInfo) (found string, err error) {
	looked := 0
	err = l.walk(context.Background(), ".", func(f Found, _ error) error {
		switch looked++; {
		case looked > maxLooked:
			return fs.SkipAll
		case f.Stat != nil && os.SameFile(f.Stat, file):
			found = f.Path
			return fs.SkipAll
		}
		return nil // also if it has gone meanwhile, or nobody may look there
	})
	if errors.Is(err, fs.SkipAll) {
		err = nil
	}
	if err == nil && found == "" {
		err = syscall.ESTALE
	}
	return found, err
}
