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

// maxDamaged bounds the damaged parts of which a host is heard at a time: no worker says more.
const maxDamaged = 256

// mender has hosts bring anew what they hold of checkpoints and have found damaged. The hosts say what that is, whole with each session, so that a new leader hears it as well. One goroutine uses
// it, but for what has a comment.
type mender struct {
	l *leader

	mu   sync.Mutex // guards the fields below, which any goroutine uses
	told map[fsm.HostID]*damageAt
}

// damageAt is what a host has said last, and what it was given to do.
type damageAt struct {
	session *session
	parts   map[copied]*apiv1.DamagedPart
	jobs    map[copied]mending
}

// mending is a task that a host has, and what it was given.
type mending struct {
	id   string
	task *apiv1.StoreTask
}

func (l *leader) newMender() *mender { return &mender{l: l, told: map[fsm.HostID]*damageAt{}} }

// take notes what a host says that is damaged there. Any goroutine may call it.
func (m *mender) take(s *session, said *apiv1.DamagedParts) {
	parts := map[copied]*apiv1.DamagedPart{}
	for _, d := range said.GetParts() {
		if len(parts) < maxDamaged && text.Word(d.GetCheckpoint()) && text.Word(d.GetHost()) {
			parts[copied{fsm.CheckpointID(d.Checkpoint), d.Host}] = d
		}
	}
	m.mu.Lock()
	at := m.told[s.host]
	if at == nil || at.session != s { // tasks of a session end with it
		at = &damageAt{session: s, jobs: map[copied]mending{}}
		m.told[s.host] = at
	}
	at.parts = parts
	m.mu.Unlock()
	m.l.inbox.signal()
}

// look costs the hosts that have something damaged.
func (m *mender) look(context.Context) {
	v := m.l.c.state.View()
	m.mu.Lock()
	defer m.mu.Unlock()
	for host, at := range m.told {
		over := m.l.sessions.of(host) != at.session
		for of, job := range at.jobs {
			if over || at.parts[of] == nil {
				m.l.tasks.end(at.session, job.id)
				delete(at.jobs, of)
			}
		}
		if over || len(at.parts) == 0 {
			delete(m.told, host)
			continue
		}
		for of, d := range at.parts {
			m.have(v, host, at, of, d)
		}
	}
}

// have has a host mend a part, if it is not at that. One that is at it is told anew where others have the part by now. Holds mu.
func (m *mender) have(v *fsm.View, host fsm.HostID, at *damageAt, of copied, d *apiv1.DamagedPart) {
	t := mendTask(v, host, of)
	job, has := at.jobs[of]
	if has && t != nil && proto.Equal(t, job.task) && !m.l.tasks.of(job.id).GetDone() {
		return
	}
	if has { // it has found more of it since, or others have it
		m.l.tasks.end(at.session, job.id)
		delete(at.jobs, of)
	}
	if t == nil {
		return
	}
	if !has {
		m.l.log.Warn("a host's copy of a part of a checkpoint is damaged, and is mended", "host", host, "checkpoint", of.checkpoint, "part", of.host, "files", d.Files, "file", text.Line(d.File, maxReasonBytes))
	}
	asked := proto.CloneOf(t) // its id is given with it
	at.jobs[of] = mending{m.l.tasks.give(at.session, t), asked}
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
			if string(of.checkpoint) != id {
				continue
			}
			if d.Files == 0 {
				out = append(out, fmt.Sprintf("host %s has its copy of the part of host %s whole again, as far as is known: it is being read", host, of.host))
				continue
			}
			doing := "it is mended"
			if st := m.l.tasks.of(at.jobs[of].id); st.GetTrouble() != "" {
				doing = "it cannot be mended yet: " + st.Trouble
			}
			out = append(out, fmt.Sprintf("host %s has a damaged copy of the part of host %s (%s): %s", host, of.host, files(d), doing))
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
