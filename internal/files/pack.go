package files

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// packPiece bounds the bytes of one part.
const packPiece = 256 << 10

// sumStep is after how many entries a count says how far it has come.
const sumStep = 64

// Sum is how much there is in the directories, as far as it holds still. found is told now and then how much that is so far.
func (s *Server) Sum(ctx context.Context, found func(*apiv1.FileSum)) (*apiv1.FileSum, error) {
	trees, err := s.locals()
	if err != nil {
		return nil, err
	}
	sum := &apiv1.FileSum{Moves: 1}
	if known := trees[0].ids; known != nil {
		sum.Moves = known.moves + 1
	}
	for _, tree := range trees {
		err := tree.walk(ctx, ".", func(f Found, err error) error {
			if sum.Looked++; sum.Looked%sumStep == 0 {
				found(&apiv1.FileSum{Files: sum.Files, Bytes: sum.Bytes, Looked: sum.Looked})
			}
			if err != nil || f.Stat.IsDir() {
				return nil //nolint:nilerr // it has gone meanwhile
			}
			sum.Files++
			if st, ok := f.Stat.Sys().(*syscall.Stat_t); ok {
				sum.Bytes += min(st.Size, st.Blocks*512)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// locals are the server's trees on this host's disk.
func (s *Server) locals() (trees [2]*Local, err error) {
	for i, t := range s.trees {
		l, ok := t.(*Local)
		if !ok {
			return trees, errors.New("the directory is not on this host")
		}
		trees[i] = l
	}
	return trees, nil
}

// Pack gives all that the server has, part by part: what an Unpacker makes the same of. The server is sealed.
func (s *Server) Pack(ctx context.Context, sum *apiv1.FileSum, send func(*apiv1.FilePart) error) error {
	trees, err := s.locals()
	if err != nil {
		return err
	}
	p := &packer{ctx: ctx, out: send, digest: sha256.New(), trees: trees, names: map[uint64]named{}, links: map[uint64]named{}}
	handles, err := p.handles(s)
	if err != nil {
		return err
	}
	if err := p.send(&apiv1.FilePart{Part: &apiv1.FilePart_Sum{Sum: sum}}); err != nil {
		return err
	}
	return p.all(s, handles)
}

// all gives the directories, and all else that the server has, but for the sum.
func (p *packer) all(s *Server, handles []openFile) error {
	for i := range p.trees {
		if err := p.directory(i, ".", nil); err != nil {
			return err
		}
	}
	if err := p.open(handles); err != nil {
		return err
	}
	if err := p.input(s.input); err != nil {
		return err
	}
	if err := p.lanes(s); err != nil {
		return err
	}
	err := s.locks.pack(func(m *apiv1.FileLocks) error { return p.send(&apiv1.FilePart{Part: &apiv1.FilePart_Locks{Locks: m}}) })
	if err != nil {
		return err
	}
	return p.out(&apiv1.FilePart{Part: &apiv1.FilePart_End{End: &apiv1.FileEnd{Digest: p.digest.Sum(nil)}}})
}

// named is a place in one of the trees.
type named struct {
	tree int
	path string
}

// packer goes over what a server has.
type packer struct {
	ctx    context.Context //nolint:containedctx // of the one call
	out    func(*apiv1.FilePart) error
	digest hash.Hash
	trees  [2]*Local
	names  map[uint64]named          // of what is open, by number; empty: it has none
	links  map[uint64]named          // of files with several names, the first of them
	stays  bool                      // the directories stay: only what the server knows is given
	held   func(inode uint64) string // where an executor of this host has a file without a name open; empty: none has
}

func (p *packer) send(part *apiv1.FilePart) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if err := addPart(p.digest, part); err != nil {
		return err
	}
	return p.out(part)
}

// addPart adds a part to the digest of all: the bytes of a file as they are, what else there is as a message.
func addPart(sum hash.Hash, part *apiv1.FilePart) error {
	var head [17]byte // of what kind the part is, where its bytes are, and how many
	if d := part.GetData(); d != nil {
		head[0] = 1
		binary.LittleEndian.PutUint64(head[1:], uint64(d.At))
		binary.LittleEndian.PutUint64(head[9:], uint64(len(d.Data)))
		sum.Write(head[:])
		sum.Write(d.Data)
		return nil
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(part)
	binary.LittleEndian.PutUint64(head[9:], uint64(len(b)))
	sum.Write(head[:])
	sum.Write(b)
	return err
}

func (p *packer) entry(e *apiv1.FileEntry) error {
	if p.stays {
		return nil
	}
	return p.send(&apiv1.FilePart{Part: &apiv1.FilePart_Entry{Entry: e}})
}

// directory gives a directory with what is in it; d describes it, nil at the top.
func (p *packer) directory(tree int, at string, d *apiv1.FileEntry) error {
	l := p.trees[tree]
	st, err := l.look(at, false)
	if err != nil {
		return err
	}
	if d == nil {
		if d, err = p.describe(tree, at, st); err != nil {
			return err
		}
		d.Path = nil
	}
	if err := p.entry(d); err != nil {
		return err
	}
	names, err := l.namesIn(at)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := p.file(tree, path.Join(at, name)); err != nil {
			return fmt.Errorf("%.200q: %w", path.Join(at, name), err)
		}
	}
	return p.entry(&apiv1.FileEntry{Scratch: tree == 1, Path: d.Path, Kind: d.Kind, Accessed: d.Accessed, Changed: d.Changed, Leave: true})
}

// describe is the entry of something in a tree.
func (p *packer) describe(tree int, at string, st os.FileInfo) (*apiv1.FileEntry, error) {
	info, err := p.trees[tree].info(st)
	if err != nil {
		return nil, err
	}
	inode := inodeOf(st)
	if _, open := p.names[inode]; open {
		p.names[inode] = named{tree, at}
	}
	e := &apiv1.FileEntry{
		Scratch: tree == 1, Path: []byte(at), Kind: uint32(info.Kind), Mode: uint32(st.Mode().Perm()), Id: info.ID, Accessed: info.Accessed, Changed: info.Changed,
	}
	if info.Kind != Regular {
		return e, nil
	}
	e.Size = info.Size
	if first, ok := p.links[inode]; ok && first.tree == tree {
		e.Same = []byte(first.path)
	} else if info.Links > 1 {
		p.links[inode] = named{tree, at}
	}
	return e, nil
}

// file gives what is at a path.
func (p *packer) file(tree int, at string) error {
	l := p.trees[tree]
	st, err := l.look(at, false)
	if err != nil {
		return err
	}
	e, err := p.describe(tree, at, st)
	switch {
	case err != nil:
		return err
	case Kind(e.Kind) == Directory:
		return p.directory(tree, at, e)
	case Kind(e.Kind) == Link:
		text, err := l.Readlink(at)
		if err != nil {
			return err
		}
		e.Text = []byte(text)
		return p.entry(e)
	case Kind(e.Kind) != Regular:
		return nil // nothing that a program has made
	}
	if err := p.entry(e); err != nil || e.Same != nil || p.stays {
		return err
	}
	f, err := l.file(at, unix.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	return p.data(f, e.Size)
}

// data gives the bytes of a file up to its end, but for its holes.
func (p *packer) data(f *os.File, size int64) error {
	return Pieces(f, size, func(at int64, b []byte) error {
		return p.send(&apiv1.FilePart{Part: &apiv1.FilePart_Data{Data: &apiv1.FileData{At: at, Data: b}}})
	})
}

// ErrShorter is returned when a file ends before it should.
var ErrShorter = errors.New("it has become shorter")

// Pieces gives the bytes of a file up to a size, but for its holes. The bytes are the receiver's.
func Pieces(f *os.File, size int64, give func(at int64, b []byte) error) error {
	for at := int64(0); at < size; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && from >= size {
			return nil // a hole up to the end
		}
		if err != nil {
			from = at // a file system that knows of none
		}
		b := make([]byte, min(packPiece, size-from))
		n, err := f.ReadAt(b, from)
		if n > 0 {
			if err := give(from, b[:n]); err != nil {
				return err
			}
		}
		at = from + int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: it ends at %d, and had %d bytes", ErrShorter, at, size)
		}
	}
	return nil
}

// inodeOf is a file's number on this host's disk; 0: it has none.
func inodeOf(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Ino
	}
	return 0
}

// openFile is a client's open file.
type openFile struct {
	client, handle uint64
	lane           int32
	append         []byte
	file           *localFile
	of             *opened // nil: it is kept
	info           Info
	inode          uint64
}

// handles are what clients have open, in an order; their names are looked for.
func (p *packer) handles(s *Server) ([]openFile, error) {
	out, err := s.allOpen()
	for i := range out {
		if err != nil {
			return nil, err
		}
		f := &out[i]
		if f.of != nil {
			f.of.lane.mu.Lock() // not while the server's is held: see Do
			f.append = f.of.parts
			f.of.lane.mu.Unlock()
		}
		if f.info, err = f.file.Stat(); err != nil {
			return nil, err
		}
		st, err := f.file.f.Stat()
		if err != nil {
			return nil, err
		}
		f.inode = inodeOf(st)
		p.names[f.inode] = named{}
	}
	slices.SortFunc(out, func(a, b openFile) int {
		kept := func(f openFile) int { return map[bool]int{true: 1}[f.of == nil] }
		return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.handle, b.handle), cmp.Compare(kept(a), kept(b)))
	})
	return out, err
}

// allOpen are what clients have open.
func (s *Server) allOpen() (out []openFile, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for client, c := range s.clients {
		lanes := map[*lane]int32{}
		for number, l := range c.lanes {
			lanes[l] = number
		}
		for handle, f := range c.files {
			l, ok := f.File.(*localFile)
			if !ok {
				return nil, errors.New("an open file is not on this host")
			}
			out = append(out, openFile{client: client, handle: handle, lane: lanes[f.lane], file: l, of: f})
		}
	}
	for keeper, of := range s.kept {
		for number, k := range of {
			tree, ok := s.trees[k.tree].(*Local)
			if !ok {
				return nil, errors.New("a file that is kept is not on this host")
			}
			out = append(out, openFile{client: keeper, handle: number, file: &localFile{k.file, tree}})
		}
	}
	return out, nil
}

// open gives what is open: by its name, or with its bytes, once.
func (p *packer) open(handles []openFile) error {
	given := map[uint64]bool{}
	for _, h := range handles {
		flags, err := unix.FcntlInt(h.file.f.Fd(), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		m := &apiv1.FileHandle{
			Client: h.client, Handle: h.handle, Scratch: h.file.tree == p.trees[1], Id: h.info.ID, Flags: int32(flags & unix.O_ACCMODE),
			Kind: uint32(h.info.Kind), Size: h.info.Size, Lane: h.lane, Append: h.append, Kept: h.of == nil,
		}
		name := p.names[h.inode]
		if name.path == "" && p.stays {
			m.Inode, m.Held = h.inode, p.held(h.inode)
		}
		if name.path != "" {
			m.Path, m.Scratch = []byte(name.path), name.tree == 1
		}
		if err := p.send(&apiv1.FilePart{Part: &apiv1.FilePart_Handle{Handle: m}}); err != nil {
			return err
		}
		if name.path != "" || m.Held != "" || given[h.inode] || h.info.Kind != Regular {
			continue
		}
		given[h.inode] = true
		if err := p.unnamed(h); err != nil {
			return err
		}
	}
	return nil
}

// unnamed gives the bytes of an open file without a name, which may be open for writing alone.
func (p *packer) unnamed(h openFile) error {
	f, err := h.file.Reader()
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	return p.data(f, h.info.Size)
}

// input gives the standard input.
func (p *packer) input(i *Input) error {
	i.mu.Lock()
	m := &apiv1.FileInput{Size: i.size, Read: i.read, Ended: i.ended, Gone: i.gone, Passed: maps.Clone(i.passed)}
	i.mu.Unlock()
	if err := p.send(&apiv1.FilePart{Part: &apiv1.FilePart_Input{Input: m}}); err != nil || p.stays {
		return err
	}
	return p.data(i.file, m.Size)
}

// lanes gives the last requests done, and the clients that have left, in the order in which they have.
func (p *packer) lanes(s *Server) error {
	for _, m := range s.allLanes() {
		if err := p.send(&apiv1.FilePart{Part: &apiv1.FilePart_Lane{Lane: m}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) allLanes() []*apiv1.FileLane {
	s.mu.Lock()
	var out []*apiv1.FileLane
	var lanes []*lane // of the first of these
	for client, c := range s.clients {
		for number, l := range c.lanes {
			out, lanes = append(out, &apiv1.FileLane{Client: client, Lane: number}), append(lanes, l)
		}
	}
	for _, client := range s.leaving {
		out = append(out, &apiv1.FileLane{Client: client, Left: true})
	}
	s.mu.Unlock()
	for i, l := range lanes { // not while the server's is held: see Do
		l.mu.Lock()
		out[i].Number, out[i].Answer = l.number, l.answer
		l.mu.Unlock()
	}
	return out
}
