package control

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/godwit-run/godwit/fsm"
)

// Bounds of one page of a list.
const (
	maxPage      = 1000
	maxPageBytes = 1 << 20 // of messages; a page has at least one
	maxPageToken = 512
)

// pager cuts a list that is in order of its items' keys into pages. A page goes on behind the key of the last item of the
// page before, so that what comes and goes in between moves nothing.
type pager struct {
	list  string // what its tokens begin with
	left  int
	bytes int
	after string
	last  string
	full  bool

	visited int // items that were looked at
}

// newPager checks what a request for a page of the named list says. More than maxPage is as much as there may be.
func newPager(list string, size int32, token string) (*pager, error) {
	list += "/"
	after, ours := strings.CutPrefix(token, list)
	switch {
	case size < 0:
		return nil, invalid("page_size", fmt.Sprintf("%d", size), fmt.Sprintf("give 0 or more; a page has at most %d", maxPage))
	case len(token) > maxPageToken || token != "" && !ours:
		return nil, errToken(token)
	case size == 0 || size > maxPage:
		size = maxPage
	}
	return &pager{list: list, left: int(size), after: after}, nil
}

// add says whether the item belongs to this page; if not, the page is over.
func (p *pager) add(key string, m proto.Message) bool {
	n := proto.Size(m)
	if p.left == 0 || (p.last != "" && p.bytes+n > maxPageBytes) {
		p.full = true
		return false
	}
	p.left--
	p.bytes += n
	p.last = key
	return true
}

// visit counts the items that are looked at.
func visit[M any](p *pager, items iter.Seq[M]) iter.Seq[M] {
	return func(yield func(M) bool) {
		for m := range items {
			p.visited++
			if !yield(m) {
				return
			}
		}
	}
}

// pageOf takes the pager's page of items, which are in order of their keys and come behind the page before.
func pageOf[M proto.Message](p *pager, items iter.Seq[M], key func(M) string) []M {
	var out []M
	for m := range items {
		if !p.add(key(m), m) {
			break
		}
		out = append(out, m)
	}
	return out
}

// next is the token of the next page; empty: there is none.
func (p *pager) next() string {
	if !p.full {
		return ""
	}
	return p.list + p.last
}

// placeKey is the key of what the log has put at a place.
func placeKey(at fsm.Place) string { return fmt.Sprintf("%020d/%s", at.Index, at.ID) }

// place is the place that the page before ended at, of a list whose keys are of places.
func (p *pager) place() (fsm.Place, error) {
	if p.after == "" {
		return fsm.Place{}, nil
	}
	number, id, _ := strings.Cut(p.after, "/")
	index, err := strconv.ParseUint(number, 10, 64)
	if err != nil || placeKey(fsm.Place{Index: index, ID: id}) != p.after {
		return fsm.Place{}, errToken(p.list + p.after)
	}
	return fsm.Place{Index: index, ID: id}, nil
}

func errToken(token string) error {
	return invalid("page_token", fmt.Sprintf("%.40q is none of this list", token), "give next_page_token of the page before")
}
