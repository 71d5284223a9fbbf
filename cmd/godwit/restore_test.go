package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRestoreNamesACheckpoint: the URL of a store alone is told from one of a checkpoint.
func TestRestoreNamesACheckpoint(t *testing.T) {
	for given, ok := range map[string]bool{
		"ckpt-1": true, "file:///backup/ckpt-1": true, "s3://bucket/ckpt-1": true, "s3://bucket/deep/down/ckpt-1": true,
		"file:///backup": false, "s3://bucket": false, "s3://bucket/": false, "file:///backup/": false,
	} {
		at, ref := "", given
		if i := strings.LastIndex(given, "/"); i >= 0 {
			at, ref = given[:i], given[i+1:]
		}
		if err := namesCheckpoint(given, at, ref); ok {
			require.NoError(t, err, given)
		} else {
			require.ErrorContains(t, err, "names a store and no checkpoint", given)
		}
	}
	require.ErrorContains(t, namesCheckpoint("", "", ""), "names no checkpoint")
}
