package worker

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDamagedWords: a file of the data directory that does not hold what a worker writes there ends it with a sentence that
// names the file.
func TestDamagedWords(t *testing.T) {
	for _, file := range []string{"node_id", "secret", nameFile, clusterFile} {
		for _, content := range []string{"\xff\xfe\x00", "two words", string(make([]byte, 1<<20))} {
			cfg := DefaultConfig()
			cfg.DataDir, cfg.Name, cfg.Slots, cfg.Executor, cfg.Listen = t.TempDir(), "w1", 1, []string{"/bin/false"}, "127.0.0.1:0"
			path := filepath.Join(cfg.DataDir, file)
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			_, err := New(cfg, nil, slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, path+" is damaged")
		}
	}
}

// TestAnotherName: a worker that is started on the directory of one of another name says what that hides.
func TestAnotherName(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Name, cfg.DataDir, cfg.Listen, cfg.Executor, cfg.Slots = "w2", t.TempDir(), "127.0.0.1:0", []string{"false"}, 1
	require.NoError(t, os.WriteFile(filepath.Join(cfg.DataDir, nameFile), []byte("w1\n"), 0o600))
	said := func() string {
		var out bytes.Buffer
		w, err := New(cfg, func() []string { return nil }, slog.New(slog.NewTextHandler(&out, nil)))
		require.NoError(t, err)
		require.NoError(t, errors.Join(w.listener.Close(), w.lock.Close()))
		return out.String()
	}
	require.Contains(t, said(), "a host's of another name")
	require.Contains(t, said(), "was=w1")
	cfg.Name = "w1"
	require.NotContains(t, said(), "another name")
}
