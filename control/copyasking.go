package control

import (
	"context"
	"errors"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// The log is asked to note that a host holds a copy. Until it has answered the host keeps the copy: what was not committed yet may still be.

// asked is a question to the log: whether a host holds a part now.
type asked struct {
	of copied
	to *session
}

// ask asks the log. If the answer is not known, asking again finds it: the log takes the first question before the second, or never.
func (k *copier) ask(ctx context.Context, a asked) (held bool, err error) {
	refusal, err := k.l.ask(ctx, "copy of the part of "+a.of.host+" of "+string(a.of.checkpoint)+" on "+string(a.to.host), func(c *apiv1.Command) {
		c.Op = &apiv1.Command_HoldPart{HoldPart: &apiv1.HoldPart{Id: string(a.of.checkpoint), Host: a.of.host, To: string(a.to.host), Incarnation: a.to.incarnation}}
	})
	return err == nil && (refusal == "" || k.holds(a)), err
}

// holds says whether the log has it that the host holds the part: it refuses who asks that twice.
func (k *copier) holds(a asked) bool {
	v := k.l.c.state.View()
	ck, _ := v.Checkpoint(a.of.checkpoint)
	host, ok := v.Host(a.to.host)
	for _, p := range ck.GetParts() {
		if p.Host == a.of.host {
			return ok && host.Incarnation == a.to.incarnation && fsm.HeldBy(p, host)
		}
	}
	return false
}

// settle asks again what was asked of copies that nobody wants any more.
func (k *copier) settle(ctx context.Context) {
	left := k.unsure[:0]
	for i, a := range k.unsure {
		if _, err := k.ask(ctx, a); err != nil { // the next ones would wait as long
			left = append(left, k.unsure[i:]...)
			break
		}
		k.answered(a)
	}
	clear(k.unsure[len(left):])
	k.unsure = left
}

// answered has a host, over the session that it has now, hold of a part what the log says, and no more.
func (k *copier) answered(a asked) {
	k.l.sessions.asks(a, false)
	if w := k.parts[a.of]; w != nil && w.job != nil && w.job.to.host == a.to.host { // it is on its way there anew
		return
	}
	if s := k.l.sessions.of(a.to.host); s != nil {
		s.isGiven(string(a.of.checkpoint), a.of.host, false)
		k.l.tellHolds(s, a.of.checkpoint)
	}
}

// noteAsked notes the answer's error, and says whether it is to be asked again.
func (j *copyJob) noteAsked(err error) bool {
	j.unsure = j.unsure || errors.Is(err, ErrUnknownOutcome)
	return err != nil
}

// asks notes that the log is asked whether a host holds a part, or has answered: a session of the host that begins meanwhile has it keep what it has of the part.
func (r *sessions) asks(a asked, is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !is:
		if delete(r.asked[a.to.host], a.of); len(r.asked[a.to.host]) == 0 {
			delete(r.asked, a.to.host)
		}
	case r.asked[a.to.host] == nil:
		r.asked[a.to.host] = map[copied]bool{a.of: true}
	default:
		r.asked[a.to.host][a.of] = true
	}
}

// askedOf are the parts of which the log is asked whether a host holds them.
func (r *sessions) askedOf(host fsm.HostID) (out []copied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for of := range r.asked[host] {
		out = append(out, of)
	}
	return out
}
