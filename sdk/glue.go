package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The glue is compiled once for a compiler, and kept beside the unpacked SDK: configure scripts link hundreds of programs.

// maxGlue is how many glue objects are kept: of several compilers, C libraries and sizes of the unwind area.
const maxGlue = 16

// gluePattern matches the names of the objects that are kept.
const gluePattern = "glue-*.o"

// keptGlue is where the object that a command compiles is kept. The name tells what the object depends on: the SDK, the command, the compiler
// and the C library's headers.
func (p paths) keptGlue(command []string) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%q\n", filepath.Base(p.sdk), command)
	for _, file := range []string{command[0], filepath.Join(p.sysroot, wasiHeaders, "stdio.h"), filepath.Join(p.sysroot, "include", "stdio.h")} {
		if resolved, err := filepath.EvalSymlinks(file); err == nil {
			file = resolved
		}
		if st, err := os.Stat(file); err == nil {
			fmt.Fprintf(sum, "%s %d %d\n", file, st.Size(), st.ModTime().UnixNano())
		}
	}
	return filepath.Join(filepath.Dir(p.sdk), "glue-"+hex.EncodeToString(sum.Sum(nil))[:16]+".o")
}

// makeGlue runs the command, whose last two words are -o and an object, unless that is kept from an earlier link. That it cannot be kept costs time, and nothing else.
func (t Toolchain) makeGlue(ctx context.Context, lang Lang, a arguments, p paths, command []string, stdout, stderr io.Writer) (int, error) {
	object := command[len(command)-1]
	kept := p.keptGlue(command[:len(command)-2])
	if content, err := os.ReadFile(kept); err == nil && len(definedSymbols(content)) > 0 {
		_ = os.Chtimes(kept, time.Time{}, time.Now())
		if err := os.WriteFile(object, content, 0o600); err != nil {
			return 1, fmt.Errorf("scratch directory: %w", err)
		}
		return 0, nil
	}
	if code, err := t.step(ctx, lang, a, command, stdout, stderr); err != nil || code != 0 {
		return code, err
	}
	content, err := os.ReadFile(object)
	if err != nil {
		return 1, fmt.Errorf("glue: %w", err)
	}
	_ = keep(content, kept)
	dropGlue(filepath.Dir(kept))
	return 0, nil
}

// wrappedFile names the functions that the glue stands before, as the linker reads it.
const wrappedFile = "wrapped.txt"

// keep puts content at path, whole or not at all.
func keep(content []byte, path string) error {
	staged, err := os.CreateTemp(filepath.Dir(path), "new-glue-")
	if err != nil {
		return err
	}
	defer os.Remove(staged.Name()) //nolint:errcheck // it is gone if all went well
	_, err = staged.Write(content)
	if err := errors.Join(err, staged.Close()); err != nil {
		return err
	}
	return os.Rename(staged.Name(), path)
}

// dropGlue removes the objects that were used longest ago, over maxGlue.
func dropGlue(dir string) {
	names, err := filepath.Glob(filepath.Join(dir, gluePattern))
	if err != nil || len(names) <= maxGlue {
		return
	}
	used := func(name string) int64 {
		if st, err := os.Stat(name); err == nil {
			return st.ModTime().UnixNano()
		}
		return 0
	}
	slices.SortFunc(names, func(a, b string) int { return int(min(1, max(-1, used(a)-used(b)))) })
	for _, name := range names[:len(names)-maxGlue] {
		_ = os.Remove(name)
	}
}
