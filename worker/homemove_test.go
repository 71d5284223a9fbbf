package worker

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/worker/part"
)

// homePair is an app on two hosts, and its home on the first.
type homePair struct {
	from, to *bench
}

func newHomePair(t *testing.T) *homePair {
	p := &homePair{newBench(t), newBench(t)}
	p.to.a.host.cfg.Name = "h2"
	p.from.a.host.apps["a"] = p.from.a
	p.to.a.host.http = transport.NewHTTPClient()
	addr := serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, dataService{p.from.a.host}) })
	for _, b := range []*bench{p.from, p.to} {
		b.rec = proto.CloneOf(b.rec)
		b.rec.Addrs["h1"] = addr
		b.rec.App.Placement = []string{"h2", "h2"}
		b.rec.App.Ranks = []*apiv1.RankState{{Epoch: 1, Ended: true}, {Epoch: 1}}
		b.has(part.None)
	}
	p.to.has(part.Running, 1)
	t.Cleanup(func() {
		for _, b := range []*bench{p.from, p.to} {
			b.a.dropComing()
			if b.a.home != nil {
				b.a.leaveHome()
			}
		}
	})
	p.says(&apiv1.AppFiles{Host: "h1"})
	return p
}

// says is what the log says of the files from now on.
func (p *homePair) says(f *apiv1.AppFiles) {
	for _, b := range []*bench{p.from, p.to} {
		b.rec = proto.CloneOf(b.rec)
		b.rec.Index++
		b.rec.App.Files = f
		b.a.part.Follow(b.rec)
		b.a.followFiles(b.t.Context())
	}
}

// come lets both go on until the second host says that it has the files, or why not.
func (p *homePair) come(t *testing.T) *apiv1.FilesStatus {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // what others ask of the first
		for {
			select {
			case f := <-p.from.a.inbox:
				f()
			case <-stop:
				return
			}
		}
	})
	defer func() { close(stop); wg.Wait() }()
	for {
		if st := p.to.status().Files; st.GetHeld() || st.GetFault() != "" {
			return st
		}
		select {
		case f := <-p.to.a.inbox:
			f()
		case <-time.After(time.Minute):
			require.FailNow(t, "they do not come")
		}
	}
}

func (p *homePair) write(b *bench, n uint64) *apiv1.FilesResponse {
	s := b.a.serving.Load()
	if s == nil {
		return nil
	}
	return s.Try(&apiv1.FilesRequest{App: "a", Client: 1, Lane: 0, Number: n, Op: apiv1.FilesRequest_OP_MKDIR, Path: string(rune('a' + n))})
}

// TestHomeComes: the first host serves until it is asked for the files, and not again before the log says that it is the home still; the second serves as
// soon as the log says so.
func TestHomeComes(t *testing.T) {
	p := newHomePair(t)
	require.Zero(t, p.write(p.from, 1).Errno)
	p.says(&apiv1.AppFiles{Host: "h1", To: "h2", Move: 7})
	st := p.come(t)
	require.True(t, st.Held, st.Fault)
	require.Equal(t, uint64(7), st.Move)
	require.Nil(t, p.write(p.from, 2), "it may have moved")
	require.Nil(t, p.write(p.to, 2), "it may stay")
	held := p.to.a.coming.home.dir

	p.says(&apiv1.AppFiles{Host: "h1", Move: 7})
	require.NotNil(t, p.write(p.from, 2), "it stays")
	require.NoDirExists(t, held)

	p.says(&apiv1.AppFiles{Host: "h1", To: "h2", Move: 8})
	require.True(t, p.come(t).Held)
	old := p.from.a.home.dir
	p.says(&apiv1.AppFiles{Host: "h2", Move: 8})
	require.NoDirExists(t, old)
	require.Nil(t, p.write(p.from, 3))
	require.Zero(t, p.write(p.to, 2).Errno, "it was done, and is not done again")
	require.Zero(t, p.write(p.to, 3).Errno)
	for _, name := range []string{"b", "c", "d"} {
		require.DirExists(t, filepath.Join(p.to.a.home.dir, apiv1.HomeKept, name))
	}
}

// TestHomeDoesNotCome: without room for them the files stay, and it is said why.
func TestHomeDoesNotCome(t *testing.T) {
	p := newHomePair(t)
	at := p.to.a.host.homeDir("a")
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o700))
	require.NoError(t, os.WriteFile(at, nil, 0o600)) // no directory is made in its place
	p.says(&apiv1.AppFiles{Host: "h1", To: "h2", Move: 7})
	require.Contains(t, p.come(t).Fault, "h2 could not take the files from h1: ")
	p.says(&apiv1.AppFiles{Host: "h1", Move: 7})
	require.Nil(t, p.to.status().Files)
	require.NotNil(t, p.write(p.from, 1))
}

// TestLostHomeIsNoNewOne: a host that the log calls the home since a move, and that has nothing, does not begin with an empty directory.
func TestLostHomeIsNoNewOne(t *testing.T) {
	p := newHomePair(t)
	p.says(&apiv1.AppFiles{Host: "h2", Move: 7})
	require.Nil(t, p.to.a.serving.Load())
	require.ErrorContains(t, p.to.a.home.err, "not here any more")
	require.Equal(t, "they have moved here, and are not here any more", p.to.status().Files.Lost)
	require.EqualValues(t, 7, p.to.status().Files.Move)
}

// TestBrokenGiving: a stream that breaks before its end was sent has the home go on; later only the log has.
func TestBrokenGiving(t *testing.T) {
	p := newHomePair(t)
	s := p.from.a.home.server
	sealed := func(g *giving, turn int, sent bool) {
		require.NoError(t, g.step(turn, func() { s.Seal(); g.sealed, g.sent = true, sent }))
	}
	g := &giving{to: "h2", move: 7}
	first, err := g.begin(func() {})
	require.NoError(t, err)
	sealed(g, first, false)
	second, err := g.begin(func() {})
	require.NoError(t, err)
	g.broke(first, s)
	require.Nil(t, p.write(p.from, 1), "another one counts by now")
	g.broke(second, s)
	require.NotNil(t, p.write(p.from, 1))

	third, err := g.begin(func() {})
	require.NoError(t, err)
	sealed(g, third, true)
	g.broke(third, s)
	_, err = g.begin(func() {})
	require.NoError(t, err)
	require.Nil(t, p.write(p.from, 2), "the other host may have all of it")
	g.end(s)
	require.NotNil(t, p.write(p.from, 2))
	require.Error(t, g.step(third, func() { s.Seal() }))
	_, err = g.begin(func() {})
	require.Error(t, err)
}
