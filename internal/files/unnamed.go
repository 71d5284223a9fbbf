package files

import (
	"errors"
	"os"
)

// Unnamed makes a file without a name in a directory of this host; empty: that for temporary files. It is gone with its closing.
func Unnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "unnamed-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Anonymous is such a file as a File.
func Anonymous(dir string) (File, error) {
	f, err := Unnamed(dir)
	if err != nil {
		return nil, err
	}
	return &localFile{f: f}, nil
}
