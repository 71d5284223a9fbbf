package files

import (
	"cmp"
	"errors"
	"fmt"
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
// wherever it is, and each is done once; a later one takes back what an earlier one still waits for. Who waits longest comes first.
type locks struct {
	mu      sync.Mutex // guards the fields below
	held    map[lockedFile][]*apiv1.FilesLock
	count   int // of all held
	lockers map[int32]*locker
	places  uint64
	changed chan struct{} // closed at each answer, and with the seal
	sealed  bool
}

// lockedFile is what a lock is of.
type lockedFile struct {
	mount string
	file  uint64
	whole bool
}

func ofLock(l *apiv1.FilesLock) lockedFile { return lockedFile{l.Mount, l.File, l.Whole} }

// locker is the last request of a rank.
type locker struct {
	number uint64
	answer *apiv1.FilesResponse // nil: it waits
	wish   *apiv1.FilesLock     // for this
	place  uint64
}

func newLocks() *locks {
	return &locks{held: map[lockedFile][]*apiv1.FilesLock{}, lockers: map[int32]*locker{}, changed: make(chan struct{})}
}

// do does what is asked; nil: not now, for it moves to another host.
func (k *locks) do(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	timer := time.NewTimer(lockWait)
	defer timer.Stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sealed {
		return nil
	}
	r, err := k.begin(req)
	if err != nil {
		return &apiv1.FilesResponse{Errno: int32(numberOf(err))}
	}
	for late := false; ; {
		switch {
		case r.number != req.Number:
			return &apiv1.FilesResponse{Errno: int32(syscall.EIO)} // nobody waits for it any more
		case r.answer != nil:
			return r.answer
		case k.sealed:
			return nil
		case late:
			return &apiv1.FilesResponse{More: true}
		}
		changed := k.changed
		k.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			late = true
		}
		k.mu.Lock()
	}
}

// begin takes a request, unless it is known. Holds mu.
func (k *locks) begin(req *apiv1.FilesRequest) (*locker, error) {
	l := req.Lock
	if l == nil || l.Rank < 0 || l.From < 0 || l.To < l.From || l.Type > apiv1.FilesLock_TYPE_EXCLUSIVE || l.Type < 0 || len(l.Mount) > maxLockMount {
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
	if r.wish != nil {
		k.change() // who waits for it does so in vain
	}
	*r = locker{number: req.Number}
	res, waits := k.ask(l)
	if waits {
		k.places++
		r.wish, r.place = l, k.places
		return r, nil
	}
	r.answer = res
	k.change()
	return r, nil
}

// maxLockMount bounds the name of a tree.
const maxLockMount = 4096

// ask does a new request, and says whether it has to wait. Holds mu.
func (k *locks) ask(l *apiv1.FilesLock) (res *apiv1.FilesResponse, waits bool) {
	fail := func(err syscall.Errno) (*apiv1.FilesResponse, bool) {
		return &apiv1.FilesResponse{Errno: int32(err)}, false
	}
	switch l.What {
	case apiv1.FilesLock_WHAT_CLOSE:
		files := []lockedFile{{l.Mount, l.File, false}, {l.Mount, l.File, true}}
		k.drop(files, func(h *apiv1.FilesLock) bool { return h.Rank == l.Rank && (h.Opened == 0 || h.Opened == l.Opened) })
		return &apiv1.FilesResponse{}, false
	case apiv1.FilesLock_WHAT_END:
		k.drop(slices.Collect(maps.Keys(k.held)), func(h *apiv1.FilesLock) bool { return h.Rank == l.Rank })
		return &apiv1.FilesResponse{}, false
	case apiv1.FilesLock_WHAT_TEST:
		by := k.against(l)
		if by == nil {
			by = &apiv1.FilesLock{}
		}
		return &apiv1.FilesResponse{Lock: by}, false
	case apiv1.FilesLock_WHAT_SET, apiv1.FilesLock_WHAT_WAIT:
	default:
		return fail(syscall.ENOSYS)
	}
	switch by := k.against(l); {
	case l.Type == apiv1.FilesLock_TYPE_NONE || by == nil:
		if !k.put(l) {
			return fail(syscall.ENOLCK)
		}
		return &apiv1.FilesResponse{}, false
	case l.Whole:
		k.letGo(l) // one becomes another by way of none: else two that share one would wait for each other
	case l.What == apiv1.FilesLock_WHAT_WAIT && l.Opened == 0 && k.endless(l):
		return fail(syscall.EDEADLK)
	}
	if l.What == apiv1.FilesLock_WHAT_SET {
		return fail(syscall.EAGAIN)
	}
	return nil, true
}

// owns says whether two locks are of one owner.
func owns(a, b *apiv1.FilesLock) bool { return a.Rank == b.Rank && a.Opened == b.Opened }

func meet(a, b *apiv1.FilesLock) bool { return a.From <= b.To && b.From <= a.To }

// against is who keeps a lock out; nil: nobody. Holds mu.
func (k *locks) against(l *apiv1.FilesLock) *apiv1.FilesLock {
	for _, h := range k.held[ofLock(l)] {
		exclusive := h.Type == apiv1.FilesLock_TYPE_EXCLUSIVE || l.Type == apiv1.FilesLock_TYPE_EXCLUSIVE
		if exclusive && meet(h, l) && !owns(h, l) {
			return h
		}
	}
	return nil
}

// endless says whether who keeps a lock of a rank's out waits for that rank, itself or by way of others. As on Linux, locks of open files are not looked at. Holds mu.
func (k *locks) endless(l *apiv1.FilesLock) bool {
	by := k.against(l)
	for range len(k.lockers) {
		if by == nil || by.Opened != 0 {
			return false
		}
		r := k.lockers[by.Rank]
		if r == nil || r.wish == nil || r.wish.Opened != 0 || r.wish.Whole {
			return false
		}
		if by = k.against(r.wish); by != nil && owns(by, l) {
			return true
		}
	}
	return false
}

// put gives a lock in place of what its owner has there, and says whether there is room; if not all is as it was. Type none is no lock. Holds mu.
func (k *locks) put(l *apiv1.FilesLock) bool {
	of := ofLock(l)
	held := k.held[of]
	var next []*apiv1.FilesLock
	less := false // somebody may go on
	for _, h := range held {
		if !owns(h, l) || !meet(h, l) {
			next = append(next, h)
			continue
		}
		less = less || l.Type < h.Type
		if h.From < l.From {
			next = append(next, part(h, h.From, l.From-1))
		}
		if h.To > l.To {
			next = append(next, part(h, l.To+1, h.To))
		}
	}
	if l.Type != apiv1.FilesLock_TYPE_NONE {
		next = append(next, l)
	}
	if more := len(next) - len(held); more > 0 && k.count+more > maxLocks {
		return false
	}
	k.set(of, next)
	if less {
		k.grant()
	}
	return true
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

// letGo takes from the owner of a lock what it has there. Holds mu.
func (k *locks) letGo(l *apiv1.FilesLock) {
	none := proto.CloneOf(l)
	none.Type = apiv1.FilesLock_TYPE_NONE
	k.put(none) // whole files' are not split, so there is room
}

// drop takes those locks of files away. Holds mu.
func (k *locks) drop(of []lockedFile, goes func(*apiv1.FilesLock) bool) {
	had := k.count
	for _, of := range of {
		k.set(of, slices.DeleteFunc(slices.Clone(k.held[of]), goes))
	}
	if k.count < had {
		k.grant()
	}
}

// grant gives those who wait what they can have now, who has waited longest first. Holds mu.
func (k *locks) grant() {
	var waiting []*locker
	for _, r := range k.lockers {
		if r.wish != nil {
			waiting = append(waiting, r)
		}
	}
	slices.SortFunc(waiting, func(a, b *locker) int { return cmp.Compare(a.place, b.place) })
	for _, r := range waiting {
		if k.against(r.wish) != nil {
			continue
		}
		res := &apiv1.FilesResponse{}
		wish := r.wish
		if r.wish = nil; !k.put(wish) {
			res.Errno = int32(syscall.ENOLCK)
		}
		r.answer = res
		k.change()
	}
}

// change wakes who waits. Holds mu.
func (k *locks) change() {
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *locks) seal(sealed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sealed = sealed
	k.change()
}

// lockPart bounds how many locks or lockers go in one part.
const lockPart = 1024

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
	if k.count+len(m.Held) > maxLocks || len(k.lockers)+len(m.Lockers) > maxLockers {
		return fmt.Errorf("%w: too many", errLocks)
	}
	for _, l := range m.Held {
		if l == nil || l.Type == apiv1.FilesLock_TYPE_NONE || l.From > l.To {
			return fmt.Errorf("%w: one of nothing", errLocks)
		}
		k.set(ofLock(l), append(k.held[ofLock(l)], l))
	}
	for _, r := range m.Lockers {
		if r == nil || (r.Answer == nil) == (r.Wish == nil) || k.lockers[r.Rank] != nil {
			return fmt.Errorf("%w: a request without an answer, or twice", errLocks)
		}
		k.lockers[r.Rank] = &locker{number: r.Number, answer: r.Answer, wish: r.Wish, place: r.Place}
		k.places = max(k.places, r.Place)
	}
	return nil
}
