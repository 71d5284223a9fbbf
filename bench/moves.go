package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// move is what is measured of ranks that move: how large each is, how much of it is written a second, and how many move at once.
type move struct{ mib, percent, ranks int }

func (m move) String() string {
	text := fmt.Sprintf("%d MiB, %d %% written a second", m.mib, m.percent)
	if m.ranks > 1 {
		text = fmt.Sprintf("%d ranks of %s", m.ranks, text)
	}
	return text
}

// moves measures how long ranks stand still, and how long their migration takes, beside a plain copy of as many bytes between two sockets of this machine.
func (b *bench) moves(ctx context.Context) error {
	list := []move{
		{1, 0, 1},
		{16, 0, 1},
		{64, 0, 1},
		{64, 1, 1},
		{64, 10, 1},
		{64, 100, 1},
		{256, 1, 1},
		{512, 1, 1},
		{512, 10, 1},
		{512, 100, 1},
		{1024, 1, 1},
		{64, 1, 2},
		{64, 1, 4},
		{64, 1, 8},
	}
	turns := 2 * b.repeats
	if b.quick {
		list, turns = []move{{1, 0, 1}, {4, 100, 2}}, 2
	}
	bin, err := b.ours().compile(ctx, b.dir, filepath.Join(sources, "churn.c"))
	if err != nil {
		return err
	}
	return b.dev(ctx, 1, 2, 8, func(env []string) error {
		if b.pauses > 0 {
			return b.longest(ctx, env, bin)
		}
		for _, m := range list {
			pauses, totals, err := b.moving(ctx, env, bin, m, turns)
			if err != nil {
				return fmt.Errorf("%s: %w", m, err)
			}
			var plain []float64
			for range b.repeats {
				took, err := copied(ctx, m.mib*m.ranks<<20)
				if err != nil {
					return err
				}
				plain = append(plain, took.Seconds()*1e3)
			}
			peers := []peerFigure{{peer: "copy", values: plain}}
			b.core = append(b.core,
				row{what: "pause, " + m.String(), unit: "ms", godwit: pauses, peers: peers},
				row{what: "migration, " + m.String(), unit: "ms", godwit: totals, peers: peers})
		}
		return nil
	})
}

// ofApp is how many migrations are made of one app: so many are listed.
const ofApp = 20

// longest measures the pauses of many migrations: their median, and what 99 % of them keep within.
func (b *bench) longest(ctx context.Context, env []string, bin string) error {
	m := move{64, 1, 1}
	var pauses, totals []float64
	for len(pauses) < b.pauses {
		p, t, err := b.moving(ctx, env, bin, m, min(ofApp, b.pauses-len(pauses)))
		if err != nil {
			return fmt.Errorf("%s, after %d migrations: %w", m, len(pauses), err)
		}
		pauses, totals = append(pauses, p...), append(totals, t...)
	}
	what := fmt.Sprintf("%d migrations, %s", len(pauses), m)
	b.core = append(b.core,
		row{what: "pause, " + what, unit: "ms", godwit: pauses, peers: []peerFigure{{peer: "the goal", values: []float64{15}}}},
		row{what: "pause of 99 % of " + what, unit: "ms", godwit: []float64{share(pauses, 0.99)}, peers: []peerFigure{{peer: "the goal", values: []float64{40}}}},
		row{what: "the whole of " + what, unit: "ms", godwit: totals})
	return nil
}

// share is the least of the readings that such a share of them does not exceed.
func share(values []float64, of float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(of*float64(len(sorted))))-1)]
}

// moving runs an app on one host and has its ranks move to and fro: how long each stood still, and how long each migration took, in milliseconds.
func (b *bench) moving(ctx context.Context, env []string, bin string, m move, turns int) (pauses, totals []float64, err error) {
	n := strconv.Itoa(m.ranks)
	id, err := output(ctx, env, b.godwit, "submit", "-n", n, "--place", "w1:"+n, bin, strconv.Itoa(m.mib), strconv.Itoa(m.percent))
	if err != nil {
		return nil, nil, err
	}
	id = strings.TrimSpace(id)
	defer func() {
		_, cerr := output(context.WithoutCancel(ctx), env, b.godwit, "cancel", id)
		err = errors.Join(err, cerr)
	}()
	for filled := 0; filled < m.ranks && ctx.Err() == nil; time.Sleep(pollEach) {
		out, err := output(ctx, env, b.godwit, "logs", id)
		if err != nil && !strings.Contains(err.Error(), "no output") {
			return nil, nil, err
		}
		filled = strings.Count(out, "filled")
	}
	all := make([]string, m.ranks)
	for r := range all {
		all[r] = strconv.Itoa(r)
	}
	for i := range turns {
		p, total, err := b.moveAll(ctx, env, id+"/"+strings.Join(all, ","), []string{"w2", "w1"}[i%2], i+1)
		if err != nil {
			return nil, nil, err
		}
		pauses, totals = append(pauses, p...), append(totals, total)
	}
	return pauses, totals, nil
}

// moveAll migrates ranks and waits for the n-th migration of their app to be over, with what is known of it then.
func (b *bench) moveAll(ctx context.Context, env []string, ranks, to string, n int) (pauses []float64, total float64, err error) {
	if _, err := output(ctx, env, b.godwit, "migrate", ranks, "--to", to); err != nil {
		return nil, 0, err
	}
	app, _, _ := strings.Cut(ranks, "/")
	for ctx.Err() == nil {
		out, err := output(ctx, env, b.godwit, "migrations", "--app", app, "-o", "json")
		if err != nil {
			return nil, 0, err
		}
		var migs []struct {
			Phase, Reason string
			ProposedAt    time.Time `json:"proposed_at"`
			EndedAt       time.Time `json:"ended_at"`
			Moves         []struct {
				PauseMs float64 `json:"pause_ms"`
			}
		}
		if err := json.Unmarshal([]byte(out), &migs); err != nil {
			return nil, 0, err
		}
		if len(migs) == n && migs[n-1].Phase == "aborted" {
			return nil, 0, fmt.Errorf("a migration was aborted: %s", migs[n-1].Reason)
		}
		if len(migs) == n && migs[n-1].Phase == "committed" {
			pauses = pauses[:0]
			for _, mv := range migs[n-1].Moves {
				pauses = append(pauses, mv.PauseMs)
			}
			if !slices.Contains(pauses, 0) {
				return pauses, migs[n-1].EndedAt.Sub(migs[n-1].ProposedAt).Seconds() * 1e3, nil
			}
		}
		time.Sleep(pollEach)
	}
	return nil, 0, ctx.Err()
}

// copied is how long so many bytes take from one buffer to another over a connection of this machine.
func copied(ctx context.Context, n int) (time.Duration, error) {
	const piece = 1 << 20
	from, to := make([]byte, n), make([]byte, n)
	for i := range n {
		from[i], to[i] = byte(i*2654435761>>7), 1
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close() //nolint:errcheck // nobody calls any more
	sent := make(chan error, 1)
	begin := time.Now()
	go func() { // until all is sent, or the reader closes
		c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		if err == nil {
			for p := range slices.Chunk(from, piece) {
				if _, err = c.Write(p); err != nil {
					break
				}
			}
			err = errors.Join(err, c.Close())
		}
		sent <- err
	}()
	c, err := l.Accept()
	if err != nil {
		return 0, err
	}
	_, err = io.ReadFull(c, to)
	took := time.Since(begin)
	return took, errors.Join(err, c.Close(), <-sent)
}
