package sim

import (
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// hands are an app's.
type hands struct{ *app }

var _ part.Hands = hands{}

// Now implements part.Hands.
func (a hands) Now() time.Time { return a.h.s.now }

// Say implements part.Hands.
func (a hands) Say(c *apiv1.ExecCommand) {
	if a.exec != nil {
		a.exec.in = append(a.exec.in, c)
	}
}

// Start implements part.Hands.
func (a hands) Start() {
	a.starting, a.vain, a.refused, a.nowhere = true, 0, "", false
}

// GiveUpStart implements part.Hands.
func (a hands) GiveUpStart() bool {
	if a.exec != nil {
		return false
	}
	a.starting = false
	return true
}

// Kill implements part.Hands.
func (a hands) Kill(string) {
	if a.exec != nil {
		a.exec.die(false)
	}
}

// Cancel implements part.Hands.
func (a hands) Cancel(reason string, grace time.Duration) {
	a.cancelled = true // killed after the grace
	a.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: reason, GraceMs: grace.Milliseconds()}}})
}

// Stop implements part.Hands.
func (a hands) Stop() { a.stopExecutor() }

func (a *app) stopExecutor() {
	a.starting, a.adopts = false, false
	if e := a.exec; e != nil {
		a.exec = nil // nothing more is heard of it
		e.die(false)
		a.h.takeOutput(e)
	}
	a.cancelled = false
}

// Files implements part.Hands.
func (hands) Files() {}

// CanPack implements part.Hands.
func (hands) CanPack() bool { return false }

// Pack implements part.Hands.
func (hands) Pack(string) {}

// SendLog implements part.Hands.
func (a hands) SendLog(migration string, rank int32, to string) {
	a.sending[rank] = &sending{migration: migration, to: to}
}

// EndLog implements part.Hands.
func (a hands) EndLog(_ string, rank int32) { a.sending[rank].last = true }

// LogSent implements part.Hands.
func (hands) LogSent(int32) int64 { return 0 }

// EndSending implements part.Hands.
func (a hands) EndSending(string) { clear(a.sending) }

// LogMoved implements part.Hands.
func (a hands) LogMoved(rank int32) { delete(a.h.logs[a.id], rank) }

// BeginSaving implements part.Hands.
func (a hands) BeginSaving(*apiv1.Checkpoint) { a.stood = map[int32]int{} }

// Write implements part.Hands.
func (a hands) Write(checkpoint string, ranks []int32) error {
	if len(ranks) > 0 {
		a.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Checkpoint{Checkpoint: &apiv1.ExecCheckpoint{Id: checkpoint, Ranks: ranks}}})
	}
	return nil
}

// Stood implements part.Hands.
func (a hands) Stood(_ string, rank int32) { a.stood[rank] = len(a.h.logs[a.id][rank]) }

// Store implements part.Hands.
func (a hands) Store(c *apiv1.Checkpoint, p *apiv1.CheckpointPart, saved map[int32]*apiv1.ExecSaved, _ bool) {
	made := &stored{ranks: map[int32]*image{}, logs: map[int32][]string{}}
	for id := range a.part.Record().App.Size {
		lines := a.h.logs[a.id][id]
		switch {
		case saved[id] != nil:
			made.ranks[id] = a.h.written[c.Id+"/"+fmt.Sprint(id)]
			lines = lines[:a.stood[id]]
		case apiv1.HostAt(c.Runs, id) != a.h.name:
			continue
		}
		made.logs[id] = slices.Clone(lines)
	}
	a.storing = &storing{c, p, made}
}

// EndSaving implements part.Hands.
func (a hands) EndSaving(checkpoint string, taken, _ bool) {
	a.storing = nil
	for name := range a.h.written {
		if len(name) > len(checkpoint) && name[:len(checkpoint)] == checkpoint {
			delete(a.h.written, name)
		}
	}
	if !taken {
		delete(a.h.parts, checkpoint+"/"+a.h.name)
	}
}

// Stored implements part.Hands.
func (hands) Stored() int64 { return 0 }
