package files

import (
	"context"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a home may have is looked at from time to time, by others, who then have nothing added to it (SetFull). What allocates room says before how much: that is held against
// the quota at once.

const (
	// quotaLooks is for how long a look counts, unless what is asked for is too much then.
	quotaLooks = time.Second
	// quotaSeldom is how many times as long as a look takes nobody looks again, so that looking costs a tenth of a core at most: for so long what was removed may still be missed.
	quotaSeldom = 10
)

// quota is of the directories of a home together.
type quota struct {
	trees [2]*Local
	limit int64 // bytes
	now   func() time.Time

	mu   sync.Mutex    // guards the fields below; held while somebody looks, for whom the others wait
	used int64         // when somebody looked, and what was allocated since
	at   time.Time     // when that was; zero: never
	took time.Duration // it
}

// Limit has what allocates room in the directories of a home told EDQUOT where they would have more than so many bytes; 0: nobody knows how many.
func Limit(trees [2]*Local, limit int64) {
	if limit <= 0 {
		return
	}
	q := &quota{trees: trees, limit: limit, now: time.Now}
	for _, l := range trees {
		if l != nil {
			l.quota.Store(q)
		}
	}
}

// take counts what is to be allocated; EDQUOT: it is too much.
func (q *quota) take(bytes int64) error {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if bytes == 0 && q.used <= q.limit {
		return nil
	}
	age := q.now().Sub(q.at)
	if age >= quotaSeldom*q.took && (age >= quotaLooks || bytes > q.limit-q.used) {
		q.look()
	}
	if bytes > q.limit-q.used {
		return syscall.EDQUOT // also where it may need nothing, as long as there is too much already
	}
	q.used += bytes
	return nil
}

// give takes back what take has counted.
func (q *quota) give(bytes int64) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= bytes
}

// look counts what the directories take on the disk. Holds mu.
func (q *quota) look() {
	q.used, q.at = 0, q.now()
	for _, l := range q.trees {
		if l == nil {
			continue
		}
		_ = l.walk(context.Background(), ".", func(f Found, err error) error {
			if err == nil {
				if st, ok := f.Stat.Sys().(*syscall.Stat_t); ok {
					names := uint64(1)
					if !f.Stat.IsDir() { // a directory's links are those in it
						names = max(1, uint64(st.Nlink))
					}
					q.used += st.Blocks * statBlock / int64(names)
				}
			}
			return nil // it has gone meanwhile
		})
	}
	q.took = q.now().Sub(q.at)
}

// statBlock is in which units stat(2) counts what a file takes, in bytes.
const statBlock = 512

// lacks is how many bytes of a part of a file have no room on the disk yet, at the least: what is allocated of the file may lie elsewhere. Allocate counts what it was.
func lacks(fd int, at, size int64) int64 { return max(0, min(size, at-takes(fd)+size)) }

// takes is how many bytes a file takes on the disk.
func takes(fd int) int64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0 // who allocates finds that again
	}
	return st.Blocks * statBlock
}
