package worker

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/native"
)

// fits says whether code can be run here: whatever has made it where this host has no compiler itself, else what this host's makes.
func (k *codes) fits(n native.Name) bool {
	own := k.own
	return n.Translator == own.Translator && n.Flags == own.Flags && n.Level == own.Level && (own.Compiler == "" || n.Compiler == own.Compiler) && gradeOf(n.O) > 0
}

// files are the names of a module's code that is kept, as the files say: who uses one checks it.
func (k *codes) files(digest string) (names []native.Name) {
	entries, err := os.ReadDir(k.modules.codeDir(digest))
	if err != nil {
		return nil // there is none
	}
	for _, e := range entries {
		if !native.IsFile(e.Name()) {
			continue
		}
		path := filepath.Join(k.modules.codeDir(digest), e.Name())
		n, err := native.NameOf(path)
		if err == nil && (n.Module != digest || n.File() != e.Name()) {
			err = native.ErrSeal
		}
		if err != nil {
			k.unsound(path, err)
		}
		if err == nil {
			names = append(names, n)
		}
	}
	return names
}

// unsound removes a file that cannot be given to anybody, if that is its own fault.
func (k *codes) unsound(path string, err error) {
	if errors.Is(err, native.ErrSeal) {
		k.broken(path, err)
	}
}

// broken removes a file of code that is damaged, or that somebody has forged, or an older build has made.
func (k *codes) broken(path string, err error) {
	k.log.Warn("code that is kept of a module is not what it should be: it is removed, and made anew", "file", path, "err", err)
	k.modules.remove(path)
}

// kept is the best code of a module that this host keeps and can run; nil: there is none.
func (k *codes) kept(digest string) (best *apiv1.ExecCode) {
	if k.sealKey() == nil {
		return nil
	}
	defer k.refresh(digest) // what is not sound is removed
	for _, n := range k.files(digest) {
		if !k.fits(n) || gradeOf(n.O) <= best.GetGrade() {
			continue
		}
		if c := k.open(n); c != nil {
			best = c
		}
	}
	return best
}

// open checks code that is kept; nil: it is not what it should be, or cannot be read.
func (k *codes) open(n native.Name) *apiv1.ExecCode {
	path := k.path(n)
	sealed, err := k.read(n, path)
	if err != nil {
		k.unsound(path, err)
		return nil
	}
	_, object, _ := native.Unseal(k.sealKey(), sealed) // as read has
	sum := sha256.Sum256(object)
	return &apiv1.ExecCode{
		ModulePath: k.modules.file(n.Module), File: path, From: int64(len(sealed) - len(object)), Sha256: sum[:], Grade: gradeOf(n.O), Made: made(n),
	}
}

// path is where code is kept.
func (k *codes) path(n native.Name) string {
	return filepath.Join(k.modules.codeDir(n.Module), n.File())
}

// read reads a file of code, and checks that it is what its name says.
func (k *codes) read(n native.Name, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > native.MaxSealedBytes {
		return nil, fmt.Errorf("%w: it has %d bytes", native.ErrSeal, info.Size())
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	is, _, err := native.Unseal(k.sealKey(), sealed)
	if err == nil && is != n {
		err = fmt.Errorf("%w: it is %q", native.ErrSeal, is)
	}
	return sealed, err
}

// keep keeps sealed code beside the module, whole or not at all. The module must be in use.
func (k *codes) keep(n native.Name, sealed []byte) error {
	dir := k.modules.codeDir(n.Module)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError(err)
	}
	f, err := os.CreateTemp(dir, "code-*")
	if err != nil {
		return diskError(err)
	}
	_, err = f.Write(sealed)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), k.path(n)) // what a power cut leaves of it the seal tells
	}
	if err != nil {
		return diskError(errors.Join(err, os.Remove(f.Name())))
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

// refresh looks which code of a module is kept: its files may have changed.
func (k *codes) refresh(digest string) {
	names := k.files(digest)
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Equal(names, k.holds[digest]) {
		return
	}
	if k.holds[digest] = names; len(names) == 0 {
		delete(k.holds, digest)
	}
	k.isNews(digest)
}
