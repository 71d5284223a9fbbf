package worker

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/native"
)

// keptCode is a file of a module's code. It does not change.
type keptCode struct {
	native.Name                 // as the file says
	file        fileID          // as it was when that was read
	code        *apiv1.ExecCode // as it was checked with the key of now; nil: it was not
}

// fileID tells a file from what it was before, and from another one in its place.
type fileID struct {
	dev, inode   uint64
	size         int64
	mtime, ctime syscall.Timespec
}

func fileIDOf(info fs.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
}

// keeps says whether code is of use to this host, or to those for which it compiles.
func (k *codes) keeps(n native.Name) bool {
	own := k.own
	return n.Translator == own.Translator && n.Flags == own.Flags && (own.Compiler == "" || n.Compiler == own.Compiler) && gradeOf(n.O) > 0
}

// fits says whether code can be run here: whatever has made it where this host has no compiler itself, else what this host's makes.
func (k *codes) fits(n native.Name) bool { return n.Level == k.own.Level && k.keeps(n) }

// path is where code is kept.
func (k *codes) path(n native.Name) string {
	return filepath.Join(k.modules.codeDir(n.Module), n.File())
}

// look looks which code of a module is kept and, where that is wanted here, for the best that can run; it checks all of it where that is in doubt. What is not sound, or of no use to anybody any more,
// is removed.
func (k *codes) look(digest string) {
	one := &k.looking[digest[len(digest)-1]&15]
	one.Lock()
	defer one.Unlock()
	k.mu.Lock()
	key, before, c, doubted := k.key, k.kept[digest], k.known[digest], k.doubted[digest]
	delete(k.doubted, digest)
	k.mu.Unlock()
	kept := k.files(digest, before)
	var best *apiv1.ExecCode
	kept = slices.DeleteFunc(kept, func(f *keptCode) bool {
		wanted := c != nil && best == nil && k.fits(f.Name)
		if key != nil && (doubted || wanted && f.code == nil) {
			code, err := k.check(f, key)
			if err != nil {
				k.unsound(k.path(f.Name), err)
				return true
			}
			f.code = code
		}
		if wanted {
			best = f.code
		}
		return false
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.wake.Set()
	if !bytes.Equal(key, k.key) {
		k.doubtAll(digest)
		return
	}
	if k.kept[digest] = kept; len(kept) == 0 {
		delete(k.kept, digest)
	}
	if c != nil {
		c.best, c.looked = best, !k.toLook[digest]
		k.forget(c)
		k.tell(c)
	}
	k.isNews(digest)
}

// doubtAll has all that is kept of a module be checked. Holds mu.
func (k *codes) doubtAll(digest string) {
	k.doubted[digest], k.toLook[digest] = true, true
	if c := k.known[digest]; c != nil {
		c.looked = false
	}
}

// files are the files of a module's code, those that can run here first, and the best of them. before is what was known of them.
func (k *codes) files(digest string, before []*keptCode) (out []*keptCode) {
	dir := k.modules.codeDir(digest)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // there is none
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !native.IsFile(e.Name()) {
			continue
		}
		f := &keptCode{file: fileIDOf(info)}
		path := filepath.Join(dir, e.Name())
		if at := slices.IndexFunc(before, func(b *keptCode) bool { return b.file == f.file }); at >= 0 {
			*f = *before[at]
		} else if f.Name, err = native.NameOf(path); err == nil && (f.Module != digest || f.File() != e.Name()) {
			err = native.ErrSeal
		}
		switch {
		case err != nil:
			k.unsound(path, err)
		case !k.keeps(f.Name):
			k.log.Info("code that is kept of a module is of an older version: it is removed", "file", path, "name", f.String())
			k.modules.remove(path)
		default:
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *keptCode) int {
		return cmp.Or(cmp.Compare(k.worth(b.Name), k.worth(a.Name)), strings.Compare(a.String(), b.String()))
	})
	return out
}

// worth orders code: what can run here is worth more.
func (k *codes) worth(n native.Name) int32 {
	if k.fits(n) {
		return gradeOf(n.O)
	}
	return 0
}

// check checks a file of code.
func (k *codes) check(c *keptCode, key []byte) (*apiv1.ExecCode, error) {
	path := k.path(c.Name)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	is, err := native.Check(key, f)
	if err == nil && is.Name != c.Name {
		err = native.ErrSeal
	}
	if err != nil {
		return nil, err
	}
	return &apiv1.ExecCode{ModulePath: k.modules.file(c.Module), File: path, From: is.From, Sha256: is.Sum[:], Grade: gradeOf(c.O), Made: made(c.Name)}, nil
}

// unsound removes a file that cannot be given to anybody, if that is its own fault: it is damaged, or somebody has forged it, or it was sealed with another key.
func (k *codes) unsound(path string, err error) {
	if errors.Is(err, native.ErrSeal) {
		k.log.Warn("code that is kept of a module is not what it should be: it is removed, and made anew", "file", path, "err", err)
		k.modules.remove(path)
	}
}

// tempCode begins the names of files that are being written. What a worker has left that was killed goes when the next one starts.
const tempCode = "code-"

// keep keeps code beside the module, whole or not at all: write writes it, sealed. The module must be in use.
func (k *codes) keep(n native.Name, write func(*os.File) error) error {
	key := k.sealKey()
	dir := k.modules.codeDir(n.Module)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError(err)
	}
	f, err := os.CreateTemp(dir, tempCode+"*")
	if err != nil {
		return diskError(err)
	}
	err = write(f)
	if closed := f.Close(); err == nil {
		err = diskError(closed)
	}
	if err == nil {
		err = diskError(os.Rename(f.Name(), k.path(n))) // what a power cut leaves of it the seal tells
	}
	if err != nil {
		k.modules.remove(f.Name())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !bytes.Equal(key, k.key) { // it may be sealed with the one before
		k.doubtAll(n.Module)
	}
	return err
}

// give opens code that another host wants; nil: there is none, or it is not what it should be any more. Then all that is kept of the module is looked at: others may be like it.
func (k *codes) give(n native.Name) *os.File {
	for range 2 { // the second time it was looked at
		k.mu.Lock()
		at := slices.IndexFunc(k.kept[n.Module], func(f *keptCode) bool { return f.Name == n })
		var c *keptCode
		if at >= 0 {
			c = k.kept[n.Module][at]
		}
		k.mu.Unlock()
		if c == nil {
			return nil
		}
		if c.code != nil {
			if f, err := os.Open(c.code.File); err == nil {
				if info, err := f.Stat(); err == nil && fileIDOf(info) == c.file {
					return f
				}
				_ = f.Close() // it was not read
			}
		}
		k.mu.Lock()
		k.doubted[n.Module] = true
		k.mu.Unlock()
		k.modules.measure(n.Module) // which ends in a look
	}
	return nil
}

// errNoKey is returned while the cluster's key is not known.
var errNoKey = errors.New("the cluster's key for machine code is not known yet")

// sealKey is the key of the cluster's seal; nil: it is not known yet.
func (k *codes) sealKey() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key
}
