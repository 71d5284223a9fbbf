package control

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/transport"
)

// crowd is a leader of a large cluster: hosts with sessions, and running apps over all of them.
type crowd struct {
	l    *leader
	log  *memoryLog
	apps []string
}

// newCrowd makes a cluster of hosts of 100 slots each, and fills it with apps of size ranks, each over as few hosts as may be.
func newCrowd(b *testing.B, hosts, apps, size int) *crowd {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Addr, cfg.DataDir = "127.0.0.1:1", b.TempDir()
	cfg.Inspect = func([]byte) (*apiv1.Module, error) { return &apiv1.Module{}, nil }
	log := &memoryLog{machine: fsm.New()}
	c, err := New(cfg, log.machine, log, noGroup{}, noPeers{}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	cr := &crowd{l: newLeader(c, 7, make(chan struct{})), log: log}
	cr.do(b, &apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: testDigest, Migratable: true}}}})
	cr.do(b, &apiv1.Command{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{LeaseMs: 3600_000}}}})
	for i := range hosts {
		cr.do(b, &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: cr.host(i)}}})
	}
	for i := range apps {
		id := fmt.Sprintf("app-%06d", i)
		cr.apps = append(cr.apps, id)
		spec := &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: int32(size), Oversubscribe: true, MigrationCheckPeriod: 3600}
		cr.do(b, &apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: spec}}})
		place := &apiv1.PlaceApp{App: id}
		for r := range size {
			place.Placement = append(place.Placement, cr.host((i*size+r)/100%hosts).Id)
		}
		cr.do(b, &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: place}})
	}
	return cr
}

func (cr *crowd) host(i int) *apiv1.Host {
	name := fmt.Sprintf("w%05d", i)
	return &apiv1.Host{Id: name, Name: name, Addr: "127.0.0.1:9", Slots: 100, NodeId: name, Incarnation: name}
}

func (cr *crowd) do(b *testing.B, c *apiv1.Command) {
	b.Helper()
	c.At, c.Key = timestamppb.Now(), fmt.Sprintf("k%d", cr.log.index)
	res, err := cr.log.Propose(b.Context(), c)
	if err != nil || res.Code != "" {
		b.Fatal(err, res)
	}
}

func (cr *crowd) open(i int) *session {
	h := cr.host(i)
	s := newSession(fsm.HostID(h.Id), h.Incarnation, func() {})
	if err := cr.l.openSession(s, &apiv1.Hello{Host: h}); err != nil {
		panic(err)
	}
	return s
}

// BenchmarkWake is what it costs the dispatcher that one app of many has changed, with 100,000 ranks on the hosts.
func BenchmarkWake(b *testing.B) {
	for _, hosts := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			cr := newCrowd(b, hosts, 1000, 100)
			for i := range hosts {
				cr.open(i)
			}
			dispatch := cr.l.dispatcher()
			dispatch(b.Context())
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				id := cr.apps[i%len(cr.apps)]
				app, _ := cr.l.c.state.View().App(fsm.AppID(id))
				cr.do(b, &apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: app.Placement[0], Epoch: 1}}})
				b.StartTimer()
				dispatch(b.Context())
			}
		})
	}
}

// BenchmarkOpen is what it costs that one worker connects, with 100,000 ranks on the hosts.
func BenchmarkOpen(b *testing.B) {
	for _, hosts := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			cr := newCrowd(b, hosts, 1000, 100)
			for i := 0; b.Loop(); i++ {
				cr.open(i % hosts)
			}
		})
	}
}

// BenchmarkReport is what it costs that a host reports of one app, up to and without the proposal it leads to.
func BenchmarkReport(b *testing.B) {
	cr := newCrowd(b, 1000, 1000, 100)
	for i := range 1000 {
		cr.open(i)
	}
	cr.l.takeReports(b.Context())
	for i := 0; b.Loop(); i++ {
		app, _ := cr.l.c.state.View().App(fsm.AppID(cr.apps[i%1000]))
		s := cr.l.sessions.of(fsm.HostID(app.Placement[0]))
		cr.l.takeStatus(s, &apiv1.AppStatus{App: app.Id, Epoch: 1, Executor: apiv1.ExecutorStarting})
		cr.l.takeReports(b.Context())
	}
}

// BenchmarkLargeApp is what is sent to workers that one app of 4,000 ranks on 1,000 hosts starts, moves a rank, and ends, where every
// host's report is a look of its own: the most that it can be. The ends come within a second, or within 100.
func BenchmarkLargeApp(b *testing.B) {
	const hosts, each = 1000, 4
	for _, over := range []time.Duration{time.Second, 100 * time.Second} {
		b.Run(fmt.Sprintf("over=%s", over), func(b *testing.B) {
			cr := newCrowd(b, hosts, 0, 0)
			for i := range hosts {
				cr.open(i)
			}
			now := time.Unix(0, 0)
			d := cr.l.newDispatch(func() time.Time { return now })
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprintf("app-%d", i)
				cr.startLarge(b, d, id, hosts, each)
				cr.sent(b, d, "start", hosts, func(h int) *apiv1.Command {
					return &apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: cr.host(h).Id, Epoch: 1}}}
				})
				mig := cr.migrationOf(id, 0, cr.host(1).Id)
				cr.sent(b, d, "move", len(mig), func(step int) *apiv1.Command { return mig[step] })
				cr.sent(b, d, "end", hosts, func(h int) *apiv1.Command {
					now = now.Add(over / hosts)
					return cr.endOf(id, cr.host(h).Id)
				})
			}
		})
	}
}

// startLarge places an app, each ranks on each of the first hosts, and tells them.
func (cr *crowd) startLarge(b *testing.B, d *dispatch, id string, hosts, each int) {
	b.Helper()
	place := &apiv1.PlaceApp{App: id}
	for r := range hosts * each {
		place.Placement = append(place.Placement, cr.host(r/each).Id)
	}
	spec := &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: int32(hosts * each)}
	cr.sent(b, d, "place", 2, func(step int) *apiv1.Command {
		return []*apiv1.Command{
			{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: spec}}},
			{Op: &apiv1.Command_PlaceApp{PlaceApp: place}},
		}[step]
	})
}

// sent applies commands, each with a look of its own, and notes what was sent for them.
func (cr *crowd) sent(b *testing.B, d *dispatch, name string, n int, command func(i int) *apiv1.Command) {
	b.Helper()
	records, size, took := 0, 0, time.Duration(0)
	for i := range n {
		cr.do(b, command(i))
		start := time.Now()
		d.look(b.Context())
		took += time.Since(start)
		cr.l.sessions.mu.Lock()
		for _, s := range cr.l.sessions.open {
			for _, rec, some := s.take(); some; _, rec, some = s.take() {
				if records++; records%97 == 1 { // to measure all would take minutes
					size += 97 * proto.Size(rec)
				}
			}
		}
		cr.l.sessions.mu.Unlock()
	}
	b.ReportMetric(float64(records), "records-"+name)
	b.ReportMetric(float64(size)/(1<<20), "MiB-"+name)
	b.ReportMetric(float64(took.Milliseconds()), "ms-"+name)
}

// endOf is the end of all ranks of an app on a host.
func (cr *crowd) endOf(id, host string) *apiv1.Command {
	ended := &apiv1.RanksEnded{App: id, Host: host}
	app, _ := cr.l.c.state.View().App(fsm.AppID(id))
	for r, on := range app.Placement {
		if on == host {
			ended.Ranks = append(ended.Ranks, &apiv1.EndedRank{Rank: int32(r), Epoch: app.RankEpoch(int32(r))})
		}
	}
	return &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: ended}}
}

// migrationOf is the course of a migration of one rank.
func (cr *crowd) migrationOf(app string, rank int32, to string) []*apiv1.Command {
	id := "m-" + app
	return []*apiv1.Command{
		{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{Id: id, App: app, FromEpoch: 1, Moves: []*apiv1.Move{{Rank: rank, To: to}}}}},
		{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: id}}},
		{Op: &apiv1.Command_FreezeMigration{FreezeMigration: &apiv1.FreezeMigration{Id: id, Ranks: []*apiv1.FrozenRank{{Rank: rank}}}}},
		{Op: &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: id}}},
	}
}

// BenchmarkIdle is what a tick of a duty costs when nothing has happened: no lease is over, no app's time to be looked at
// has come, and the app at the head of the queue waits for room. A tenth of the slots are used, by apps of ten ranks.
func BenchmarkIdle(b *testing.B) {
	for _, hosts := range []int{100, 1000, 10_000} {
		cr := newCrowd(b, hosts, min(hosts, fsm.MaxLiveApps-1), 10)
		wants := &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: fsm.MaxAppSize, Hint: "force_local"}
		cr.do(b, &apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "waits", Spec: wants}}})
		for name, tick := range map[string]func(context.Context){
			"leases": cr.l.expirer(), "checker": cr.l.checker(), "queue": cr.l.placer(), "reports": cr.l.takeReports, "driver": cr.l.driver(),
			"dispatch": cr.l.dispatcher(),
		} {
			tick(b.Context())
			b.Run(fmt.Sprintf("%s/hosts=%d", name, hosts), func(b *testing.B) {
				for b.Loop() {
					tick(b.Context())
				}
			})
		}
	}
}

// BenchmarkStarting is a tick of the duty that watches starts, while 1,000 apps start on 10,000 hosts, each on 10 of them, or on 100.
func BenchmarkStarting(b *testing.B) {
	const hosts, apps = 10_000, 1000
	for _, each := range []int{10, 100} {
		b.Run(fmt.Sprintf("hosts_each=%d", each), func(b *testing.B) {
			cr := newCrowd(b, hosts, 0, 0)
			for i := range hosts {
				cr.open(i)
			}
			for i := range apps {
				id := fmt.Sprintf("app-%06d", i)
				spec := &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: int32(each), Oversubscribe: true}
				cr.do(b, &apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: spec}}})
				place := &apiv1.PlaceApp{App: id}
				for r := range each {
					place.Placement = append(place.Placement, cr.host((i*each+r)%hosts).Id)
				}
				cr.do(b, &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: place}})
			}
			s, now := cr.l.newStarts(), time.Now()
			s.look(b.Context(), now)
			for i := 1; b.Loop(); i++ {
				if i%100 == 0 { // all have made a step
					b.StopTimer()
					for _, hosts := range s.apps {
						for _, is := range hosts {
							is.since = now
						}
					}
					b.StartTimer()
				}
				now = now.Add(startsEach)
				s.look(b.Context(), now)
			}
		})
	}
}

// BenchmarkReconnect is 1,000 workers that connect at once, each over a connection of its own on the loopback interface, to a
// leader that has just been elected, as after a failover: until every one of them has its lease, and the answer to a heartbeat.
// Each host has ten ranks. Memory is that of both ends, in one process.
func BenchmarkReconnect(b *testing.B) {
	const hosts = 1000
	cr := newCrowd(b, hosts, hosts, 10)
	for i := range hosts { // a worker has a secret
		cr.do(b, &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: withSecret(cr.host(i))}}})
	}
	c := cr.l.c
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	served := make(chan error, 1)
	go func() { served <- transport.Serve(ctx, listener, c.Handler()) }()
	defer func() { cancel(); <-served }() //nolint:errcheck // streams may be open
	for b.Loop() {
		term, end := context.WithCancel(ctx)
		led := make(chan error, 1)
		go func() { led <- c.Lead(term, 7) }()
		for c.current() == nil {
			runtime.Gosched()
		}
		before, start := memory(), time.Now()
		var g errgroup.Group
		var tries atomic.Int64
		for i := range hosts {
			g.Go(func() error {
				client := transport.NewHTTPClient()
				for connectAndBeat(term, client, listener.Addr().String(), cr.host(i)) != nil { // a worker tries again
					tries.Add(1)
				}
				return nil
			})
		}
		_ = g.Wait()
		b.ReportMetric(float64(tries.Load()), "failed-tries")
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-until-all")
		b.ReportMetric(float64(memory()-before)/hosts/1024, "KiB/worker")
		b.ReportMetric(float64(runtime.NumGoroutine())/hosts, "goroutines/worker")
		end()
		<-led //nolint:errcheck // it ends with its context
	}
}

func withSecret(h *apiv1.Host) *apiv1.Host {
	h.SecretHash = secretHash("s")
	return h
}

func connectAndBeat(ctx context.Context, client *http.Client, addr string, host *apiv1.Host) error {
	l, err := dial(ctx, client, addr, &apiv1.Hello{Secret: "s", Host: host})
	if err != nil {
		return err
	}
	if err := l.stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Heartbeat{Heartbeat: &apiv1.Heartbeat{Seq: 1}}}); err != nil {
		return err
	}
	for {
		select {
		case r := <-l.in:
			if r.GetHeartbeat().GetSeq() == 1 {
				return nil
			}
		case err := <-l.over:
			return err
		}
	}
}

// memory is what the process holds, once nothing is left that is not used.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
