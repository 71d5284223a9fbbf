package files

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	// maxLocks bounds the locks that all ranks of an app have.
	maxLocks = 1 << 16
	// maxLockers bounds how many ranks have asked for locks.
	maxLockers = 1 << 20
	// lockWait is how long a request waits for a lock that others have.
	lockWait = 5 * time.Second
)

// locks are an app's locks of files, of its own and of volumes: those of records are a rank's or an open file's, those of whole files an open file's. A rank numbers its requests,
// wherever it is, and each is done once; a later one takes back what an earlier one still waits for, and keeps its place if it wants the same.
type locks struct {
	mu      sync.Mutex // guards the fields below
	held    map[lockedFile][]*apiv1.FilesLock
	count   int // of all held
	lockers map[int32]*locker
	waiting map[lockedFile][]*locker // who has waited longest is the first
	places  uint64
	sealed  bool
}

// lockedFile is what a lock is of.
type lockedFile struct {
	mount string
	file  uint64
	whole bool
}

func ofLock(l *apiv1.FilesLock) lockedFile { return lockedFile{l.Mount, l.File, l.Whole} }

// bothOf are a file's locks of records, and those of the whole.
func bothOf(l *apiv1.FilesLock) []lockedFile {
	return []lockedFile{{l.Mount, l.File, false}, {l.Mount, l.File, true}}
}

// locker is the last request of a rank.
type locker struct {
	number uint64
	answer *apiv1.FilesResponse // nil: it waits
	wish   *apiv1.FilesLock     // for this
	place  uint64
	news   chan struct{} // while it waits: closed when it does not any more
}

func newLocks() *locks {
	return &locks{held: map[lockedFile][]*apiv1.FilesLock{}, lockers: map[int32]*locker{}, waiting: map[lockedFile][]*locker{}}
}

// do does what is asked; nil: not now, for it moves to another host.
func (k *locks) do(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sealed {
		return nil
	}
	r, err := k.begin(req)
	if err != nil {
		return &apiv1.FilesResponse{Errno: int32(numberOf(err))}
	}
	if r.wish != nil {
		timer := time.NewTimer(lockWait)
		defer timer.Stop()
		news := r.news
		k.mu.Unlock()
		select {
		case <-news:
		case <-timer.C:
		}
		k.mu.Lock()
	}
	switch {
	case r.number != req.Number:
		return &apiv1.FilesResponse{Errno: int32(syscall.EIO)} // nobody waits for it any more
	case r.answer != nil:
		return r.answer
	case k.sealed:
		return nil
	default:
		return &apiv1.FilesResponse{More: true}
	}
}

// begin takes a request, unless it is known. Holds mu.
func (k *locks) begin(req *apiv1.FilesRequest) (*locker, error) {
	l := req.Lock
	if l == nil || l.Rank < 0 || l.Rank != req.Lane || l.From < 0 || l.To < l.From || l.Type > apiv1.FilesLock_TYPE_EXCLUSIVE || l.Type < 0 || len(l.Mount) > maxLockMount {
		return nil, syscall.EINVAL
	}
	r := k.lockers[l.Rank]
	switch {
	case r == nil && len(k.lockers) >= maxLockers:
		return nil, syscall.ENOLCK
	case r == nil:
		r = &locker{}
		k.lockers[l.Rank] = r
	case req.Number < r.number:
		return nil, syscall.EIO // an old one that came late
	case req.Number == r.number:
		return r, nil
	}
	before, place := r.wish, r.place
	k.leave(r)
	r.number, r.answer = req.Number, nil
	res, waits := k.ask(l)
	if !waits {
		r.answer = res
		return r, nil
	}
	if before == nil || !proto.Equal(before, l) {
		k.places++
		place = k.places
	}
	k.join(r, l, place)
	return r, nil
}

// join has a rank wait. Holds mu.
func (k *locks) join(r *locker, wish *apiv1.FilesLock, place uint64) {
	r.wish, r.place, r.news = wish, place, make(chan struct{})
	of := ofLock(wish)
	at, _ := slices.BinarySearchFunc(k.waiting[of], place, func(w *locker, place uint64) int { return cmp.Compare(w.place, place) })
	k.waiting[of] = slices.Insert(k.waiting[of], at, r)
}

// leave has a rank wait no more. Holds mu.
func (k *locks) leave(r *locker) {
	if r.wish == nil {
		return
	}
	of := ofLock(r.wish)
	at := slices.Index(k.waiting[of], r)
	if k.waiting[of] = slices.Delete(k.waiting[of], at, at+1); len(k.waiting[of]) == 0 {
		delete(k.waiting, of)
	}
	r.wish = nil
	close(r.news)
}

// maxLockMount bounds the name of a tree.
const maxLockMount = 4096

// ask does a new request, and says whether it has to wait. Holds mu.
func (k *locks) ask(l *apiv1.FilesLock) (res *apiv1.FilesResponse, waits bool) {
	switch l.What {
	case apiv1.FilesLock_WHAT_CLOSE:
		k.drop(bothOf(l), func(h *apiv1.FilesLock) bool { return h.Rank == l.Rank && (h.Opened == 0 || h.Opened == l.Opened) })
	case apiv1.FilesLock_WHAT_GONE:
		k.drop(bothOf(l), func(h *apiv1.FilesLock) bool { return owns(h, l) })
	case apiv1.FilesLock_WHAT_END:
		k.drop(slices.Collect(maps.Keys(k.held)), func(h *apiv1.FilesLock) bool { return h.Rank == l.Rank })
	case apiv1.FilesLock_WHAT_TEST:
		first := &apiv1.FilesLock{}
		for by := range k.against(l) {
			if first.Type == apiv1.FilesLock_TYPE_UNSPECIFIED || by.From < first.From {
				first = by
			}
		}
		return &apiv1.FilesResponse{Lock: first}, false
	case apiv1.FilesLock_WHAT_SET, apiv1.FilesLock_WHAT_WAIT:
		err := k.setLock(l)
		return &apiv1.FilesResponse{Errno: int32(err)}, err == syscall.EAGAIN && l.What == apiv1.FilesLock_WHAT_WAIT
	default:
		return &apiv1.FilesResponse{Errno: int32(syscall.ENOSYS)}, false
	}
	return &apiv1.FilesResponse{}, false
}

// setLock sets a lock, or says why not: EAGAIN if others are in the way. Holds mu.
func (k *locks) setLock(l *apiv1.FilesLock) syscall.Errno {
	switch {
	case l.Type == apiv1.FilesLock_TYPE_UNSPECIFIED || k.free(l):
		less, ok := k.put(l)
		if !ok {
			return syscall.ENOLCK
		}
		if less {
			k.grant(ofLock(l))
		}
		return 0
	case l.Whole: // one becomes another by way of none: else two that share one would wait for each other
		k.drop([]lockedFile{ofLock(l)}, func(h *apiv1.FilesLock) bool { return owns(h, l) })
	case l.What == apiv1.FilesLock_WHAT_WAIT && l.Opened == 0 && k.endless(l):
		return syscall.EDEADLK
	}
	return syscall.EAGAIN
}

// owns says whether two locks are of one owner.
func owns(a, b *apiv1.FilesLock) bool { return a.Rank == b.Rank && a.Opened == b.Opened }

func meet(a, b *apiv1.FilesLock) bool { return a.From <= b.To && b.From <= a.To }

// against are those who keep a lock out. Holds mu.
func (k *locks) against(l *apiv1.FilesLock) iter.Seq[*apiv1.FilesLock] {
	return func(yield func(*apiv1.FilesLock) bool) {
		for _, h := range k.held[ofLock(l)] {
			exclusive := h.Type == apiv1.FilesLock_TYPE_EXCLUSIVE || l.Type == apiv1.FilesLock_TYPE_EXCLUSIVE
			if exclusive && meet(h, l) && !owns(h, l) && !yield(h) {
				return
			}
		}
	}
}

// free says whether nobody keeps a lock out. Holds mu.
func (k *locks) free(l *apiv1.FilesLock) bool {
	for range k.against(l) {
		return false
	}
	return true
}

// endless says whether one of those who keep a lock of a rank's out waits for that rank, itself or by way of others: none of them would go on. As on Linux, locks of open files are
// not looked at. Nobody who has a lock already comes to wait by anything but a request of its own, so it is looked for at each of those. Holds mu.
func (k *locks) endless(l *apiv1.FilesLock) bool {
	seen := map[int32]bool{}
	for wishes := []*apiv1.FilesLock{l}; len(wishes) > 0; {
		wish := wishes[len(wishes)-1]
		wishes = wishes[:len(wishes)-1]
		for by := range k.against(wish) {
			switch {
			case by.Opened != 0 || seen[by.Rank]:
				continue
			case by.Rank == l.Rank:
				return true
			}
			seen[by.Rank] = true
			if r := k.lockers[by.Rank]; r != nil && r.wish != nil && r.wish.Opened == 0 {
				wishes = append(wishes, r.wish)
			}
		}
	}
	return false
}

// put gives a lock in place of what its owner has there; neighbours of one type are one. ok: there is room, else all is as it was; less: others may have more now. Type none is no
// lock. Holds mu.
func (k *locks) put(l *apiv1.FilesLock) (less, ok bool) {
	of, now := ofLock(l), l
	held := k.held[of]
	next := make([]*apiv1.FilesLock, 0, len(held)+2)
	for _, h := range held {
		switch {
		case !owns(h, l) || h.To < l.From-1 || h.From-1 > l.To:
			next = append(next, h)
			continue
		case h.Type == l.Type: // it is part of this one
			now = part(now, min(now.From, h.From), max(now.To, h.To))
			continue
		}
		less = less || l.Type < h.Type && meet(h, l)
		if h.From < l.From {
			next = append(next, part(h, h.From, min(h.To, l.From-1)))
		}
		if h.To > l.To {
			next = append(next, part(h, max(h.From, l.To+1), h.To))
		}
	}
	if l.Type != apiv1.FilesLock_TYPE_UNSPECIFIED {
		next = append(next, now)
	}
	if more := len(next) - len(held); more > 0 && k.count+more > maxLocks && l.Mount != "" {
		return false, false
	}
	k.set(of, next)
	return less, true
}

func part(h *apiv1.FilesLock, from, to int64) *apiv1.FilesLock {
	p := proto.CloneOf(h)
	p.From, p.To = from, to
	return p
}

// set makes these the locks of a file. Holds mu.
func (k *locks) set(of lockedFile, held []*apiv1.FilesLock) {
	k.count += len(held) - len(k.held[of])
	if k.held[of] = held; len(held) == 0 {
		delete(k.held, of)
	}
}

// drop takes those locks of files away. Holds mu.
func (k *locks) drop(of []lockedFile, goes func(*apiv1.FilesLock) bool) {
	for _, of := range of {
		held := k.held[of]
		if left := slices.DeleteFunc(slices.Clone(held), goes); len(left) < len(held) {
			k.set(of, left)
			k.grant(of)
		}
	}
}

// grant gives those who wait for a file what they can have now, who has waited longest first; once more, if what one got has made room for others. Holds mu.
func (k *locks) grant(of lockedFile) {
	for again := true; again; {
		again = false
		for _, r := range slices.Clone(k.waiting[of]) {
			wish := r.wish
			if !k.free(wish) {
				continue
			}
			k.leave(r)
			r.answer = &apiv1.FilesResponse{}
			less, ok := k.put(wish)
			if !ok {
				r.answer.Errno = int32(syscall.ENOLCK)
			}
			again = again || less
		}
	}
}

func (k *locks) seal(sealed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sealed = sealed
	for _, r := range k.lockers {
		if r.wish != nil {
			close(r.news) // who waits for it asks elsewhere
			r.news = make(chan struct{})
		}
	}
}

// lockPart bounds how many locks or lockers go in one part.
const lockPart = 256

// pack gives all there is, in parts.
func (k *locks) pack(send func(*apiv1.FileLocks) error) error {
	k.mu.Lock()
	var held []*apiv1.FilesLock
	for _, of := range k.held {
		held = append(held, of...)
	}
	var lockers []*apiv1.FileLocker
	for _, rank := range slices.Sorted(maps.Keys(k.lockers)) {
		r := k.lockers[rank]
		lockers = append(lockers, &apiv1.FileLocker{Rank: rank, Number: r.number, Answer: r.answer, Wish: r.wish, Place: r.place})
	}
	k.mu.Unlock()
	for part := range slices.Chunk(held, lockPart) {
		if err := send(&apiv1.FileLocks{Held: part}); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(lockers, lockPart) {
		if err := send(&apiv1.FileLocks{Lockers: part}); err != nil {
			return err
		}
	}
	return nil
}

var errLocks = errors.New("the locks are not those of an app")

// unpack takes what pack has given.
func (k *locks) unpack(m *apiv1.FileLocks) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count+len(m.Held) > maxLocks+maxLockers || // one a rank is of the app itself, and beyond the bound
		len(k.lockers)+len(m.Lockers) > maxLockers {
		return fmt.Errorf("%w: too many", errLocks)
	}
	for _, l := range m.Held {
		if l == nil || l.Type == apiv1.FilesLock_TYPE_UNSPECIFIED || l.From < 0 || l.From > l.To || l.Rank < 0 {
			return fmt.Errorf("%w: one of nothing", errLocks)
		}
		k.set(ofLock(l), append(k.held[ofLock(l)], l))
	}
	for _, r := range m.Lockers {
		if r == nil || (r.Answer == nil) == (r.Wish == nil) || k.lockers[r.Rank] != nil {
			return fmt.Errorf("%w: a request without an answer, or twice", errLocks)
		}
		own := &locker{number: r.Number, answer: r.Answer}
		k.lockers[r.Rank] = own
		if r.Wish != nil {
			k.join(own, r.Wish, r.Place)
		}
		k.places = max(k.places, r.Place)
	}
	return nil
}
