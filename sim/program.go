package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/mpi/abi"
)

// program is what an app's ranks run: a script that a seed makes. All of a rank's state is in its memory, so an image of that and of its MPI state is all of it. Every step folds what came of
// others into a digest, and what it prints shows that, so what is lost, doubled or overtaken shows in the output.
type program struct {
	seed  uint64
	size  int32
	steps int32
	calls map[string]*mpi.Call
}

// Kinds of steps.
const (
	stepRing   = iota // everybody sends to the next, and receives from the one before
	stepPairs         // even ranks send three messages, one way
	stepReduce        // a collective
	stepPrint         // and no message
	kinds
)

// Where things are in a rank's memory.
const (
	atStep   = 0
	atPart   = 4 // of the step
	atDigest = 8
	atLines  = 16 // printed
	atFlag   = 24
	atReqs   = 32  // handles
	atSend   = 128 // ints
	atRecv   = 192
	memory   = 512

	typeInt  = 0x209 // MPI_INT
	tailTag  = 9999
	messages = 3 // of stepPairs, and of the tail
)

func newProgram(seed uint64, size, steps int32) *program {
	p := &program{seed: seed, size: size, steps: steps, calls: map[string]*mpi.Call{}}
	for _, c := range mpi.Calls() {
		switch c.Name {
		case "MPI_Init", "MPI_Isend", "MPI_Irecv", "MPI_Iallreduce", "MPI_Test":
			p.calls[c.Name] = c
		}
	}
	return p
}

// arena is a rank's memory.
type arena []byte

// Bytes implements mpi.Memory.
func (a arena) Bytes() []byte { return a }

func (a arena) int(at int) int32       { return int32(binary.LittleEndian.Uint32(a[at:])) }
func (a arena) setInt(at int, v int32) { binary.LittleEndian.PutUint32(a[at:], uint32(v)) }

func (a arena) digest() uint64 { return binary.LittleEndian.Uint64(a[atDigest:]) }

func (a arena) fold(v int32) {
	h := fnv.New64a()
	_, _ = h.Write(a[atDigest : atDigest+8])
	_, _ = h.Write(binary.LittleEndian.AppendUint32(nil, uint32(v)))
	binary.LittleEndian.PutUint64(a[atDigest:], h.Sum64())
}

func (p *program) kind(step int32) uint64 { return mix(p.seed+uint64(step)*0x9e3779b97f4a7c15) % kinds }

// mix is a good hash of a number.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// message is the i-th that a rank with a digest sends in a step.
func message(digest uint64, step, i int32) int32 {
	return int32(mix(digest + uint64(step)<<32 + uint64(i)))
}

// exchange is what a rank sends and receives in a step.
type exchange struct {
	to, from  int32 // < 0: nobody
	messages  int32
	collected bool // by MPI_Iallreduce
}

func (p *program) exchange(rank, step int32) exchange {
	none := exchange{to: -1, from: -1}
	if step >= p.steps { // the tail: rank 0 ends while others have not received what it has sent
		x := exchange{to: rank + 1, from: rank - 1, messages: messages}
		if x.to == p.size {
			x.to = -1
		}
		return x
	}
	switch p.kind(step) {
	case stepRing:
		return exchange{to: (rank + 1) % p.size, from: (rank + p.size - 1) % p.size, messages: 1}
	case stepPairs:
		switch {
		case rank%2 == 0 && rank+1 < p.size:
			return exchange{to: rank + 1, from: -1, messages: messages}
		case rank%2 == 1:
			return exchange{to: -1, from: rank - 1, messages: messages}
		}
		return none
	case stepReduce:
		return exchange{to: -1, from: -1, collected: true}
	}
	return none
}

// tag is the same for all messages of a step: they are told apart by their order alone.
func (p *program) tag(step int32) int {
	if step >= p.steps {
		return tailTag
	}
	return int(step)
}

// errOver is returned by run when the program has ended.
var errOver = errors.New("the program has ended")

// rankRun is one instruction of a rank's program.
type rankRun struct {
	*program

	rank int32
	proc *mpi.Proc
	mem  arena
}

func (r *rankRun) call(name string, args ...int) error {
	params := make([]uint64, len(args))
	for i, v := range args {
		params[i] = uint64(uint32(int32(v)))
	}
	_, err := r.proc.Invoke(r.calls[name], params)
	return err
}

// run does one instruction of a rank's program: mpi.ErrFrozen is returned where it stops, errOver at its end. say prints a line, and done is called when a step is done.
func (p *program) run(rank int32, proc *mpi.Proc, mem arena, say func(string), done func(step int32)) error {
	r := rankRun{p, rank, proc, mem}
	step, part := mem.int(atStep), mem.int(atPart)
	switch {
	case step > p.steps:
		return errOver
	case step == 0 && part == 0:
		if err := r.call("MPI_Init", 0, 0); err != nil {
			return err
		}
		mem.fold(rank)
		mem.setInt(atPart, 1)
		return nil
	}
	x := p.exchange(rank, step)
	receives, reqs := x.requests()
	at := part - 1 // requests are posted, in order, then tested
	if at < 2*reqs {
		again, err := r.request(x, step, at, receives, reqs)
		if err == nil && !again {
			mem.setInt(atPart, part+1)
		}
		return err
	}
	if x.collected {
		receives = 1
	}
	for i := range receives {
		mem.fold(mem.int(atRecv + 4*int(i)))
	}
	if step == p.steps || p.kind(step) == stepPrint {
		say(fmt.Sprintf("rank %d step %d: %016x", rank, step, mem.digest()))
		mem.setInt(atLines, mem.int(atLines)+1)
	}
	done(step)
	mem.setInt(atStep, step+1)
	mem.setInt(atPart, 1)
	return nil
}

// requests are how many an exchange has, those of receives first.
func (x exchange) requests() (receives, all int32) {
	if x.collected {
		return 0, 1
	}
	if x.from >= 0 {
		receives = x.messages
	}
	if all = receives; x.to >= 0 {
		all += x.messages
	}
	return receives, all
}

// request posts a request of a step, or tests it: again says that it has to be tested again.
func (r *rankRun) request(x exchange, step, at, receives, reqs int32) (again bool, err error) {
	tag := r.tag(step)
	switch {
	case at >= reqs:
		r.mem.setInt(atFlag, 0)
		err := r.call("MPI_Test", atReqs+4*int(at-reqs), atFlag, 0)
		return r.mem.int(atFlag) == 0, err
	case at < receives:
		return false, r.call("MPI_Irecv", atRecv+4*int(at), 1, typeInt, int(x.from), tag, abi.CommWorld, atReqs+4*int(at))
	}
	i := at - receives
	v := message(r.mem.digest(), step, i)
	if x.collected {
		v &= 0xffff // sums do not overflow
	}
	r.mem.setInt(atSend+4*int(i), v)
	if x.collected {
		return false, r.call("MPI_Iallreduce", atSend, atRecv, 1, typeInt, abi.OpSum, abi.CommWorld, atReqs)
	}
	return false, r.call("MPI_Isend", atSend+4*int(i), 1, typeInt, int(x.to), tag, abi.CommWorld, atReqs+4*int(at))
}

// output is what each rank prints if nothing disturbs it, by a plain computation.
func (p *program) output() [][]string {
	out, mem := make([][]string, p.size), make([]arena, p.size)
	for r := range mem {
		mem[r] = make(arena, memory)
		mem[r].fold(int32(r))
	}
	for step := range p.steps + 1 {
		before := make([]uint64, p.size)
		for r := range mem {
			before[r] = mem[r].digest()
		}
		sum := int32(0)
		for _, d := range before {
			sum += message(d, step, 0) & 0xffff
		}
		for r := range p.size {
			x := p.exchange(r, step)
			if x.collected {
				mem[r].fold(sum)
			} else if x.from >= 0 {
				for i := range x.messages {
					mem[r].fold(message(before[x.from], step, i))
				}
			}
			if step == p.steps || p.kind(step) == stepPrint {
				out[r] = append(out[r], fmt.Sprintf("rank %d step %d: %016x", r, step, mem[r].digest()))
			}
		}
	}
	return out
}
