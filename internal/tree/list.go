package tree

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Parse reads the list of a tree, and checks it: what is in it comes from elsewhere.
func Parse(t *apiv1.Tree, list []byte) (*apiv1.TreeList, error) {
	l := &apiv1.TreeList{}
	if err := proto.Unmarshal(list, l); err != nil {
		return nil, fmt.Errorf("the list of files is damaged: %w", err)
	}
	before := ""
	for _, e := range l.Entries {
		if !fs.ValidPath(e.Path) || e.Path == "." || e.Path <= before || strings.ContainsRune(e.Path, 0) {
			return nil, fmt.Errorf("the list of files is damaged: there is a file %.200q", e.Path)
		}
		before = e.Path
		sum := int64(0)
		for _, p := range e.Pieces {
			if int(p.Pack) >= len(t.Packs) || p.At < 0 || p.Size < 0 || p.At > packBytes || p.Size > packBytes {
				return nil, fmt.Errorf("the list of files is damaged: %s has bytes where there are none", e.Path)
			}
			sum += p.Size
		}
		if e.Kind == apiv1.TreeEntry_KIND_FILE && sum != e.Size || e.Size < 0 {
			return nil, fmt.Errorf("the list of files is damaged: %s has %d of %d bytes", e.Path, sum, e.Size)
		}
	}
	return l, nil
}

// Match says whether a path is one that a pattern names, as path.Match does; a pattern without a slash is tried with the last part of the path too,
// and a directory stands for all that is in it. Empty: all are named.
func Match(pattern, name string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	if pattern = path.Clean(pattern); pattern == "." {
		return true, nil
	}
	for part := name; ; part = path.Dir(part) {
		if ok, err := path.Match(pattern, part); ok || err != nil {
			return ok, err
		}
		if !strings.ContainsRune(pattern, '/') {
			if ok, _ := path.Match(pattern, path.Base(part)); ok {
				return true, nil
			}
		}
		if path.Dir(part) == "." {
			return false, nil
		}
	}
}
