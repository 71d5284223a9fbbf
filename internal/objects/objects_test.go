package objects

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// envS3Server names a program that is an S3 server, versitygw; empty: there is only the fake one. `make test-s3` sets it.
const envS3Server = "GODWIT_S3_SERVER"

// theSecret is a secret that stands in no error.
const theSecret = "hush-hush"

// credentials are what openS3 finds.
func credentials(t *testing.T, endpoint, key string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": theSecret, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
}

// realS3 starts an S3 server, which has the bucket.
func realS3(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, fakeBucket), 0o755))
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	server := exec.CommandContext(t.Context(), program, "--access", "key", "--secret", theSecret, "--port", addr, "--quiet", "posix", dir)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(t, func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	return "http://" + addr
}

// stores are all kinds. spoil changes an object behind the store's back.
func stores(t *testing.T, test func(t *testing.T, open func(url string) Store, url string)) {
	open := func(t *testing.T) func(string) Store {
		return func(url string) Store {
			if dir, ok := strings.CutPrefix(url, "file://"); ok {
				require.NoError(t, os.MkdirAll(dir, 0o755))
			}
			s, err := Open(t.Context(), url)
			require.NoError(t, err)
			if b, ok := s.(*bucket); ok {
				b.whole = 5 << 20 // the least that a piece may be
			}
			return s
		}
	}
	t.Run("directory", func(t *testing.T) { test(t, open(t), "file://"+t.TempDir()) })
	t.Run("fake", func(t *testing.T) {
		_, endpoint := newFakeS3(t)
		credentials(t, endpoint, "key")
		test(t, open(t), "s3://"+fakeBucket)
	})
	t.Run("s3", func(t *testing.T) {
		program := os.Getenv(envS3Server)
		if program == "" {
			t.Skip("make test-s3 runs it: " + envS3Server + " names no server")
		}
		credentials(t, realS3(t, program), "key")
		test(t, open(t), "s3://"+fakeBucket)
	})
}

func list(t *testing.T, s Store, prefix string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	require.NoError(t, s.List(t.Context(), prefix, func(key string, size int64) error { found[key] = size; return nil }))
	return found
}

func TestStores(t *testing.T) {
	stores(t, func(t *testing.T, open func(string) Store, url string) {
		ctx, s := t.Context(), open(url+"/a/b")
		require.Empty(t, list(t, s, ""))
		_, err := Read(ctx, s, "x/1", 10)
		require.ErrorIs(t, err, ErrAbsent)
		require.NoError(t, s.Remove(ctx, "x/1"), "what is not there")
		want := map[string]int64{}
		for i := range 5 {
			key := fmt.Sprintf("x/%d", i)
			sent, err := s.Put(ctx, key, Text([]byte(key)))
			require.NoError(t, err)
			require.True(t, sent)
			want[key] = int64(len(key))
		}
		_, err = s.Put(ctx, "y", Text(nil))
		require.NoError(t, err)
		sent, err := s.Put(ctx, "x/1", Text([]byte("x/1")))
		require.NoError(t, err)
		require.False(t, sent, "it is there")
		require.Equal(t, want, list(t, s, "x/"))
		require.Len(t, list(t, s, ""), 6)
		require.Len(t, list(t, open(url), "a/b/x/"), 5, "the URL's path is a prefix")
		b, err := Read(ctx, s, "x/1", 3)
		require.NoError(t, err)
		require.Equal(t, "x/1", string(b))
		_, err = Read(ctx, s, "x/1", 2)
		require.Error(t, err)
		require.NoError(t, s.Remove(ctx, "x/1"))
		require.Len(t, list(t, s, "x/"), 4)
	})
}

// TestLargeObjects: what goes in several pieces is whole, or it is not there.
func TestLargeObjects(t *testing.T) {
	stores(t, func(t *testing.T, open func(string) Store, url string) {
		ctx, s := t.Context(), open(url+"/large")
		b := make([]byte, 12<<20+1)
		_, _ = rand.Read(b)
		o, heard := Text(b), 0
		o.Progress = func(n int) { heard += n }
		sent, err := s.Put(ctx, "big", o)
		require.NoError(t, err)
		require.True(t, sent)
		require.GreaterOrEqual(t, heard, len(b))
		var got bytes.Buffer
		_, err = Copy(ctx, s, "big", o.Digest, o.Size, &got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, got.Bytes()))

		bad := Text(b)
		bad.Digest = Text([]byte("another")).Digest
		_, err = s.Put(ctx, "bad", bad)
		require.Error(t, err, "it is not what it is said to be")
		_, err = Read(ctx, s, "bad", o.Size)
		require.ErrorIs(t, err, ErrAbsent)
	})
}

// TestDamage: what is not what it should be does not count.
func TestDamage(t *testing.T) {
	stores(t, func(t *testing.T, open func(string) Store, url string) {
		ctx, s := t.Context(), open(url+"/damage")
		good, other := Text([]byte("good")), Text([]byte("evil"))
		wrong := other
		wrong.Digest = good.Digest
		_, err := s.Put(ctx, "k", wrong)
		require.Error(t, err)
		require.Empty(t, list(t, s, ""))
		_, err = s.Put(ctx, "k", other)
		require.NoError(t, err)
		_, err = Copy(ctx, s, "k", good.Digest, good.Size, &bytes.Buffer{})
		require.ErrorContains(t, err, "damaged")
		_, err = Copy(ctx, s, "k", good.Digest, 5, &bytes.Buffer{})
		require.ErrorContains(t, err, "4 bytes, not 5")
	})
}

// TestRefusals: what is wrong is said, and no secret.
func TestRefusals(t *testing.T) {
	stores(t, func(t *testing.T, open func(string) Store, url string) {
		if _, ok := open(url).(directory); ok {
			t.Skip("there is nothing to be refused")
		}
		ctx := t.Context()
		fails := func(s Store, want string) {
			t.Helper()
			_, perr := s.Put(ctx, "k", Text([]byte("x")))
			_, gerr := Read(ctx, s, "k", 1)
			lerr := s.List(ctx, "", func(string, int64) error { return nil })
			for _, err := range []error{perr, gerr, lerr} {
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), theSecret)
			}
		}
		fails(open("s3://no-such-bucket"), "no-such-bucket")
		credentials(t, os.Getenv("AWS_ENDPOINT_URL"), "another")
		fails(open(url), "not allowed")
		credentials(t, "http://127.0.0.1:1", "key")
		fails(open(url), "refused")
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		fails(open(url), "credentials")
	})
}

// TestSilentBucket: one that does not answer is given up, and it is said why. Whoever reads an object may take its time.
func TestSilentBucket(t *testing.T) {
	f, endpoint := newFakeS3(t)
	credentials(t, endpoint, "key")
	s, err := Open(t.Context(), "s3://"+fakeBucket)
	require.NoError(t, err)
	b := s.(*bucket)
	b.silence = 300 * time.Millisecond
	_, err = s.Put(t.Context(), "k", Text([]byte("x")))
	require.NoError(t, err)
	from, _, err := s.Get(t.Context(), "k")
	require.NoError(t, err)
	time.Sleep(2 * b.silence)
	got, err := io.ReadAll(from)
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
	require.NoError(t, from.Close())
	f.mu.Lock()
	f.hangs = true
	f.mu.Unlock()
	_, err = s.Put(t.Context(), "k", Text([]byte("x")))
	require.ErrorIs(t, err, errSilent)
	_, _, err = s.Get(t.Context(), "k")
	require.ErrorIs(t, err, errSilent)
	require.ErrorIs(t, s.List(t.Context(), "", nil), errSilent)
	require.ErrorIs(t, s.Remove(t.Context(), "k"), errSilent)
	err = b.send(t.Context(), "k", strings.NewReader("x"), nil, func(ctx context.Context, _ io.ReadSeeker) error { <-ctx.Done(); return ctx.Err() })
	require.ErrorIs(t, err, errSilent)
	require.NotContains(t, err.Error(), "context")
}

// TestFullDirectory: nothing partial is left in a store that is full, and one that is not there is not made.
func TestFullDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("godwit-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	s, err := Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	_, err = s.Put(t.Context(), "a/b", Text(make([]byte, 1<<20)))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.False(t, e.Type().IsRegular(), path)
		return err
	}))
	s, err = Open(t.Context(), "file://"+filepath.Join(dir, "none"))
	require.NoError(t, err)
	_, err = s.Put(t.Context(), "a", Text(nil))
	require.ErrorContains(t, err, "mount it")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	s, err = Open(t.Context(), "file://"+t.TempDir())
	require.NoError(t, err)
	_, err = s.Put(over, "a", Text([]byte("x")))
	require.ErrorIs(t, err, context.Canceled)
	for _, key := range []string{"../x", "/etc/passwd", ""} {
		_, err = s.Put(t.Context(), key, Text(nil))
		require.Error(t, err, key)
	}
}

// TestHalfAnObject: what a process has left that is no more is no object, and goes; objects are as open as their store.
func TestHalfAnObject(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o750)) //nolint:gosec // what is looked at
	s, err := Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	_, err = s.Put(t.Context(), "a/b", Text([]byte("x")))
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "a/b"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
	young, old := filepath.Join(dir, "a", comingPrefix+"1"), filepath.Join(dir, "a", comingPrefix+"2")
	for _, path := range []string{young, old} {
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	long := time.Now().Add(-2 * comingMost)
	require.NoError(t, os.Chtimes(old, long, long))
	require.Equal(t, map[string]int64{"a/b": 1}, list(t, s, ""))
	require.FileExists(t, young)
	require.NoFileExists(t, old)
}

// TestNoRegion: where nobody says in which region a bucket of Amazon's is, that is what is wrong.
func TestNoRegion(t *testing.T) {
	credentials(t, "", "key")
	_, err := openS3(t.Context(), apiv1.StorePlace{Bucket: fakeBucket})
	require.ErrorContains(t, err, "set AWS_REGION")
	t.Setenv("AWS_REGION", "eu-central-1")
	_, err = openS3(t.Context(), apiv1.StorePlace{Bucket: fakeBucket})
	require.NoError(t, err)
}

// TestReadingADirectoryIsCheap: what a read costs beside the bytes is for each MiB, whatever the reader asks for at a time.
func TestReadingADirectoryIsCheap(t *testing.T) {
	d := directory{dir: t.TempDir(), silence: time.Minute}
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "o"), bytes.Repeat([]byte("0123456789abcdef"), 1<<20), 0o600))
	sum := sha256.Sum256(bytes.Repeat([]byte("0123456789abcdef"), 1<<20))
	allocs := testing.AllocsPerRun(1, func() {
		n, err := Copy(t.Context(), d, "o", hex.EncodeToString(sum[:]), 16<<20, io.Discard)
		require.NoError(t, err)
		require.EqualValues(t, 16<<20, n)
	})
	require.Less(t, allocs, 600.)

	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "small"), []byte("0123456789"), 0o600))
	from, _, err := d.Get(t.Context(), "small")
	require.NoError(t, err)
	defer from.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(from)
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(b))
	require.Len(t, from.(*reading).buf, 11, "and no more for a small one")
}

// uploadsOf are the uploads under way in a bucket, by key.
func uploadsOf(t *testing.T, s Store) (keys []string) {
	t.Helper()
	b := s.(*bucket) //nolint:forcetypeassert // of a bucket
	out, err := b.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &b.prefix})
	require.NoError(t, err)
	for _, up := range out.Uploads {
		keys = append(keys, strings.TrimPrefix(*up.Key, b.prefix))
	}
	return keys
}

// TestTidy: what has come of uploads whose sender has ended is removed, under a prefix and nowhere else; objects stay.
func TestTidy(t *testing.T) {
	stores(t, func(t *testing.T, open func(string) Store, url string) {
		ctx, s := t.Context(), open(url+"/tidy")
		require.NoError(t, s.Tidy(ctx, "apps/a/"), "there is nothing")
		_, err := s.Put(ctx, "apps/a/x", Text([]byte("x")))
		require.NoError(t, err)
		left := []string{"apps/a/1", "apps/a/2", "apps/a/3", "apps/ab/1", "other/1"}
		b, isBucket := s.(*bucket)
		for _, key := range left {
			if !isBucket {
				path := filepath.Join(strings.TrimPrefix(url, "file://"), "tidy", filepath.Dir(key), comingPrefix+filepath.Base(key))
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte("half"), 0o600))
				continue
			}
			up, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: b.key(key), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
			require.NoError(t, err)
			piece := bytes.Repeat([]byte("p"), 1000)
			sum := sha256.Sum256(piece)
			_, err = b.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &b.name, Key: b.key(key), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(piece), ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
			})
			require.NoError(t, err)
		}
		remains := func() (keys []string) {
			if isBucket {
				return uploadsOf(t, s)
			}
			dir := filepath.Join(strings.TrimPrefix(url, "file://"), "tidy")
			require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
				if name, ok := strings.CutPrefix(filepath.Base(path), comingPrefix); ok {
					at, _ := filepath.Rel(dir, filepath.Join(filepath.Dir(path), name))
					keys = append(keys, at)
				}
				return err
			}))
			return keys
		}
		require.NoError(t, s.Tidy(ctx, "apps/a/"))
		require.ElementsMatch(t, []string{"apps/ab/1", "other/1"}, remains())
		require.Equal(t, map[string]int64{"apps/a/x": 1}, list(t, s, "apps/a/"))
		require.NoError(t, s.Tidy(ctx, ""))
		require.Empty(t, remains())
	})
}

// TestDamagedHere: what is not what it is said to be is not stored, and who stores it is told that the fault is here.
func TestDamagedHere(t *testing.T) {
	stores(t, func(t *testing.T, open func(string) Store, url string) {
		for _, n := range []int{10, 12 << 20} {
			o := Text(make([]byte, n))
			o.Digest = Text(nil).Digest
			_, err := open(url+"/damaged").Put(t.Context(), "apps/a/x", o)
			require.ErrorIs(t, err, ErrDamagedHere)
			require.Empty(t, list(t, open(url+"/damaged"), ""))
		}
	})
}

// TestTidyWithoutAList: a store that has no list of uploads, or does not show it, keeps what there is, and that is no trouble.
func TestTidyWithoutAList(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<Error><Code>MethodNotAllowed</Code><Message>no</Message></Error>"))
		}))
		defer srv.Close()
		credentials(t, srv.URL, "key")
		s, err := Open(t.Context(), "s3://"+fakeBucket)
		require.NoError(t, err)
		require.NoError(t, s.Tidy(t.Context(), "apps/a/"), status)
	}
}

// TestBrokenUpload: an upload that fails leaves no pieces; if the store cannot be told so, the next Tidy removes them.
func TestBrokenUpload(t *testing.T) {
	fake, endpoint := newFakeS3(t)
	credentials(t, endpoint, "key")
	s, err := Open(t.Context(), "s3://"+fakeBucket)
	require.NoError(t, err)
	s.(*bucket).whole = 5 << 20 //nolint:forcetypeassert // it is one
	big := Text(make([]byte, 12<<20))
	bad := big
	bad.Digest = Text(nil).Digest
	_, err = s.Put(t.Context(), "apps/a/bad", bad)
	require.Error(t, err)
	require.Empty(t, fake.pieces)

	fake.mu.Lock()
	fake.breaks = true
	fake.mu.Unlock()
	_, err = s.Put(t.Context(), "apps/a/big", big)
	require.Error(t, err)
	fake.mu.Lock()
	fake.breaks = false
	require.Contains(t, fake.pieces, "apps/a/big")
	fake.mu.Unlock()
	require.NoError(t, s.Tidy(t.Context(), "apps/a/"))
	require.Empty(t, fake.pieces)
}
