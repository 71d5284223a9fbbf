package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// mender has hosts bring anew what they hold of checkpoints and have found damaged. The hosts say what that is, whole with each session, so that a new leader hears it as well. One goroutine uses
// it, but for what has a comment.
type mender struct {
	l *leader

	mu   sync.Mutex // guards the fields below, which any goroutine uses
	told map[fsm.HostID]*damageAt
}

// damageAt is what a host has said last over its session.
type damageAt struct {
	session *session
	parts   map[copied]*mending
}

// mending is a part that a host has said to be damaged, and the task that it was given for that.
type mending struct {
	said *apiv1.DamagedPart // nil: it is whole again
	id   string             // empty: it was given none
	task *apiv1.StoreTask   // as it was given
}

func (l *leader) newMender() *mender { return &mender{l: l, told: map[fsm.HostID]*damageAt{}} }

// take notes what a host says that is damaged there. Any goroutine may call it.
func (m *mender) take(s *session, said *apiv1.DamagedParts) {
	m.mu.Lock()
	at := m.told[s.host]
	if at == nil || at.session != s { // tasks of a session end with it
		m.endAll(at)
		at = &damageAt{session: s, parts: map[copied]*mending{}}
		m.told[s.host] = at
	}
	for of, d := range at.parts {
		if d.said = nil; d.id == "" {
			delete(at.parts, of)
		}
	}
	n := 0
	for _, d := range said.GetParts() {
		if n >= apiv1.MaxDamagedParts || !text.Word(d.GetCheckpoint()) || !text.Word(d.GetHost()) {
			continue
		}
		n++
		of := copied{fsm.CheckpointID(d.Checkpoint), d.Host}
		if at.parts[of] == nil {
			at.parts[of] = &mending{}
		}
		at.parts[of].said = d
	}
	m.mu.Unlock()
	m.l.inbox.signal()
}

// look costs the hosts that have something damaged.
func (m *mender) look(context.Context) {
	v := m.l.c.state.View()
	m.mu.Lock()
	defer m.mu.Unlock()
	for host, at := range m.told {
		if m.l.sessions.of(host) != at.session {
			m.endAll(at)
			delete(m.told, host)
			continue
		}
		for of, d := range at.parts {
			m.have(v, host, at.session, of, d)
			if d.said == nil {
				delete(at.parts, of)
			}
		}
		if len(at.parts) == 0 {
			delete(m.told, host)
		}
	}
}

// have has a host mend a part, if it is not at that, or is to end that. One that is at it is told anew where others have the part by now. Holds mu.
func (m *mender) have(v *fsm.View, host fsm.HostID, s *session, of copied, d *mending) {
	var t *apiv1.StoreTask
	if d.said != nil {
		t = mendTask(v, host, of)
	}
	if d.id != "" && t != nil && proto.Equal(t, d.task) && !m.l.tasks.of(d.id).GetDone() {
		return
	}
	if t != nil && d.id == "" {
		m.l.log.Warn("a host's copy of a part of a checkpoint is damaged, and is mended", "host", host, "checkpoint", of.checkpoint, "part", of.host, "files", d.said.Files, "file", text.Line(d.said.File, maxReasonBytes))
	}
	m.end(s, d) // it has found more of it since, or others have it
	if t != nil {
		d.task = proto.CloneOf(t) // its id is given with it
		d.id = m.l.tasks.give(s, t)
	}
}

// end ends what a host does for a part. Holds mu.
func (m *mender) end(s *session, d *mending) {
	if d.id != "" {
		m.l.tasks.end(s, d.id)
		d.id, d.task = "", nil
	}
}

// endAll ends what a host does; nil: it does nothing. Holds mu.
func (m *mender) endAll(at *damageAt) {
	if at == nil {
		return
	}
	for _, d := range at.parts {
		m.end(at.session, d)
	}
}

// mendTask has a host mend what it holds of a part; nil: it is not to hold it.
func mendTask(v *fsm.View, host fsm.HostID, of copied) *apiv1.StoreTask {
	c, ok := v.Checkpoint(of.checkpoint)
	if !ok {
		return nil
	}
	i := slices.IndexFunc(c.Parts, func(p *apiv1.CheckpointPart) bool { return p.Host == of.host })
	if i < 0 || len(c.Parts[i].Digest) == 0 {
		return nil
	}
	part, from := c.Parts[i], map[string]string{}
	if h, ok := v.Host(host); !ok || !fsm.HeldBy(part, h) { // another machine of its name is to hold nothing
		return nil
	}
	for _, by := range part.Holders() {
		if h, ok := v.Host(fsm.HostID(by.Host)); ok && by.Host != string(host) && fsm.HeldBy(part, h) && !fsm.HostStateOf(h).Gone() {
			from[by.Host] = h.Addr
		}
	}
	t := &apiv1.StoreTask{App: c.App, Checkpoint: &apiv1.Checkpoint{Id: c.Id, App: c.App, Parts: []*apiv1.CheckpointPart{part}}, Parts: []string{of.host}, Mend: true, From: from}
	if c.StoredAt != nil {
		t.Checkpoint.To = c.To
	}
	return t
}

// said is what is damaged of a checkpoint, and what keeps it from being mended; empty: nothing is. Any goroutine may call it.
func (m *mender) said(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for host, at := range m.told {
		for of, d := range at.parts {
			if string(of.checkpoint) != id || d.said == nil {
				continue
			}
			if d.said.Files == 0 {
				out = append(out, fmt.Sprintf("host %s has its copy of the part of host %s whole again, as far as is known: it is being read", host, of.host))
				continue
			}
			doing := "it is mended"
			if st := m.l.tasks.of(d.id); st.GetTrouble() != "" {
				doing = "it cannot be mended yet: " + st.Trouble
			}
			out = append(out, fmt.Sprintf("host %s has a damaged copy of the part of host %s (%s): %s", host, of.host, files(d.said), doing))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// files names one damaged file, and says how many more there are.
func files(d *apiv1.DamagedPart) string {
	file := cmp.Or(text.Line(d.File, text.MaxWord), "a file")
	if d.Files > 1 {
		return fmt.Sprintf("%s and %d more", file, d.Files-1)
	}
	return file
}
