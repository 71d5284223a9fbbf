package apiv1

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStore(t *testing.T) {
	for url, want := range map[string]string{
		"file:///backup": "file:///backup", "file:///mnt/a/": "file:///mnt/a", "s3://bucket": "s3://bucket", "s3://bucket/": "s3://bucket",
		"s3://bucket.of-mine/a/b/": "s3://bucket.of-mine/a/b",
	} {
		p, err := ParseStore(url)
		require.NoError(t, err, url)
		require.Equal(t, want, p.String())
	}
	for _, url := range []string{
		"", "/backup", "file://backup", "file://", "file:///", "file:///a/../b", "s3://", "s3:///prefix", "s3://ab", "s3://Bucket/x", "s3://key:secret@bucket/x",
		"s3://bucket//x", "s3://bucket/a/../b", "s3://bucket/a//b", "https://bucket/x",
	} {
		_, err := ParseStore(url)
		require.Error(t, err, url)
	}
}
