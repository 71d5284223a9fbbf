package control

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
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
}

// newPager checks what a request for a page of the named list says. More than maxPage is as much as there may be.
func newPager(list string, size int32, token string) (*pager, error) {
	list += "/"
	after, ours := strings.CutPrefix(token, list)
	switch {
	case size < 0:
		return nil, invalid("page_size", fmt.Sprintf("%d", size), fmt.Sprintf("give 0 or more; a page has at most %d", maxPage))
	case len(token) > maxPageToken || token != "" && !ours:
		return nil, invalid("page_token", fmt.Sprintf("%.40q is none of this list", token), "give next_page_token of the page before")
	case size == 0 || size > maxPage:
		size = maxPage
	}
	return &pager{list: list, left: int(size), after: after}, nil
}

// wants says whether the item of this key is still to come.
func (p *pager) wants(key string) bool { return key > p.after }

// add says whether the item, which the pager wants, belongs to this page; if not, the page is over.
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

// pageOf takes the pager's page of items in order of their keys.
func pageOf[M proto.Message](p *pager, items iter.Seq[M], key func(M) string) []M {
	var out []M
	for m := range items {
		if k := key(m); p.wants(k) {
			if !p.add(k, m) {
				break
			}
			out = append(out, m)
		}
	}
	return out
}

// keep are the items that are wanted.
func keep[M any](items iter.Seq[M], wanted func(M) bool) iter.Seq[M] {
	return func(yield func(M) bool) {
		for m := range items {
			if wanted(m) && !yield(m) {
				return
			}
		}
	}
}

// first are the n first of items by an order that they do not come in. It holds no more than twice as many.
func first[M any](items iter.Seq[M], n int, order func(a, b M) int) []M {
	var out []M
	full := false // out has n in order, and more behind them
	for m := range items {
		if full && order(m, out[n-1]) >= 0 {
			continue
		}
		if out = append(out, m); len(out) == 2*n {
			slices.SortFunc(out, order)
			out, full = out[:n], true
		}
	}
	slices.SortFunc(out, order)
	return out[:min(n, len(out))]
}

// next is the token of the next page; empty: there is none.
func (p *pager) next() string {
	if !p.full {
		return ""
	}
	return p.list + p.last
}

// orderKey sorts as the number does, then the id.
func orderKey(index uint64, id string) string { return fmt.Sprintf("%020d/%s", index, id) }
