package mpi

import (
	"fmt"

	"github.com/godwit-run/godwit/mpi/channel"
)

// Config bounds one app's world. All ranks of an app must use equal values,
// but for Host.
type Config struct {
	Size        int // ranks in MPI_COMM_WORLD, at least 1
	EagerLimit  int // bytes; longer messages to local ranks use rendezvous; default 16 KiB
	FarEager    int // bytes; the same for ranks elsewhere, where a rendezvous costs three trips; default 64 KiB
	WindowBytes int // bytes of unacked frames of a lane of a channel; default 4 MiB
	CreditBytes int // bytes of eager messages of a channel that no receive has taken; default 64 MiB for all channels of a rank, between 128 KiB and 2 MiB each
	ChunkBytes  int // bytes of payload in one DATA frame, and of one local copy under the lock; default 480 KiB
	MaxRequests int // live requests of a rank; default 65,536
	MaxScratch  int // bytes of scratch memory of a collective; default 1 GiB
	MaxObjects  int // communicators, datatypes, windows and the like of a rank, of each kind; default 65,536

	// MaxMemory bounds what the library keeps for a rank where the program chooses its length, in bytes; default 2 GiB.
	MaxMemory int64

	// Programs is what the ranks run, from rank 0 on, as they were started; default: one program of which nothing is known.
	Programs []Program

	Host string // the host's name, for MPI_COMM_TYPE_SHARED; equal on one host, and different between hosts
}

// Program is a run of ranks that were started with one program and one list of arguments.
type Program struct {
	Command string
	Args    []string
	Ranks   int
}

// programOf is what the rank was started with, and the program's number.
func (c *Config) programOf(rank Rank) (p Program, number int) {
	left := int(rank)
	for i, p := range c.Programs {
		if left -= p.Ranks; left < 0 {
			return p, i
		}
	}
	return Program{Ranks: c.Size}, 0
}

// DefaultConfig returns the defaults for a world of size ranks.
func DefaultConfig(size int) Config {
	return Config{
		Size:        size,
		EagerLimit:  16 << 10,
		FarEager:    64 << 10,
		WindowBytes: 4 << 20,
		CreditBytes: min(2<<20, max(64<<20/max(size, 1), 128<<10)),
		ChunkBytes:  480 << 10,
		MaxRequests: 64 << 10,
		MaxScratch:  1 << 30,
		MaxObjects:  64 << 10,
		MaxMemory:   2 << 30,
	}
}

// Validate reports the first value that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Size < 1 || c.Size > 1<<20:
		return fmt.Errorf("mpi config: size %d is not in 1..%d", c.Size, 1<<20)
	case c.EagerLimit < 0 || c.EagerLimit > c.ChunkBytes:
		return fmt.Errorf("mpi config: eager limit %d is not in 0..chunk bytes (%d)", c.EagerLimit, c.ChunkBytes)
	case c.FarEager < 0 || c.FarEager > c.ChunkBytes:
		return fmt.Errorf("mpi config: far eager limit %d is not in 0..chunk bytes (%d)", c.FarEager, c.ChunkBytes)
	case c.ChunkBytes < 1:
		return fmt.Errorf("mpi config: chunk bytes %d is not positive", c.ChunkBytes)
	case c.WindowBytes < 4*(c.ChunkBytes+channel.FrameCost):
		// A receiver acks each quarter window: a smaller window could fill up before the first ack.
		return fmt.Errorf("mpi config: window bytes %d is under 4 chunks (%d)", c.WindowBytes, 4*(c.ChunkBytes+channel.FrameCost))
	case c.CreditBytes < 0:
		return fmt.Errorf("mpi config: credit bytes %d is negative", c.CreditBytes)
	case c.MaxRequests < 1 || c.MaxRequests > 1<<24:
		return fmt.Errorf("mpi config: max requests %d is not in 1..%d", c.MaxRequests, 1<<24)
	case c.MaxObjects < 1 || c.MaxObjects > handleSpan/2:
		return fmt.Errorf("mpi config: max objects %d is not in 1..%d", c.MaxObjects, handleSpan/2)
	case c.MaxMemory < 0:
		return fmt.Errorf("mpi config: max memory %d is negative", c.MaxMemory)
	case c.MaxScratch < 0:
		return fmt.Errorf("mpi config: max scratch %d is negative", c.MaxScratch)
	}
	return c.validatePrograms()
}

func (c Config) validatePrograms() error {
	ranks := 0
	for i, p := range c.Programs {
		if p.Ranks < 1 {
			return fmt.Errorf("mpi config: program %d has %d ranks", i, p.Ranks)
		}
		ranks += p.Ranks
	}
	if len(c.Programs) > 0 && ranks != c.Size {
		return fmt.Errorf("mpi config: the programs have %d ranks, not %d", ranks, c.Size)
	}
	return nil
}
