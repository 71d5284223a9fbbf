package files

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	none, shared, exclusive      = apiv1.FilesLock_TYPE_UNSPECIFIED, apiv1.FilesLock_TYPE_SHARED, apiv1.FilesLock_TYPE_EXCLUSIVE
	lockTest, lockSet, lockAwait = apiv1.FilesLock_WHAT_TEST, apiv1.FilesLock_WHAT_SET, apiv1.FilesLock_WHAT_WAIT
)

// lockRank is a rank that asks for locks, with its numbers.
type lockRank struct {
	rank   int32
	number uint64
	k      *locks
}

func (r *lockRank) request(l *apiv1.FilesLock) *apiv1.FilesRequest {
	l.Rank = r.rank
	r.number++
	return &apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_LOCK, Lane: r.rank, Number: r.number, Lock: l}
}

func (r *lockRank) ask(l *apiv1.FilesLock) syscall.Errno {
	return syscall.Errno(r.k.do(r.request(l)).Errno)
}

// waits asks for a lock, and returns when the request waits.
func (r *lockRank) waits(t *testing.T, l *apiv1.FilesLock) <-chan *apiv1.FilesResponse {
	t.Helper()
	answer := make(chan *apiv1.FilesResponse, 1)
	req := r.request(l)
	go func() {
		for res := r.k.do(req); ; res = r.k.do(req) {
			if res == nil || !res.More {
				answer <- res
				return
			}
		}
	}()
	require.Eventually(t, func() bool {
		r.k.mu.Lock()
		defer r.k.mu.Unlock()
		have := r.k.lockers[r.rank]
		return have != nil && have.number == req.Number && have.wish != nil
	}, lockWait, lockWait/5000)
	return answer
}

func lockOf(what apiv1.FilesLock_What, kind apiv1.FilesLock_Type, from, to int64) *apiv1.FilesLock {
	return &apiv1.FilesLock{What: what, Type: kind, From: from, To: to, Mount: "/work", File: 7}
}

// wholeLock is one of flock's.
func wholeLock(what apiv1.FilesLock_What, kind apiv1.FilesLock_Type) *apiv1.FilesLock {
	l := lockOf(what, kind, 0, 100)
	l.Whole, l.Opened = true, 1
	return l
}

func ranksOf(k *locks, n int) (ranks []*lockRank) {
	for i := range n {
		ranks = append(ranks, &lockRank{rank: int32(i), k: k})
	}
	return ranks
}

// Who asks what there is hears of the first lock in the way.
func TestLocksTellTheFirst(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 3)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 50, 59)))
	require.Zero(t, ranks[1].ask(lockOf(lockSet, exclusive, 20, 29)))
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 30, 39)))
	for from, want := range map[int64]int64{0: 20, 25: 20, 30: 30, 40: 50} {
		require.Equal(t, want, k.do(ranks[2].request(lockOf(lockTest, shared, from, 99))).Lock.From)
	}
}

// A lock that is granted may leave less than was held: who came before has another look.
func TestLocksGrantedForLess(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 3)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 0, 9)))
	require.Zero(t, ranks[1].ask(lockOf(lockSet, exclusive, 10, 19)))
	first := ranks[2].waits(t, lockOf(lockAwait, shared, 0, 9))
	second := ranks[0].waits(t, lockOf(lockAwait, shared, 0, 19))
	require.Zero(t, ranks[1].ask(lockOf(lockSet, none, 10, 19)))
	require.Zero(t, (<-second).Errno)
	require.Zero(t, (<-first).Errno)
}

// What is held is what a list of bytes says, whatever is set and let go.
func TestLocksOfRecords(t *testing.T) {
	const size, owners = 24, 4
	random := rand.New(rand.NewPCG(1, 2))
	k := newLocks()
	ranks := ranksOf(k, 2)
	var model [owners][size]apiv1.FilesLock_Type
	for range 20_000 {
		from := random.Int64N(size)
		l := lockOf(lockSet, apiv1.FilesLock_Type(random.IntN(3)), from, from+random.Int64N(size-from))
		owner := random.IntN(owners)
		l.Opened = uint64(owner / 2)
		free := true
		for other := range model {
			for at := l.From; at <= l.To && other != owner; at++ {
				free = free && (l.Type == none || model[other][at] == none || model[other][at] == shared && l.Type == shared)
			}
		}
		want := syscall.Errno(0)
		if !free {
			want = syscall.EAGAIN
		}
		test := lockOf(lockTest, max(l.Type, shared), l.From, l.To)
		test.Opened = l.Opened
		if l.Type != none {
			by := k.do(ranks[owner%2].request(test)).Lock
			require.Equal(t, free, by.Type == none)
		}
		require.Equal(t, want, ranks[owner%2].ask(l))
		for at := l.From; at <= l.To && free; at++ {
			model[owner][at] = l.Type
		}
		require.Equal(t, len(k.held[ofLock(l)]), k.count)
		for _, h := range k.held[ofLock(l)] {
			for at := h.From; at <= h.To; at++ {
				require.Equal(t, h.Type, model[int(h.Opened)*2+int(h.Rank)][at])
			}
		}
	}
}

// Who waits longest has it first; a close and an end let go; what is asked twice is done once.
func TestLocksAreWaitedFor(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 4)
	require.Zero(t, ranks[0].ask(wholeLock(lockAwait, exclusive)))
	first := ranks[1].waits(t, wholeLock(lockAwait, exclusive))
	second := ranks[2].waits(t, wholeLock(lockAwait, exclusive))
	third := ranks[3].waits(t, wholeLock(lockAwait, shared))
	require.Equal(t, syscall.EAGAIN, (&lockRank{rank: 9, k: k}).ask(wholeLock(lockSet, shared)))
	closes := wholeLock(apiv1.FilesLock_WHAT_CLOSE, none)
	require.Zero(t, ranks[0].ask(closes))
	require.Zero(t, (<-first).Errno)
	require.Empty(t, second)
	end := &apiv1.FilesLock{What: apiv1.FilesLock_WHAT_END}
	req := ranks[1].request(end)
	require.Zero(t, k.do(req).Errno)
	require.Zero(t, (<-second).Errno)
	require.Zero(t, k.do(req).Errno)
	require.Empty(t, third, "it was done once")
	require.Equal(t, int32(syscall.EIO), k.do(&apiv1.FilesRequest{Lane: 1, Number: req.Number - 1, Lock: end}).Errno, "an old one that came late")
	require.Zero(t, ranks[2].ask(wholeLock(lockSet, none)))
	require.Zero(t, (<-third).Errno)
	require.Equal(t, 1, k.count)
}

// A rank that stops waiting, for it moves, asks again with another number: the first is void, and gives it nothing when it is late.
func TestLocksAskedAgain(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 2)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 0, 9)))
	left := ranks[1].waits(t, lockOf(lockAwait, exclusive, 0, 9))
	again := ranks[1].waits(t, lockOf(lockAwait, exclusive, 0, 9))
	require.Equal(t, int32(syscall.EIO), (<-left).Errno)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, none, 0, 9)))
	require.Zero(t, (<-again).Errno)
	require.Zero(t, ranks[1].ask(lockOf(lockSet, none, 0, 9)))
	require.Zero(t, k.count)
}

// Ranks that wait for each other's locks are told, whoever came last; those that wait for an open file's are not.
func TestLocksInACircle(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 3)
	for i, r := range ranks {
		require.Zero(t, r.ask(lockOf(lockSet, exclusive, int64(i), int64(i))))
	}
	first := ranks[0].waits(t, lockOf(lockAwait, exclusive, 1, 1))
	second := ranks[1].waits(t, lockOf(lockAwait, shared, 2, 2))
	require.Equal(t, syscall.EDEADLK, ranks[2].ask(lockOf(lockAwait, exclusive, 0, 0)))
	require.Zero(t, ranks[2].ask(lockOf(lockSet, none, 2, 2)))
	require.Zero(t, (<-second).Errno)
	require.Zero(t, ranks[1].ask(lockOf(lockSet, none, 0, 9)))
	require.Zero(t, (<-first).Errno)
}

// A lock that is granted may itself make room for the next one.
func TestLocksGrantedOneByOne(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 3)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 15, 15)))
	require.Zero(t, ranks[1].ask(lockOf(lockSet, exclusive, 0, 9)))
	first := ranks[1].waits(t, lockOf(lockAwait, shared, 0, 20))
	second := ranks[2].waits(t, lockOf(lockAwait, shared, 0, 5))
	require.Zero(t, ranks[0].ask(lockOf(lockSet, none, 15, 15)))
	require.Zero(t, (<-first).Errno)
	require.Zero(t, (<-second).Errno)
	require.Empty(t, k.waiting)
}

// A circle is found whoever else is in the way; one through an open file's lock is not looked for.
func TestLocksInManyCircles(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 3)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, shared, 0, 0)))
	require.Zero(t, ranks[1].ask(lockOf(lockSet, shared, 0, 0)))
	require.Zero(t, ranks[2].ask(lockOf(lockSet, exclusive, 1, 1)))
	first := ranks[1].waits(t, lockOf(lockAwait, exclusive, 1, 1))
	require.Equal(t, syscall.EDEADLK, ranks[2].ask(lockOf(lockAwait, exclusive, 0, 0)))
	require.Zero(t, ranks[2].ask(lockOf(lockSet, none, 1, 1)))
	require.Zero(t, (<-first).Errno)

	k = newLocks()
	ranks = ranksOf(k, 2)
	opened := func(l *apiv1.FilesLock) *apiv1.FilesLock { l.Opened = 5; return l }
	require.Zero(t, ranks[0].ask(opened(lockOf(lockSet, exclusive, 0, 0))))
	require.Zero(t, ranks[1].ask(lockOf(lockSet, exclusive, 1, 1)))
	first = ranks[0].waits(t, lockOf(lockAwait, exclusive, 1, 1))
	second := ranks[1].waits(t, lockOf(lockAwait, exclusive, 0, 0))
	require.Empty(t, first)
	require.Zero(t, (&lockRank{rank: 0, number: ranks[0].number, k: k}).ask(opened(lockOf(lockSet, none, 0, 0))), "another thread's, as it were")
	require.Zero(t, (<-second).Errno)
	require.Equal(t, int32(syscall.EIO), (<-first).Errno)
}

// A rank that asks for the same again keeps its place.
func TestLocksKeepPlaces(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 3)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 0, 0)))
	ranks[1].waits(t, lockOf(lockAwait, exclusive, 0, 0))
	second := ranks[2].waits(t, lockOf(lockAwait, exclusive, 0, 0))
	first := ranks[1].waits(t, lockOf(lockAwait, exclusive, 0, 0))
	require.Zero(t, ranks[0].ask(lockOf(lockSet, none, 0, 0)))
	require.Zero(t, (<-first).Errno)
	require.Empty(t, second)
}

// A thousand who read and a thousand who write wait, one after the other: all who read have it at once, then one who writes.
func TestLocksOfManyWaiters(t *testing.T) {
	const many = 1000
	k := newLocks()
	ranks := ranksOf(k, 2*many+1)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 0, 0)))
	for i, r := range ranks[1:] {
		_, err := k.begin(r.request(lockOf(lockAwait, apiv1.FilesLock_Type(1+i%2), 0, 0)))
		require.NoError(t, err)
	}
	require.Zero(t, ranks[0].ask(lockOf(lockSet, none, 0, 0)))
	require.Equal(t, many, k.count)
	require.Len(t, k.waiting[ofLock(lockOf(lockSet, none, 0, 0))], many)
	for i, r := range ranks[1:] {
		if i%2 == 0 {
			require.Zero(t, r.ask(lockOf(lockSet, none, 0, 0)))
		}
	}
	require.Equal(t, 1, k.count, "one who writes has it")
}

// Two that share one and both want it alone have it one after the other.
func TestLocksConvert(t *testing.T) {
	k := newLocks()
	ranks := ranksOf(k, 2)
	for _, r := range ranks {
		require.Zero(t, r.ask(wholeLock(lockSet, shared)))
	}
	first := ranks[0].waits(t, wholeLock(lockAwait, exclusive))
	require.Zero(t, ranks[1].ask(wholeLock(lockAwait, exclusive)), "the other has let go of its own")
	require.Empty(t, first)
	require.Zero(t, ranks[1].ask(wholeLock(lockSet, none)))
	require.Zero(t, (<-first).Errno)
}

// A list that is full refuses what it has no room for, and changes nothing; what is held can be let go.
func TestLocksAreBounded(t *testing.T) {
	k := newLocks()
	r := ranksOf(k, 2)[0]
	for i := range maxLocks {
		l := lockOf(lockSet, exclusive, 0, 9)
		l.File = uint64(i)
		require.Zero(t, r.ask(l))
	}
	app := lockOf(lockAwait, exclusive, 0, 9)
	app.Mount = ""
	require.Zero(t, r.ask(app), "there is room for the library's own")
	require.NoError(t, k.pack(newLocks().unpack), "and it moves with the home")
	app.Type = none
	require.Zero(t, r.ask(app))
	require.Equal(t, syscall.ENOLCK, r.ask(lockOf(lockSet, none, 3, 4)), "two in place of one")
	require.Len(t, k.held[ofLock(lockOf(lockSet, none, 0, 0))], 1)
	other := lockOf(lockAwait, shared, 0, 9)
	other.Mount = "/tmp"
	require.Equal(t, syscall.ENOLCK, r.ask(other))
	require.Zero(t, r.ask(lockOf(lockSet, shared, 0, 9)))
	require.Zero(t, r.ask(lockOf(lockSet, none, 0, 4)))
	require.Zero(t, r.ask(lockOf(lockSet, none, 0, 9)))
	require.Zero(t, r.ask(other))
	require.Zero(t, r.ask(&apiv1.FilesLock{What: apiv1.FilesLock_WHAT_END}))
	require.Zero(t, k.count)
	require.Empty(t, k.held)
}

// All of it moves with the home: who holds, who waits, in which order, and what was answered.
func TestLocksMove(t *testing.T) {
	s, _ := newServed(t)
	k := s.locks
	ranks := ranksOf(k, 3)
	require.Zero(t, ranks[0].ask(lockOf(lockSet, exclusive, 0, 9)))
	held := ranks[0].number
	first := ranks[2].waits(t, lockOf(lockAwait, exclusive, 0, 9))
	second := ranks[1].waits(t, lockOf(lockAwait, exclusive, 5, 9))
	to, _ := move(t, s)
	require.Nil(t, <-first)
	require.Nil(t, <-second)
	require.Nil(t, s.Try(ranks[0].request(lockOf(lockSet, none, 0, 9))))
	next := to.locks
	again := func(r *lockRank, l *apiv1.FilesLock) <-chan *apiv1.FilesResponse {
		r.k = next
		r.number-- // the same request
		return r.waits(t, l)
	}
	second = again(ranks[1], lockOf(lockAwait, exclusive, 5, 9))
	first = again(ranks[2], lockOf(lockAwait, exclusive, 0, 9))
	res := next.do(&apiv1.FilesRequest{Number: held, Lock: lockOf(lockSet, exclusive, 0, 9)})
	require.Zero(t, res.Errno, "it was done before")
	ranks[0].k, ranks[0].number = next, held
	require.Zero(t, ranks[0].ask(lockOf(lockSet, none, 0, 9)))
	require.Zero(t, (<-first).Errno)
	require.Empty(t, second)
	require.Zero(t, ranks[2].ask(lockOf(lockSet, none, 0, 9)))
	require.Zero(t, (<-second).Errno)
	require.ErrorIs(t, next.unpack(&apiv1.FileLocks{Lockers: []*apiv1.FileLocker{{Rank: 1}}}), errLocks)
	require.ErrorIs(t, next.unpack(&apiv1.FileLocks{Held: []*apiv1.FilesLock{{}}}), errLocks)
}

func TestHostileLocks(t *testing.T) {
	k := newLocks()
	for i, l := range []*apiv1.FilesLock{
		nil, {Rank: -1}, {Rank: 1}, {From: -1}, {From: 2, To: 1}, {Type: 9}, {Type: -1}, {Mount: fmt.Sprintf("%5000d", 1)},
	} {
		require.Equal(t, int32(syscall.EINVAL), k.do(&apiv1.FilesRequest{Number: uint64(i) + 1, Lock: l}).Errno, "%v", l)
	}
	require.Equal(t, int32(syscall.ENOSYS), k.do(&apiv1.FilesRequest{Number: 1, Lock: &apiv1.FilesLock{What: 77}}).Errno)
}

// An operation that is not known is no read of the standard input.
func TestUnknownOperations(t *testing.T) {
	s := NewServer(nil, nil, &Input{})
	for op := apiv1.FilesRequest_OP_INPUT_READ + 1; op < 100; op++ {
		require.Equal(t, int32(syscall.ENOSYS), s.Do(&apiv1.FilesRequest{Op: op}).Errno, "%d", op)
	}
}

// Many ranks that want the same lock never have it together, and all get it.
func TestLocksExclude(t *testing.T) {
	k := newLocks()
	var all sync.WaitGroup
	inside := 0
	for _, r := range ranksOf(k, 16) {
		all.Go(func() {
			for range 50 {
				req := r.request(lockOf(lockAwait, exclusive, 0, 9))
				for res := k.do(req); res.More; {
					res = k.do(req)
				}
				inside++ // the race detector would say, too
				if inside != 1 {
					t.Error("two have it")
				}
				inside--
				if r.ask(lockOf(lockSet, none, 0, 9)) != 0 {
					t.Error("it is not let go")
				}
			}
		})
	}
	all.Wait()
	require.Zero(t, inside+k.count)
}
