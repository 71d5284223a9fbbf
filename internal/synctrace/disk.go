// Package synctrace finds what a power cut would take back of what a function has written: it runs the function in a process of its own,
// watches its system calls, and keeps account of what has been synced. For tests.
package synctrace

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// disk is what is known of a directory's files and of what of them is on the disk for sure. Paths are absolute.
type disk struct {
	root    string
	there   map[string]bool // files and directories
	content map[string]bool // files with bytes that were not synced
	names   map[string]bool // names that were not synced in their directory
	moved   map[string]bool // names of what went to another directory, which were not synced away
	faults  []string
}

func newDisk(root string) *disk {
	return &disk{root: root, there: map[string]bool{root: true}, content: map[string]bool{}, names: map[string]bool{}, moved: map[string]bool{}}
}

// inside says whether a path is watched.
func (d *disk) inside(path string) bool {
	rel, err := filepath.Rel(d.root, path)
	return err == nil && filepath.IsLocal(rel)
}

// made is a file or a directory that was opened for writing, or made.
func (d *disk) made(path string) {
	if d.inside(path) && !d.there[path] {
		d.there[path], d.names[path] = true, true
	}
}

func (d *disk) written(path string) {
	if d.inside(path) {
		d.content[path] = true
	}
}

// synced is a file or a directory.
func (d *disk) synced(path string) {
	delete(d.content, path)
	for _, set := range []map[string]bool{d.names, d.moved} {
		maps.DeleteFunc(set, func(name string, _ bool) bool { return filepath.Dir(name) == path })
	}
}

// renamed is a fault where the bytes of a file are not there yet: after a power cut its new name may stand for nothing.
func (d *disk) renamed(from, to string) {
	if !d.inside(from) && !d.inside(to) {
		return
	}
	if d.content[from] {
		d.faults = append(d.faults, fmt.Sprintf("%s becomes %s before its bytes are on the disk", d.short(from), d.short(to)))
	}
	for _, set := range []map[string]bool{d.there, d.content, d.names} {
		for path := range maps.Clone(set) {
			if rel, err := filepath.Rel(from, path); err == nil && filepath.IsLocal(rel) {
				delete(set, path)
				set[filepath.Join(to, rel)] = true
			}
		}
	}
	d.there[to], d.names[to] = true, true
	if filepath.Dir(from) != filepath.Dir(to) && d.inside(from) {
		d.moved[from] = true
	}
}

func (d *disk) removed(path string) {
	delete(d.there, path)
	delete(d.content, path)
	delete(d.names, path)
}

// lost is what a power cut at this moment could take back, and what was done in the wrong order before.
func (d *disk) lost() []string {
	out := slices.Clone(d.faults)
	for _, path := range slices.Sorted(maps.Keys(d.content)) {
		out = append(out, "bytes of "+d.short(path))
	}
	for _, path := range slices.Sorted(maps.Keys(d.names)) {
		out = append(out, "the name of "+d.short(path))
	}
	for _, path := range slices.Sorted(maps.Keys(d.moved)) {
		out = append(out, "that "+d.short(path)+" has moved")
	}
	return out
}

func (d *disk) short(path string) string {
	if rel, err := filepath.Rel(d.root, path); err == nil {
		return rel
	}
	return path
}
