package files

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// newServed is a server of a new home.
func newServed(t *testing.T) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{apiv1.HomeKept, apiv1.HomeScratch} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, part), 0o700))
	}
	trees, err := OpenHome(dir)
	require.NoError(t, err)
	input, err := NewInput(dir)
	require.NoError(t, err)
	s := NewServer(trees[0], trees[1], input)
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

// parts are what a server gives when it moves, as they are on their way.
func parts(t *testing.T, s *Server) (out [][]byte) {
	t.Helper()
	s.Seal()
	require.NoError(t, s.Quiet(t.Context()))
	sum, err := s.Sum(t.Context(), func(*apiv1.FileSum) {})
	require.NoError(t, err)
	require.NoError(t, s.Pack(context.Background(), sum, func(p *apiv1.FilePart) error {
		b, err := proto.Marshal(p)
		out = append(out, b)
		return err
	}))
	return out
}

// unpack takes parts.
func unpack(t *testing.T, dir string, all [][]byte) (*Unpacker, error) {
	t.Helper()
	u, err := NewUnpacker(dir)
	require.NoError(t, err)
	for _, b := range all {
		var p apiv1.FilePart
		require.NoError(t, proto.Unmarshal(b, &p))
		if err := u.Add(&p); err != nil {
			return u, err
		}
	}
	return u, nil
}

// move moves a server to another host.
func move(t *testing.T, s *Server) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	u, err := unpack(t, dir, parts(t, s))
	require.NoError(t, err)
	to, _, err := u.Server()
	require.NoError(t, err)
	t.Cleanup(func() { _ = to.Close() })
	return to, dir
}

// What a client has open, has done, and knows of files is the same when the home has moved, and moved again.
func TestServerMoves(t *testing.T) {
	s, _ := newServed(t)
	ask := &direct{server: s, random: rand.New(rand.NewPCG(1, 2)), client: 7}
	r, scratch := NewRemote(ask, false), NewRemote(ask, true)
	must := func(f File, err error) File { t.Helper(); require.NoError(t, err); return f }
	require.NoError(t, r.Mkdir("d"))
	named := must(r.Open("d/named", unix.O_RDWR|unix.O_CREAT))
	_, err := named.WriteAt(bytes.Repeat([]byte("0123456789"), packPiece/5), 5)
	require.NoError(t, err)
	sparse := must(r.Open("sparse", unix.O_RDWR|unix.O_CREAT))
	require.NoError(t, sparse.Truncate(1<<40))
	_, err = sparse.WriteAt([]byte("far"), 1<<39)
	require.NoError(t, err)
	require.NoError(t, r.Link("d/named", "other"))
	require.NoError(t, r.Symlink("\xff", "d/link"))
	require.NoError(t, r.Mkdir("strange \xfe"))
	gone := must(scratch.Open("gone", unix.O_RDWR|unix.O_CREAT))
	again := must(scratch.Open("gone", unix.O_WRONLY))
	_, err = gone.WriteAt([]byte("has no name"), 0)
	require.NoError(t, err)
	require.NoError(t, scratch.Unlink("gone"))
	require.NoError(t, r.Mkdir("left"))
	left := must(r.Open("left", unix.O_RDONLY|unix.O_DIRECTORY))
	require.NoError(t, r.Rmdir("left"))
	long := time.Unix(1000, 7)
	require.NoError(t, r.SetTimes("d", false, Times{long, long}))
	require.NoError(t, r.SetTimes("d/named", false, Times{long, long}))
	was, err := named.Stat()
	require.NoError(t, err)
	goneWas, err := gone.Stat()
	require.NoError(t, err)

	for range 2 {
		last := &apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_APPEND, Handle: named.(*remoteFile).handle, Data: []byte("x"), Client: 7, Lane: 1, Number: ask.number + 1}
		ask.number++
		done := ask.server.Do(last)
		to, _ := move(t, ask.server)
		require.Nil(t, ask.server.Try(last), "the old one does nothing any more")
		ask.server = to
		require.Equal(t, done.At, to.Do(last).At, "what was done is not done again")

		is, err := named.Stat()
		require.NoError(t, err)
		require.Equal(t, done.At, is.Size)
		require.Equal(t, was.ID, is.ID)
		require.Equal(t, was.Links, is.Links)
		byName, err := r.Stat("other", true)
		require.NoError(t, err)
		require.Equal(t, is, byName)
		require.NoError(t, named.Truncate(was.Size))
		d, err := r.Stat("d", true)
		require.NoError(t, err)
		require.Equal(t, long.UnixNano(), d.Changed)
		list, err := must(r.Open(".", unix.O_RDONLY|unix.O_DIRECTORY)).List()
		require.NoError(t, err)
		require.Len(t, list, 4)
		require.Equal(t, was.ID, list[1].ID)
		text, err := r.Readlink("d/link")
		require.NoError(t, err)
		require.Equal(t, "\xff", text)
		p := make([]byte, 11)
		_, err = gone.ReadAt(p, 0)
		require.NoError(t, err)
		require.Equal(t, "has no name", string(p))
		_, err = again.WriteAt([]byte("HAS"), 0)
		require.NoError(t, err)
		_, err = gone.ReadAt(p[:3], 0)
		require.NoError(t, err)
		require.Equal(t, "HAS", string(p[:3]), "both have the same file open")
		_, err = again.WriteAt([]byte("has"), 0)
		require.NoError(t, err)
		goneIs, err := gone.Stat()
		require.NoError(t, err)
		require.Equal(t, goneWas.ID, goneIs.ID)
		require.Zero(t, goneIs.Links)
		path, err := gone.Path()
		require.NoError(t, err)
		require.Empty(t, path)
		empty, err := left.Stat()
		require.NoError(t, err)
		require.Equal(t, Directory, empty.Kind)
		_, err = sparse.ReadAt(p[:3], 1<<39)
		require.NoError(t, err)
		require.Equal(t, "far", string(p[:3]))
		fresh := must(r.Open("fresh", unix.O_RDWR|unix.O_CREAT))
		info, err := fresh.Stat()
		require.NoError(t, err)
		require.NotEqual(t, was.ID, info.ID)
		require.NoError(t, fresh.Close())
		require.NoError(t, r.Unlink("fresh"))
	}
}

// A rank where the home is by now sees of files what ranks elsewhere see, and a hole stays one.
func TestHomeSeenFromBothSides(t *testing.T) {
	s, _ := newServed(t)
	r := NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, 2))}, false)
	f, err := r.Open("sparse", unix.O_RDWR|unix.O_CREAT)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(1<<30))
	was, err := f.Stat()
	require.NoError(t, err)
	_, dir := move(t, s)
	trees, err := OpenHome(dir)
	require.NoError(t, err)
	is, err := trees[0].Stat("sparse", true)
	require.NoError(t, err)
	require.Equal(t, was.ID, is.ID)
	var st syscall.Stat_t
	require.NoError(t, syscall.Stat(filepath.Join(dir, apiv1.HomeKept, "sparse"), &st))
	require.Less(t, st.Blocks, int64(100))
}

// The input goes along, and who waits for it is told that it is elsewhere.
func TestInputMoves(t *testing.T) {
	s, _ := newServed(t)
	res := s.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, Data: []byte("text")})
	require.Equal(t, int64(4), res.At)
	answer := make(chan *apiv1.FilesResponse)
	go func() {
		answer <- s.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, At: 4, Size: 10, Lane: 3, Flags: 2})
	}()
	require.Eventually(t, func() bool { s.input.mu.Lock(); defer s.input.mu.Unlock(); return len(s.input.passed) == 1 }, time.Minute, time.Millisecond)
	to, _ := move(t, s)
	require.Nil(t, <-answer)
	require.Equal(t, map[int32]int64{3: 4}, to.input.passed)
	res = to.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, At: 1, Size: 10})
	require.Equal(t, "ext", string(res.Data))
	s.Unseal()
	require.NotNil(t, s.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, At: 1, Size: 10}))
}

// What has come of an append that is not whole goes along, and who has left has left there too.
func TestPartsMove(t *testing.T) {
	s, _ := newServed(t)
	f := NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, 2)), client: 7}, false)
	file, err := f.Open("a", unix.O_RDWR|unix.O_CREAT)
	require.NoError(t, err)
	part := func(n uint64, flags int32) *apiv1.FilesRequest {
		return &apiv1.FilesRequest{
			Op: apiv1.FilesRequest_OP_APPEND, Handle: file.(*remoteFile).handle, Client: 7, Lane: 1, Number: 100 + n, Flags: flags, Data: []byte("part"),
		}
	}
	require.Zero(t, s.Do(part(1, partMore)).Errno)
	require.Zero(t, s.Do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_MKDIR, Path: "d", Client: 8, Lane: 1, Number: 1}).Errno)
	require.Zero(t, s.Do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_LEAVE, Client: 8}).Errno)
	to, _ := move(t, s)
	require.Equal(t, int64(8), to.Do(part(2, partRest)).At)
	write := func(n uint64, at int64, flags int32) *apiv1.FilesRequest {
		req := part(n, flags)
		req.Op, req.At = apiv1.FilesRequest_OP_WRITE, at
		return req
	}
	require.Zero(t, to.Do(write(3, 10, partMore)).At)
	again, _ := move(t, to)
	require.Equal(t, int64(8), again.Do(write(4, 14, partRest)).At)
	info, err := again.trees[0].Stat("a", true)
	require.NoError(t, err)
	require.Equal(t, int64(18), info.Size)
	require.NotZero(t, to.Do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_RMDIR, Path: "d", Client: 8, Lane: 1, Number: 1}).Errno)
}

// What does not come whole is not taken.
func TestDamagedHome(t *testing.T) {
	s, dir := newServed(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, apiv1.HomeKept, "a"), []byte("0123456789"), 0o600))
	all := parts(t, s)
	for i := range all {
		u, err := unpack(t, t.TempDir(), append(append([][]byte{}, all[:i]...), all[i+1:]...))
		require.False(t, err == nil && u.Whole(), "without part %d", i)
		_, _, err = u.Server()
		require.ErrorIs(t, err, ErrDamaged)
		require.NoError(t, u.Close())
	}
	for _, bad := range []*apiv1.FilePart{
		{Part: &apiv1.FilePart_Data{Data: &apiv1.FileData{Data: []byte("x")}}},
		{Part: &apiv1.FilePart_Entry{Entry: &apiv1.FileEntry{Path: []byte("../x"), Kind: uint32(Regular)}}},
		{Part: &apiv1.FilePart_Entry{Entry: &apiv1.FileEntry{Path: []byte("/x"), Kind: uint32(Directory)}}},
		{Part: &apiv1.FilePart_Handle{Handle: &apiv1.FileHandle{Path: []byte("../../etc/passwd")}}},
		{},
	} {
		u, err := NewUnpacker(t.TempDir())
		require.NoError(t, err)
		require.Error(t, u.Add(bad))
		require.NoError(t, u.Close())
	}
}

// A file without a name that is kept is the one that others have open, whoever adopts it, also when the home has moved meanwhile; it is adopted once.
func TestKeptIsTheSameFile(t *testing.T) {
	s, dir := newServed(t)
	var number uint64
	ask := func(req *apiv1.FilesRequest) *apiv1.FilesResponse {
		number++
		req.Number = number
		return s.Try(req)
	}
	ok := func(req *apiv1.FilesRequest) *apiv1.FilesResponse {
		t.Helper()
		res := ask(req)
		require.Zero(t, res.Errno, "%v", req)
		return res
	}
	read := func(client, handle uint64) string {
		t.Helper()
		return string(ok(&apiv1.FilesRequest{Client: client, Handle: handle, Op: apiv1.FilesRequest_OP_READ, Size: 100}).Data)
	}
	const rw, wo, ro = syscall.O_RDWR | syscall.O_CREAT, syscall.O_WRONLY, syscall.O_RDONLY
	ok(&apiv1.FilesRequest{Client: 1, Handle: 1, Op: apiv1.FilesRequest_OP_OPEN, Path: "f", Flags: rw})
	ok(&apiv1.FilesRequest{Client: 2, Handle: 1, Op: apiv1.FilesRequest_OP_OPEN, Path: "f", Flags: wo})
	own, err := os.OpenFile(filepath.Join(dir, apiv1.HomeKept, "f"), os.O_RDWR, 0)
	require.NoError(t, err)
	keep := &apiv1.FilesRequest{Client: 2, Handle: 1, Op: apiv1.FilesRequest_OP_KEEP, Kept: 7}
	ok(&apiv1.FilesRequest{Client: 1, Op: apiv1.FilesRequest_OP_UNLINK, Path: "f"})
	id := ok(&apiv1.FilesRequest{Client: 1, Handle: 1, Op: apiv1.FilesRequest_OP_FILE_STAT}).Info.Id
	ok(keep)
	ok(keep) // once more is the same
	require.Zero(t, s.KeepFile(&apiv1.FilesRequest{Client: 3, Kept: 8}, own).Errno)

	s, _ = move(t, s)
	ok(&apiv1.FilesRequest{Client: 4, Handle: 1, Op: apiv1.FilesRequest_OP_ADOPT, Keeper: 2, Kept: 7, Flags: wo})
	ok(&apiv1.FilesRequest{Client: 4, Handle: 2, Op: apiv1.FilesRequest_OP_ADOPT, Keeper: 3, Kept: 8, Flags: ro})
	require.EqualValues(t, syscall.ENOENT, ask(&apiv1.FilesRequest{Client: 4, Handle: 3, Op: apiv1.FilesRequest_OP_ADOPT, Keeper: 3, Kept: 8}).Errno)
	ok(&apiv1.FilesRequest{Client: 2, Op: apiv1.FilesRequest_OP_LEAVE})
	ok(&apiv1.FilesRequest{Client: 4, Handle: 1, Op: apiv1.FilesRequest_OP_WRITE, Data: []byte("hello")})
	require.Equal(t, "hello", read(1, 1))
	require.Equal(t, "hello", read(4, 2))
	require.Equal(t, id, ok(&apiv1.FilesRequest{Client: 4, Handle: 2, Op: apiv1.FilesRequest_OP_FILE_STAT}).Info.Id)
	require.Empty(t, s.kept)
	require.EqualValues(t, syscall.EBADF, ask(&apiv1.FilesRequest{Client: 4, Handle: 2, Op: apiv1.FilesRequest_OP_WRITE, Data: []byte("x")}).Errno)
}

// TestKeptByWhateverName: what is kept for a checkpoint while it has a name is that file where the home is then, whatever was renamed, replaced or removed before all stood still.
func TestKeptByWhateverName(t *testing.T) {
	s, dir := newServed(t)
	home := filepath.Join(dir, apiv1.HomeKept)
	text := map[string]string{"stays": "1", "moves": "22", "replaced": "333", "removed": "4444"}
	var number uint64
	ask := func(req *apiv1.FilesRequest) *apiv1.FilesResponse {
		t.Helper()
		number++
		req.Number = number
		res := s.Try(req)
		require.Zero(t, res.Errno, "%v", req)
		return res
	}
	ids := map[string]uint64{}
	for name, content := range text {
		require.NoError(t, os.WriteFile(filepath.Join(home, name), []byte(content), 0o600))
		handle := uint64(len(content))
		ask(&apiv1.FilesRequest{Client: 1, Handle: handle, Op: apiv1.FilesRequest_OP_OPEN, Path: name})
		ids[name] = ask(&apiv1.FilesRequest{Client: 1, Handle: handle, Op: apiv1.FilesRequest_OP_FILE_STAT}).Info.Id
		ask(&apiv1.FilesRequest{Client: 1, Handle: handle, Op: apiv1.FilesRequest_OP_KEEP, Kept: handle})
	}
	require.NoError(t, os.Mkdir(filepath.Join(home, "d"), 0o700))
	ask(&apiv1.FilesRequest{Client: 1, Handle: 9, Op: apiv1.FilesRequest_OP_OPEN, Path: "d"})
	ask(&apiv1.FilesRequest{Client: 1, Handle: 9, Op: apiv1.FilesRequest_OP_KEEP, Kept: 9})
	require.NoError(t, os.Rename(filepath.Join(home, "d"), filepath.Join(home, "e")))
	require.NoError(t, os.Rename(filepath.Join(home, "moves"), filepath.Join(home, "moved")))
	require.NoError(t, os.WriteFile(filepath.Join(home, "new"), []byte("new"), 0o600))
	require.NoError(t, os.Rename(filepath.Join(home, "new"), filepath.Join(home, "replaced")))
	require.NoError(t, os.Remove(filepath.Join(home, "removed")))

	s, _ = move(t, s)
	for name, content := range text {
		handle := uint64(len(content))
		ask(&apiv1.FilesRequest{Client: 2, Handle: handle, Op: apiv1.FilesRequest_OP_ADOPT, Keeper: 1, Kept: handle})
		require.Equal(t, content, string(ask(&apiv1.FilesRequest{Client: 2, Handle: handle, Op: apiv1.FilesRequest_OP_READ, Size: 100}).Data), name)
		require.Equal(t, ids[name], ask(&apiv1.FilesRequest{Client: 2, Handle: handle, Op: apiv1.FilesRequest_OP_FILE_STAT}).Info.Id, name)
	}
	ask(&apiv1.FilesRequest{Client: 2, Handle: 9, Op: apiv1.FilesRequest_OP_ADOPT, Keeper: 1, Kept: 9, Flags: syscall.O_DIRECTORY})
	require.Equal(t, "e", ask(&apiv1.FilesRequest{Client: 2, Handle: 9, Op: apiv1.FilesRequest_OP_PATH}).Text)
	require.Empty(t, s.kept)
}

// Nothing that is kept goes before it is adopted, however much that is up to the bound of all that is open; what is kept for a move that came to nothing goes when the file is closed, or
// its client leaves.
func TestKeptIsBounded(t *testing.T) {
	s, dir := newServed(t)
	f, err := os.Create(filepath.Join(dir, apiv1.HomeKept, "f"))
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // of a test
	require.NoError(t, os.Remove(f.Name()))
	keep := func(client, kept uint64) int32 {
		file, err := again(f, os.O_RDONLY)
		require.NoError(t, err)
		return s.KeepFile(&apiv1.FilesRequest{Client: client, Kept: kept}, file).Errno
	}
	var number uint64
	ask := func(client uint64, req *apiv1.FilesRequest) int32 {
		number++
		req.Client, req.Number = client, number
		return s.Try(req).Errno
	}
	adopt := func(keeper, kept uint64) int32 {
		return ask(9, &apiv1.FilesRequest{Handle: number + 1, Op: apiv1.FilesRequest_OP_ADOPT, Keeper: keeper, Kept: kept})
	}
	const many = 5000
	for n := range uint64(many) {
		require.Zero(t, keep(1, n+1))
	}
	require.Equal(t, many, s.files)
	require.Zero(t, adopt(1, 1))
	require.EqualValues(t, syscall.ENOENT, adopt(1, 1))
	require.Zero(t, keep(1, 1), "it has not moved after all")
	require.Zero(t, keep(1, 2), "it is kept once")
	require.Equal(t, many+1, s.files)
	require.Zero(t, ask(1, &apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_CLOSE, Handle: 1}))
	require.EqualValues(t, syscall.EBADF, ask(1, &apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_CLOSE, Handle: 1}))
	require.Equal(t, many, s.files)

	s.files += maxFiles - many
	require.EqualValues(t, syscall.ENFILE, keep(1, many+1))
	s.files -= maxFiles - many
	require.Zero(t, ask(1, &apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_LEAVE}))
	require.Empty(t, s.kept)
	require.Equal(t, 1, s.files, "what was adopted")
	require.EqualValues(t, syscall.EIO, keep(1, 3), "it has left")
}
