package trust

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is kept is read again as it was, and not at all where others may read it.
func TestKept(t *testing.T) {
	a := authority(t, "c1")
	key, request, err := Request()
	require.NoError(t, err)
	cert, err := a.Sign(request, Identity{"c1", Server, "s1"}, time.Now(), time.Hour)
	require.NoError(t, err)
	seal := make([]byte, KeySize)
	gossip, err := Derive(seal, "gossip")
	require.NoError(t, err)
	other, err := Derive(seal, "other")
	require.NoError(t, err)
	require.NotEqual(t, gossip, other)
	k := &Kept{Certificate: cert, Authority: a.Certificate(), Key: key, Gossip: [][]byte{gossip, other}, Seal: seal}

	dir := t.TempDir()
	got, err := Load(dir)
	require.NoError(t, err)
	require.Nil(t, got)
	require.NoError(t, k.Save(dir))
	got, err = Load(dir)
	require.NoError(t, err)
	require.Equal(t, k, got)
	h, err := got.Holder()
	require.NoError(t, err)
	require.Equal(t, "godwit://c1/server/s1", h.Identity().String())
	st, err := os.Stat(filepath.Join(dir, "tls", "identity.pem"))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, st.Mode().Perm())

	for path, modes := range map[string][2]os.FileMode{"tls": {0o750, 0o700}, "tls/identity.pem": {0o644, 0o600}} {
		require.NoError(t, os.Chmod(filepath.Join(dir, path), modes[0]))
		_, err = Load(dir)
		require.ErrorIs(t, err, ErrWide)
		require.ErrorContains(t, err, "chmod")
		require.NoError(t, os.Chmod(filepath.Join(dir, path), modes[1]))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tls/identity.pem"), []byte("-----BEGIN"), 0o600))
	_, err = Load(dir)
	require.ErrorContains(t, err, "is damaged")
	require.NoError(t, os.Remove(filepath.Join(dir, "tls/identity.pem")))
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(dir, "tls/identity.pem")))
	_, err = Load(dir)
	require.ErrorIs(t, err, ErrWide)
}
