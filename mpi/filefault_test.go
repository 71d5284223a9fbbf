package mpi

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// sharedDisk is a disk that the ranks of a test share, each through a faultyDisk.
type sharedDisk struct {
	mu sync.Mutex
	*disk
}

// faultyDisk is a rank's way to a disk. What is set of the errors is what happens to that rank alone.
type faultyDisk struct {
	*sharedDisk
	open, describe, write, read, change, sync, remove error
}

type faultyFile struct {
	d *faultyDisk
	f File
}

func (d *faultyDisk) OpenFile(name string, flags int) (uint32, error) {
	if d.open != nil {
		return 0, d.open
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.disk.OpenFile(name, flags)
}

func (d *faultyDisk) OpenedFile(number uint32) File {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.disk.OpenedFile(number); f != nil {
		return faultyFile{d, f}
	}
	return nil
}

func (d *faultyDisk) CloseFile(number uint32, remove bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.disk.CloseFile(number, remove && d.remove == nil); err != nil || !remove {
		return err
	}
	return d.remove
}

func (d *faultyDisk) RemoveFile(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.disk.RemoveFile(name)
}

// do does f, unless it fails here.
func (f faultyFile) do(fault error, do func() (int, error)) (int, error) {
	if fault != nil {
		return 0, fault
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return do()
}

func (f faultyFile) ReadAt(p []byte, at int64) (int, error) {
	return f.do(f.d.read, func() (int, error) { return f.f.ReadAt(p, at) })
}

func (f faultyFile) WriteAt(p []byte, at int64) (int, error) {
	return f.do(f.d.write, func() (int, error) { return f.f.WriteAt(p, at) })
}

func (f faultyFile) Describe() (id uint64, size int64, err error) {
	_, err = f.do(f.d.describe, func() (int, error) { id, size, err = f.f.Describe(); return 0, err })
	return id, size, err
}

func (f faultyFile) Truncate(size int64) error {
	_, err := f.do(f.d.change, func() (int, error) { return 0, f.f.Truncate(size) })
	return err
}

func (f faultyFile) Allocate(at, size int64) error {
	_, err := f.do(f.d.change, func() (int, error) { return 0, f.f.Allocate(at, size) })
	return err
}

func (f faultyFile) Sync() error {
	_, err := f.do(f.d.sync, func() (int, error) { return 0, f.f.Sync() })
	return err
}

// Where a faulty rank's program keeps things.
const (
	faultName   = 1024
	faultFile   = 2048
	faultReq    = 2052
	faultStrip  = 2056 // a filetype: this rank's ints of every round
	faultRep    = 1100
	faultInts   = 64 // of a rank's data
	faultNoType = 0x7777
)

// faults is a program in which something fails on one rank after the other, and a barrier after each: nobody may be left behind.
type faults struct {
	t *testing.T
	d *sharedDisk
}

// is checks the class of what a call returned.
func (s *faults) is(g *guest, what string, want int, got uint64) {
	if int(got) != want {
		panic(fmt.Sprintf("%s: rank %d has got %s, not %s", what, g.rank, abi.ClassName(int(got)), abi.ClassName(want)))
	}
}

// meet has all ranks meet, and checks that so many files are open then.
func (s *faults) meet(g *guest, what string, open int) {
	g.call("MPI_Barrier", abi.CommWorld)
	s.d.mu.Lock()
	n := 0
	for _, f := range s.d.open {
		n += truth(f != nil)
	}
	s.d.mu.Unlock()
	if n != open {
		panic(fmt.Sprintf("%s: %d files are open, not %d", what, n, open))
	}
	g.call("MPI_Barrier", abi.CommWorld)
}

func (s *faults) open(g *guest, amode int) uint64 {
	return g.call("MPI_File_open", abi.CommWorld, faultName, amode, abi.InfoNull, faultFile)
}

// run is the program.
func (s *faults) run(g *guest) {
	d := &faultyDisk{sharedDisk: s.d}
	g.files, g.bound = d, nil
	copy(g.mem[faultName:], "some file\x00")
	copy(g.mem[faultRep:], "native\x00")
	s.opens(g, d)
	g.call("MPI_Type_vector", 1, 1, g.size, tInt, faultStrip)
	g.call("MPI_Type_create_resized", g.int(faultStrip), 0, 4*g.size, faultStrip)
	g.call("MPI_Type_commit", faultStrip)
	s.is(g, "open", abi.Success, s.open(g, abi.ModeCreate|abi.ModeRdwr))
	for at := range g.size {
		s.views(g, at)
		s.sizes(g, d, at)
		s.accesses(g, at)
		s.disks(g, d, at)
	}
	s.meet(g, "accesses", g.size)
	s.closes(g, d)
}

// opens has MPI_File_open fail.
func (s *faults) opens(g *guest, d *faultyDisk) {
	const mode = abi.ModeCreate | abi.ModeRdwr
	for at := range g.size {
		here := g.rank == at
		d.open = pick[error](here, syscall.EACCES, nil)
		s.is(g, "open", abi.ErrAccess, s.open(g, mode))
		s.meet(g, "open", 0)
		d.open, d.describe = nil, pick[error](here, syscall.EIO, nil)
		s.is(g, "describe", abi.ErrIO, s.open(g, mode))
		s.meet(g, "describe", 0)
		d.describe = nil
		info := pick(here, 0x7777, abi.InfoNull)
		got := g.call("MPI_File_open", abi.CommWorld, faultName, mode, info, faultFile)
		s.is(g, "info", abi.ErrInfo, got)
		s.meet(g, "info", 0)
	}
	heap := g.heap
	g.heap = pick[uint32](g.rank == 0, heapEnd, heap) // there is no memory for the shared pointer
	s.is(g, "malloc", abi.ErrNoMem, s.open(g, mode))
	g.heap = heap
	s.meet(g, "malloc", 0)
}

// views has a rank want what is no view: all keep theirs.
func (s *faults) views(g *guest, at int) {
	fh := g.int(faultFile)
	view := func(filetype int) uint64 {
		return g.call("MPI_File_set_view", fh, 4*g.rank, tInt, filetype, faultRep, abi.InfoNull)
	}
	s.is(g, "view", abi.Success, view(g.int(faultStrip)))
	s.is(g, "view", abi.ErrType, view(pick(g.rank == at, faultNoType, tInt)))
	copy(g.mem[faultRep:], pick(g.rank == at, "external32\x00", "native\x00"))
	s.is(g, "datarep", abi.ErrNotSame, view(tInt))
	copy(g.mem[faultRep:], "native\x00")
	s.is(g, "info", abi.ErrInfo, g.call("MPI_File_set_info", fh, pick(g.rank == at, 0x7777, abi.InfoNull)))
}

// sizes has a rank not agree, or the disk, or a split access be under way on one rank.
func (s *faults) sizes(g *guest, d *faultyDisk, at int) {
	fh := g.int(faultFile)
	s.is(g, "set_size", abi.ErrArg, g.call("MPI_File_set_size", fh, pick(g.rank == at, -1, 0)))
	s.is(g, "preallocate", abi.ErrNotSame, g.call("MPI_File_preallocate", fh, pick(g.rank == at, 4, 0)))
	d.change = pick[error](g.rank == 0, syscall.ENOSPC, nil)
	s.is(g, "set_size", abi.ErrNoSpace, g.call("MPI_File_set_size", fh, 0))
	d.change = nil
	s.is(g, "begin", abi.Success, g.call("MPI_File_write_at_all_begin", fh, 0, sbuf, 4, tInt))
	if g.rank != at {
		s.is(g, "end", abi.Success, g.call("MPI_File_write_at_all_end", fh, sbuf, 0))
	}
	s.is(g, "split set_size", abi.ErrOther, g.call("MPI_File_set_size", fh, 0))
	s.is(g, "split close", abi.ErrOther, g.call("MPI_File_close", faultFile))
	if g.rank == at {
		s.is(g, "end", abi.Success, g.call("MPI_File_write_at_all_end", fh, sbuf, 0))
	}
}

// accesses has a rank say what is wrong: the others' data is in the file.
func (s *faults) accesses(g *guest, at int) {
	fh, here := g.int(faultFile), g.rank == at
	typ := pick(here, faultNoType, tInt)
	want := pick(here, abi.ErrType, abi.Success)
	for step, name := range []string{"write_at_all", "write_all", "write_ordered", "iwrite_at_all", "iwrite_all", "write_at_all_begin", "write_all_begin", "write_ordered_begin"} {
		what := "MPI_File_" + name
		for i := range faultInts {
			g.setInts(sbuf+4*i, 1000*step+100*at+10*i+g.rank)
		}
		g.call("MPI_File_seek", fh, 0, abi.SeekSet)
		g.call("MPI_File_seek_shared", fh, 0, abi.SeekSet)
		args := []int{fh}
		if step%5 == 0 || step == 3 {
			args = append(args, 0)
		}
		args = append(args, sbuf, faultInts, typ)
		starts, splits := name[0] == 'i', step >= 5
		switch {
		case starts:
			args = append(args, faultReq)
		case !splits:
			args = append(args, 0)
		}
		s.is(g, what, want, g.call(what, args...))
		switch {
		case here:
		case starts:
			s.is(g, what, abi.Success, g.call("MPI_Wait", faultReq, 0))
		case splits:
			s.is(g, what, abi.Success, g.call(what[:len(what)-len("begin")]+"end", fh, sbuf, 0))
		}
		g.call("MPI_Barrier", abi.CommWorld)
		if name[len(name)-1] != 'd' && name != "write_ordered_begin" { // in order of ranks each is elsewhere
			s.is(g, what, abi.Success, g.call("MPI_File_read_at", fh, 0, rbuf, faultInts, tInt, 0))
			if !here {
				require.Equal(s.t, g.ints(sbuf, faultInts), g.ints(rbuf, faultInts), "%s rank %d", what, g.rank)
			}
		}
		s.meet(g, what, g.size)
	}
	got := g.call("MPI_File_write_at_all", fh, pick(here, -1, 0), sbuf, faultInts, tInt, 0)
	s.is(g, "offset", pick(here, abi.ErrArg, abi.Success), got)
	s.is(g, "atomicity", abi.Success, g.call("MPI_File_set_atomicity", fh, 1))
	s.is(g, "atomic", want, g.call("MPI_File_write_at_all", fh, 0, sbuf, faultInts, typ, 0))
	s.is(g, "atomicity", abi.Success, g.call("MPI_File_set_atomicity", fh, 0))
}

// disks has a rank's disk be full, or not read: all hear of it, since it had the others' data.
func (s *faults) disks(g *guest, d *faultyDisk, at int) {
	fh := g.int(faultFile)
	d.write = pick[error](g.rank == at, syscall.ENOSPC, nil)
	wrote := g.call("MPI_File_write_at_all", fh, 0, sbuf, faultInts, tInt, 0)
	d.write = nil
	d.read = pick[error](g.rank == at, syscall.EIO, nil)
	read := g.call("MPI_File_read_at_all", fh, 0, rbuf, faultInts, tInt, 0)
	d.read = nil
	if at == 0 { // what there is is the first aggregator's
		s.is(g, "full", abi.ErrNoSpace, wrote)
		s.is(g, "read", abi.ErrIO, read)
	}
	d.sync = pick[error](g.rank == at, syscall.EIO, nil)
	s.is(g, "write", abi.Success, g.call("MPI_File_write_at", fh, 0, sbuf, 1, tInt, 0))
	s.is(g, "sync", abi.ErrIO, g.call("MPI_File_sync", fh))
	s.is(g, "sync again", abi.ErrIO, g.call("MPI_File_sync", fh))
	d.sync = nil
	s.is(g, "sync", abi.Success, g.call("MPI_File_sync", fh))
}

// closes has the last of a file fail: it is closed all the same, and all hear of it.
func (s *faults) closes(g *guest, d *faultyDisk) {
	for at := range g.size {
		s.is(g, "write", abi.Success, g.call("MPI_File_write_at", g.int(faultFile), 0, sbuf, 1, tInt, 0))
		d.sync = pick[error](g.rank == at, syscall.ENOSPC, nil)
		s.is(g, "close", abi.ErrNoSpace, g.call("MPI_File_close", faultFile))
		d.sync = nil
		s.meet(g, "close", 0)
		s.is(g, "open", abi.Success, s.open(g, abi.ModeRdwr|truth(at == g.size-1)*abi.ModeDeleteOnClose))
	}
	d.remove = pick[error](g.rank == 0, syscall.EACCES, nil)
	s.is(g, "delete", abi.ErrAccess, g.call("MPI_File_close", faultFile))
	s.meet(g, "delete", 0)
}

// What fails on one rank alone leaves no other waiting (MPI 5.0 section 14.7), still or moving.
func TestFileFaults(t *testing.T) {
	s := func() *faults { return &faults{t, &sharedDisk{disk: newDisk()}} }
	for _, size := range []int{2, 5} {
		run1(t, size, s().run)
	}
	first := seed(t)
	moves := 0
	for i := range uint64(4) {
		size := 2 + int(i%3)
		runCluster(t, smallConfig(size), 3, s().run, wanderer(rand.New(rand.NewPCG(first, i)), &moves))
	}
	require.Positive(t, moves)
}

// Who has no request left for a nonblocking collective access leaves nobody waiting either.
func TestFileRequestsRunOut(t *testing.T) {
	cfg := smallConfig(2)
	cfg.MaxRequests = 8
	disk := &sharedDisk{disk: newDisk()}
	for r, err := range runLocal(t, cfg, func(g *guest) {
		s := &faults{t, disk}
		g.files, g.bound = &faultyDisk{sharedDisk: disk}, nil
		copy(g.mem[faultName:], "some file\x00")
		s.is(g, "open", abi.Success, s.open(g, abi.ModeCreate|abi.ModeRdwr))
		if g.rank == 1 {
			for i := range cfg.MaxRequests {
				g.call("MPI_Irecv", rbuf, 1, tInt, 0, 7, abi.CommWorld, 4096+1024+4*i)
			}
		}
		got := g.call("MPI_File_iwrite_at_all", g.int(faultFile), 4*g.rank, sbuf, 1, tInt, faultReq)
		s.is(g, "iwrite", pick(g.rank == 1, abi.ErrOther, abi.Success), got)
		if g.rank == 0 {
			s.is(g, "wait", abi.Success, g.call("MPI_Wait", faultReq, 0))
			for range cfg.MaxRequests {
				g.call("MPI_Send", sbuf, 1, tInt, 1, 7, abi.CommWorld)
			}
		} else {
			g.call("MPI_Waitall", cfg.MaxRequests, 4096+1024, 0)
		}
		s.is(g, "close", abi.Success, g.call("MPI_File_close", faultFile))
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}

// An aggregator is charged for what it has of a round and knows of views, and gives that back; who has no room for it is none.
func TestAggregatorsAreCharged(t *testing.T) {
	const ints = 4 << 10
	for _, limit := range []int64{2 << 30, 100 << 10, 1 << 10} {
		cfg := smallConfig(2)
		cfg.MaxMemory = limit
		disk := &sharedDisk{disk: newDisk()}
		for r, err := range runLocal(t, cfg, func(g *guest) {
			s := &faults{t, disk}
			g.files, g.bound = &faultyDisk{sharedDisk: disk}, nil
			copy(g.mem[faultName:], "some file\x00")
			copy(g.mem[faultRep:], "native\x00")
			s.is(g, "open", abi.Success, s.open(g, abi.ModeCreate|abi.ModeRdwr))
			fh := g.int(faultFile)
			kept := g.p.kept
			g.call("MPI_Type_vector", 1, 1, 2, tInt, faultStrip)
			g.call("MPI_Type_create_resized", g.int(faultStrip), 0, 8, faultStrip)
			g.call("MPI_Type_commit", faultStrip)
			base := g.p.kept
			s.is(g, "view", abi.Success, g.call("MPI_File_set_view", fh, 4*g.rank, tInt, g.int(faultStrip), faultRep, abi.InfoNull))
			for i := range ints {
				g.setInts(sbuf+4*i, 2*i+g.rank)
			}
			g.call("MPI_Barrier", abi.CommWorld)
			s.is(g, "write", abi.Success, g.call("MPI_File_iwrite_at_all", fh, 0, sbuf, ints, tInt, faultReq))
			if g.p.requests[g.int(faultReq)-baseRequest].io.plan != nil && limit == 2<<30 {
				require.Greater(t, g.p.kept, base+4*ints)
			}
			s.is(g, "wait", abi.Success, g.call("MPI_Wait", faultReq, 0))
			switch limit {
			case 2 << 30:
				require.Greater(t, g.p.kept, base)
			case 1 << 10:
				require.Equal(t, base, g.p.kept)
			}
			s.is(g, "view", abi.Success, g.call("MPI_File_set_view", fh, 0, tInt, tInt, faultRep, abi.InfoNull))
			require.Equal(t, base, g.p.kept)
			s.is(g, "read", abi.Success, g.call("MPI_File_read_at_all", fh, 0, rbuf, 2*ints, tInt, 0))
			for i, v := range g.ints(rbuf, 2*ints) {
				require.Equal(t, i, v)
			}
			g.call("MPI_Type_free", faultStrip)
			s.is(g, "close", abi.Success, g.call("MPI_File_close", faultFile))
			require.LessOrEqual(t, g.p.kept, kept+1<<10) // what the vector was made of stays until its handle is freed
		}) {
			require.NoError(t, err, "rank %d", r)
		}
	}
}
