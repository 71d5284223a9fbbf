package wasm

import (
	"encoding/binary"
	"math"
)

// Kinds of subscriptions and events.
const (
	pollClock = 0
	pollRead  = 1
	pollWrite = 2
)

// maxSubscriptions bounds what one poll waits for.
const maxSubscriptions = 1 << 16

// poll waits for the first of some times, unless it is also told of descriptors: those can be used at any time.
func poll(c wasiCall) errno {
	n := c.u(2)
	if n == 0 || n > maxSubscriptions {
		return errnoInvalid
	}
	in, ok1 := c.memory.read(c.u(0), n*subscriptionBytes)
	out, ok2 := c.memory.read(c.u(1), n*eventBytes)
	if !ok1 || !ok2 {
		return errnoFault
	}
	in = append([]byte(nil), in...) // the two may be one
	events := uint32(0)
	event := func(sub []byte, kind byte, why errno) {
		e := out[events*eventBytes:][:eventBytes]
		clear(e)
		copy(e, sub[:8])
		binary.LittleEndian.PutUint16(e[8:], uint16(why))
		e[10] = kind
		events++
	}
	first, wait := -1, int64(math.MaxInt64)
	for i := range int(n) {
		sub := in[i*subscriptionBytes:][:subscriptionBytes]
		switch kind := sub[8]; kind {
		case pollClock:
			ns, why := c.clockWait(sub)
			if why != errnoSuccess {
				event(sub, kind, why)
			} else if first < 0 || ns < wait {
				first, wait = i, ns
			}
		case pollRead, pollWrite:
			_, why := c.descriptor(binary.LittleEndian.Uint32(sub[16:]))
			event(sub, kind, why)
		default:
			return errnoInvalid
		}
	}
	if events == 0 {
		c.guest.system.sleep(wait)
		event(in[first*subscriptionBytes:][:subscriptionBytes], pollClock, errnoSuccess)
	}
	return c.put32(3, events)
}

// clockWait is for how long, in nanoseconds, a subscription to a clock waits.
func (c wasiCall) clockWait(sub []byte) (int64, errno) {
	const absolute = 1
	at := binary.LittleEndian.Uint64(sub[24:])
	ns := int64(min(at, math.MaxInt64))
	if binary.LittleEndian.Uint16(sub[40:])&absolute == 0 {
		return ns, errnoSuccess
	}
	if clock := binary.LittleEndian.Uint32(sub[16:]); clock == clockWall {
		return ns - c.guest.system.wall().UnixNano(), errnoSuccess
	} else if clock != clockMonotonic {
		return 0, errnoInvalid
	}
	return ns - c.guest.system.nanotime(), errnoSuccess
}
