package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// tail prints an app's output. It goes on with another server where one broke off: each rank's lines are numbered.
type tail struct {
	client  *client.Client
	app     string
	follow  bool
	ranks   []int32
	last    *uint64 // of each rank only so many of the lines that are there; nil: all
	since   int64   // only lines from then on, in Unix time in milliseconds
	show    func(*apiv1.LogLine) error
	rest    func() error       // shows what show has held back; nil: nothing
	next    map[int32]uint64   // of each rank of which it is known, the line that is wanted next
	wait    time.Duration      // without follow, for a host that does not answer; 0: as the server does
	waits   func(what string)  // hears once of each host that does not answer; nil: nobody does
	awaited map[string]bool    // those hosts
	missing map[string][]int32 // ranks whose output the last stream could not find, by reason
	gaps    map[int32]bool     // ranks of whose output lines are lost
	started chan struct{}      // closed at the first line
	begun   bool               // started is closed
	shown   atomic.Uint64      // messages with lines so far
}

func newTail(c *client.Client, app string, follow bool, ranks []int32, show func(*apiv1.LogLine) error) *tail {
	return &tail{
		client: c, app: app, follow: follow, ranks: ranks, show: show, next: map[int32]uint64{}, missing: map[string][]int32{},
		gaps: map[int32]bool{}, awaited: map[string]bool{}, started: make(chan struct{}),
	}
}

// run prints until the output is complete or, without follow, what there is.
func (t *tail) run(ctx context.Context) error {
	err := t.read(ctx)
	if t.rest != nil {
		if rerr := t.rest(); rerr != nil && err == nil {
			err = &exitError{exitFailed, rerr.Error()}
		}
	}
	return err
}

func (t *tail) read(ctx context.Context) error {
	return t.client.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) error {
		clear(t.missing) // what could not be had then may be there now
		req := &apiv1.LogsRequest{App: t.app, Follow: t.follow, Ranks: t.ranks, Tail: t.last, SinceMs: t.since}
		req.WaitMs = uint64(t.wait.Milliseconds()) //nolint:gosec // not below 0
		for r, seq := range t.next {
			req.From = append(req.From, &apiv1.LogPosition{Rank: r, Seq: seq})
		}
		stream, err := control.Logs(ctx, req)
		if err != nil {
			return err
		}
		defer stream.Close() //nolint:errcheck // what counts has been received
		for {
			m, err := stream.Receive()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, p := range m.Begin {
				t.next[p.Rank] = max(t.next[p.Rank], p.Seq)
			}
			for _, a := range m.Awaited {
				t.await(a)
			}
			for _, m := range m.Missing {
				t.missing[m.Reason] = append(t.missing[m.Reason], m.Rank)
			}
			if err := t.lines(m.Lines); err != nil {
				return err
			}
		}
	})
}

// await tells of a host that does not answer.
func (t *tail) await(a *apiv1.AwaitedOutput) {
	if t.awaited[a.Host] || len(a.Ranks) == 0 || t.waits == nil {
		return
	}
	t.awaited[a.Host] = true
	t.waits(fmt.Sprintf("waits for host %s (%s), which %s", a.Host, someRanks(a.Ranks), cmp.Or(a.Reason, "does not answer")))
}

func (t *tail) lines(lines []*apiv1.LogLine) error {
	t.shown.Add(1)
	for _, l := range lines {
		if l.Seq < t.next[l.Rank] {
			continue
		}
		if !t.begun {
			t.begun = true
			close(t.started)
		}
		t.next[l.Rank] = l.Seq + max(1, l.Lost)
		if l.Lost > 0 {
			t.gaps[l.Rank] = true
		}
		if err := t.show(l); err != nil {
			return &exitError{exitFailed, err.Error()}
		}
	}
	return nil
}

// incomplete says which output is nowhere any more; nil: what came was all.
func (t *tail) incomplete() error {
	missing := maps.Clone(t.missing)
	if len(t.gaps) > 0 {
		missing["lines of it are lost, as is said in their place"] = slices.Collect(maps.Keys(t.gaps))
	}
	var errs []string
	for _, reason := range slices.Sorted(maps.Keys(missing)) {
		ranks := missing[reason]
		slices.Sort(ranks)
		errs = append(errs, fmt.Sprintf("the output of %s is incomplete: %s", someRanks(ranks), reason))
	}
	if errs == nil {
		return nil
	}
	return &exitError{exitFailed, strings.Join(errs, "; ")}
}

// someRanks names a few ranks and counts the others.
func someRanks(ranks []int32) string {
	const shown = 5
	names := make([]string, 0, shown)
	for _, r := range ranks[:min(shown, len(ranks))] {
		names = append(names, strconv.Itoa(int(r)))
	}
	text := "rank " + names[0]
	if len(ranks) > 1 {
		text = "ranks " + strings.Join(names, ", ")
	}
	if more := len(ranks) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
