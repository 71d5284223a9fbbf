package raftnode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// readers are the ways into a stopped server's directory. Each returns what it has seen of the log.
func readers() map[string]func(dir string) (string, error) {
	quiet := slog.New(slog.DiscardHandler)
	return map[string]func(dir string) (string, error){
		"start": func(dir string) (string, error) {
			d, err := openDataDir(dir, quiet)
			if err != nil {
				return "", err
			}
			term, index, err := d.lastEntry()
			return fmt.Sprint(term, index, d.serverID()), errors.Join(err, d.close())
		},
		"dump": func(dir string) (seen string, err error) {
			s, err := OpenStoredLog(dir)
			if err != nil {
				return "", err
			}
			from, err := s.Restore(func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
			if err == nil {
				err = s.Entries(func(e StoredEntry) error { seen += fmt.Sprint(e.Index, " "); return nil })
			}
			return fmt.Sprint(from, seen), errors.Join(err, s.Close())
		},
		"recover": func(dir string) (string, error) {
			cfg := testConfig(dir, "127.0.0.1:0")
			s, err := OpenSurvivor(cfg, func() Machine { return &journal{} }, quiet)
			if err != nil {
				return "", err
			}
			err = s.Recover(&journal{}, "another")
			return fmt.Sprint(s.ID(), s.LastIndex), errors.Join(err, s.Close())
		},
	}
}

// TestFlippedBits flips bits of each page of raft.db, and cuts it at each, for each way into it: what cannot be read is said in one
// sentence. What no checksum covers may have changed; the entries that there are may not. A first page that is no more is skipped, as after a
// power cut in the midst of its writing: then the last write is missing.
func TestFlippedBits(t *testing.T) {
	p := single(t, nil)
	for _, k := range keys(strings.Repeat("entry", 200), 40) {
		propose(t, p, k)
	}
	p.stop(t)
	from := p.cfg.DataDir
	whole, err := os.ReadFile(filepath.Join(from, "raft", "raft.db"))
	require.NoError(t, err)
	for name, read := range readers() {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
			try := func(raftDB []byte) (string, error) {
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "raft", "raft.db"), raftDB, 0o600))
				seen, err := read(dir)
				if err != nil {
					require.ErrorContains(t, err, dir)
					require.NotContains(t, err.Error(), "\n")
					require.NotContains(t, err.Error(), "goroutine")
				}
				require.NoError(t, os.RemoveAll(dir))
				return seen, err
			}
			right, err := try(whole)
			require.NoError(t, err)
			failed := 0
			for page := 0; page < len(whole); page += 4096 {
				for i := range 12 {
					bad := bytes.Clone(whole)
					within := []int{pageHead, pageHead + 8*pageElem, 4096}[i%3] // bits that lead somewhere are at the beginning
					at := page + rnd.IntN(within)
					bad[at] ^= 1 << rnd.IntN(8)
					seen, err := try(bad)
					if err != nil {
						failed++
					} else if page >= 2*4096 {
						require.Equal(t, right, seen, "byte %d", at)
					}
				}
				if _, err := try(whole[:page]); err != nil {
					failed++
				}
				_, _ = try(whole[:page+rnd.IntN(4096)])
			}
			t.Log(len(whole)/4096, "pages,", failed, "errors")
			require.NotZero(t, failed)
		})
	}
}

// TestFileGoesWhileItIsRead: a disk that gives nothing any more, once the file is open, is said too.
func TestFileGoesWhileItIsRead(t *testing.T) {
	for name, read := range map[string]func(dir string, gone func()) error{
		"dump": func(dir string, gone func()) error {
			s, err := OpenStoredLog(dir)
			require.NoError(t, err)
			gone()
			return errors.Join(s.Entries(func(StoredEntry) error { return nil }), s.Close())
		},
		"recover": func(dir string, gone func()) error {
			s, err := OpenSurvivor(testConfig(dir, "127.0.0.1:0"), func() Machine { return &journal{} }, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			gone()
			return errors.Join(s.Recover(&journal{}, "another"), s.Close())
		},
		"raise the term": func(dir string, gone func()) error {
			s, err := OpenSurvivor(testConfig(dir, "127.0.0.1:0"), func() Machine { return &journal{} }, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			gone()
			return errors.Join(s.raiseTerm(), s.Close())
		},
		"last entry": func(dir string, gone func()) error {
			d, err := openDataDir(dir, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			gone()
			_, _, err = d.lastEntry()
			return errors.Join(err, d.identify(slog.New(slog.DiscardHandler)), d.close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := written(t)
			err := inTime(t, func() error {
				return read(dir, func() { require.NoError(t, os.Truncate(filepath.Join(dir, "raft", "raft.db"), 0)) })
			})
			require.ErrorContains(t, err, syscall.EIO.Error())
		})
	}
}
