package native

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNotKept is returned when a directory has no object of a module that was made as this compiler makes them.
var ErrNotKept = errors.New("no object of the module is kept")

// file is where a directory has the object of a module: objects that were made of another module, or otherwise, have other names.
func (c Compiler) file(ctx context.Context, dir string, wasm []byte) (string, error) {
	how, err := c.Describe(ctx)
	if err != nil {
		return "", err
	}
	module := sha256.Sum256(wasm)
	key := sha256.Sum256(append(module[:], how...))
	return filepath.Join(dir, fmt.Sprintf("native-%x.so", key[:16])), nil
}

// Kept returns the object of a module that a directory has; "" has none. Errors: ErrNotKept, if there is none or it is damaged, and ErrNoCompiler.
func (c Compiler) Kept(ctx context.Context, dir string, wasm []byte) ([]byte, error) {
	file, err := c.file(ctx, dir, wasm)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, ErrNotKept
	}
	object, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	if len(object) < sha256.Size {
		return nil, fmt.Errorf("%w: %s is cut short", ErrNotKept, file)
	}
	sum := sha256.Sum256(object[sha256.Size:])
	if !bytes.Equal(sum[:], object[:sha256.Size]) {
		return nil, fmt.Errorf("%w: %s is damaged", ErrNotKept, file)
	}
	return object[sha256.Size:], nil
}

// Keep has a directory keep the object of a module, with its checksum: whole, or not at all.
func (c Compiler) Keep(ctx context.Context, dir string, wasm, object []byte) error {
	file, err := c.file(ctx, dir, wasm)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(dir, "native-*")
	if err != nil {
		return fmt.Errorf("keep an object: %w", err)
	}
	sum := sha256.Sum256(object)
	_, err = out.Write(append(sum[:], object...))
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Rename(out.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep an object: %w", err), os.Remove(out.Name()))
	}
	return nil
}
