package worker

import (
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
