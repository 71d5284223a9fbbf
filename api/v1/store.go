package apiv1

import (
	"fmt"
	"path"
	"strings"
)

// StorePlace is an object store, as an URL names it: a directory, or a prefix in a bucket.
type StorePlace struct {
	Bucket string // empty: a directory
	Path   string // of a directory, absolute; in a bucket what all keys begin with, which may be empty
}

const fileScheme, s3Scheme = "file://", "s3://"

// ParseStore reads the URL of an object store: file:///DIRECTORY, or s3://BUCKET/PREFIX.
func ParseStore(url string) (StorePlace, error) {
	if dir, ok := strings.CutPrefix(url, fileScheme); ok {
		if !strings.HasPrefix(dir, "/") || path.Clean(dir) == "/" || hasDots(dir) {
			return StorePlace{}, fmt.Errorf("%.80q names no directory: give file:// and an absolute path, such as file:///mnt/backup", url)
		}
		return StorePlace{Path: path.Clean(dir)}, nil
	}
	rest, ok := strings.CutPrefix(url, s3Scheme)
	if !ok {
		return StorePlace{}, fmt.Errorf("%.80q is no object store: give file:///DIRECTORY or s3://BUCKET/PREFIX", url)
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !validBucket(bucket) {
		return StorePlace{}, fmt.Errorf("%.80q names no bucket: give s3://BUCKET/PREFIX, with a bucket of 3 to 63 of a-z, 0-9, '.' and '-'", url)
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix != "" && (prefix != path.Clean(prefix) || strings.HasPrefix(prefix, "/") || hasDots(prefix)) {
		return StorePlace{}, fmt.Errorf("%.80q has a prefix with '.', '..' or '//' in it", url)
	}
	return StorePlace{Bucket: bucket, Path: prefix}, nil
}

func hasDots(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." || part == "." {
			return true
		}
	}
	return false
}

func validBucket(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return len(s) >= 3 && len(s) <= 63
}

// String is the URL, written in one way only.
func (p StorePlace) String() string {
	if p.Bucket == "" {
		return fileScheme + p.Path
	}
	if p.Path == "" {
		return s3Scheme + p.Bucket
	}
	return s3Scheme + p.Bucket + "/" + p.Path
}

// Blobs are all blobs that a manifest names.
func (m *CheckpointManifest) Blobs() (all []*Blob) {
	for _, r := range m.GetRanks() {
		all = append(all, r.Memory...)
		if r.State != nil {
			all = append(all, r.State)
		}
		all = append(all, r.Log...)
	}
	if m.GetFiles() != nil {
		all = append(all, m.Files)
	}
	all = append(all, m.GetFilesPieces()...)
	return all
}

// Needs are the digests of what the servers have of an app: its modules, and the files that it begins with.
func (s *AppSpec) Needs() []string {
	digests := s.Modules()
	if in := s.GetInputs(); in != nil {
		digests = append(append(digests, in.GetList()), in.GetPacks()...)
	}
	return digests
}
