package replay

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwit-run/godwit/fsm"
)

// WhatIf are rules that godwit does not have, to see what they would be worth.
type WhatIf struct {
	// Reserve is the share of all slots that is left free by who admits a job, as long as others run.
	Reserve float64
	// Snug has the last host that a job is placed on be the fullest that has room for the rest of it, not the emptiest.
	Snug bool
	// Heed is how long before its end a notice is heeded: until then the host takes ranks, and none leave it. 0: at once.
	Heed time.Duration
}

// ParseWhatIf reads "reserve=0.05,snug,heed=30s".
func ParseWhatIf(s string) (w WhatIf, err error) {
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "":
		case "reserve":
			if w.Reserve, err = strconv.ParseFloat(value, 64); err != nil || !(w.Reserve >= 0 && w.Reserve < 1) {
				return w, fmt.Errorf("reserve: %q is no number from 0 to below 1", value)
			}
		case "snug":
			w.Snug = true
		case "heed":
			seconds, err := strconv.ParseFloat(strings.TrimSuffix(value, "s"), 64)
			if w.Heed = duration(seconds); err != nil || !(seconds > 0 && seconds <= faultPeriod.Seconds()) {
				return w, fmt.Errorf("heed: %q is no time above 0 s and up to %v s", value, faultPeriod.Seconds())
			}
		default:
			return w, fmt.Errorf("%q is not one of reserve=SHARE, snug and heed=TIME", part)
		}
	}
	return w, nil
}

// words are what tables call them; nothing for none.
func (w WhatIf) words() string {
	s := ""
	if w.Reserve > 0 {
		s += fmt.Sprintf("+reserve=%g", w.Reserve)
	}
	if w.Snug {
		s += "+snug"
	}
	if w.Heed > 0 {
		s += fmt.Sprintf("+heed=%v", w.Heed)
	}
	return s
}

// room is what is free on a host.
type room struct {
	host string
	free int
}

// snugly places n ranks on the hosts that bin_pack would take, but for the last: that is the one with the least room that is enough. So what it
// gets has as few links, and larger rooms are left to those behind it. It looks at all hosts.
func snugly(v *fsm.View, n int) []string {
	var rooms []room
	for host := range v.Hosts() {
		if free := fsm.Free(host); free > 0 {
			rooms = append(rooms, room{host.GetId(), free})
		}
	}
	slices.SortFunc(rooms, func(a, b room) int { return cmp.Or(cmp.Compare(b.free, a.free), cmp.Compare(b.host, a.host)) })
	var placement []string
	for i, r := range rooms {
		if left := n - len(placement); r.free >= left {
			for ; i+1 < len(rooms) && rooms[i+1].free >= left; i++ {
				r = rooms[i+1]
			}
			return append(placement, slices.Repeat([]string{r.host}, left)...)
		}
		placement = append(placement, slices.Repeat([]string{r.host}, r.free)...)
	}
	return nil
}
