package fsm

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func command(t require.TestingT, line string) *apiv1.Command {
	cmd, err := parseCommand(strings.Fields(line))
	require.NoError(t, err, line)
	return cmd
}

func mustApply(t require.TestingT, m *Machine, lines ...string) []*apiv1.Result {
	entry := new(apiv1.Entry)
	index := m.View().Index() + 1
	for _, line := range lines {
		cmd := command(t, line)
		cmd.At = &timestamppb.Timestamp{Seconds: int64(index)}
		entry.Commands = append(entry.Commands, cmd)
	}
	data, err := Encode(entry)
	require.NoError(t, err)
	results, err := m.Apply(index, 1, data)
	require.NoError(t, err)
	return results
}

// mustHold applies the lines and requires that they break nothing.
func mustHold(t require.TestingT, m *Machine, lines ...string) []*apiv1.Result {
	results := mustApply(t, m, lines...)
	for i, r := range results {
		require.NotEqual(t, string(CodeBroken), r.GetCode(), "%s: %s", lines[i], r.GetReason())
	}
	return results
}

// TestGoldenEnvelope reads an entry that was written by the first version of the envelope; it
// must stay readable for ever.
func TestGoldenEnvelope(t *testing.T) {
	text, err := os.ReadFile("testdata/entry-v1.hex")
	require.NoError(t, err)
	data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	require.NoError(t, err)
	m := New()
	results, err := m.Apply(1, 1, data)
	require.NoError(t, err)
	require.Len(t, results, 5)
	for _, r := range results {
		require.Empty(t, r.GetCode(), r.GetReason())
	}
	app, err := m.View().FindApp("golden")
	require.NoError(t, err)
	require.Equal(t, "a1", app.GetId())
	require.Equal(t, []string{"h1", "h1"}, app.GetPlacement())
}

func TestDamagedEntriesStopTheReplica(t *testing.T) {
	good, err := Encode(&apiv1.Entry{Commands: []*apiv1.Command{command(t, "init c1")}})
	require.NoError(t, err)
	damage := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	noOp, err := seal(&apiv1.Entry{Commands: []*apiv1.Command{{Key: "k"}}})
	require.NoError(t, err)
	// Field 200 of Command, as a later version might have.
	future := &apiv1.Command{Key: "k"}
	future.ProtoReflect().SetUnknown([]byte{0xc2, 0x0c, 0x00})
	later, err := seal(&apiv1.Entry{Commands: []*apiv1.Command{future}})
	require.NoError(t, err)
	inside := command(t, "init c1")
	inside.GetInitCluster().ProtoReflect().SetUnknown([]byte{0xc2, 0x0c, 0x00})
	_, err = Encode(&apiv1.Entry{Commands: []*apiv1.Command{inside}})
	require.ErrorIs(t, err, ErrVersion, "no replica would get over it")
	require.ErrorContains(t, err, "unknown field in InitCluster")

	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{
		{"empty", nil, ErrCorrupt},
		{"short", good[:3], ErrCorrupt},
		{"truncated", good[:len(good)-1], ErrCorrupt},
		{"bit flip", damage(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), ErrCorrupt},
		{"version", damage(func(b []byte) []byte { b[0] = 2; return b }), ErrVersion},
		{"no operation", noOp, ErrUnknownCommand},
		{"unknown field", later, ErrVersion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := New()
			before := m.View()
			_, err := m.Apply(1, 1, tt.data)
			require.ErrorIs(t, err, tt.want)
			require.Same(t, before, m.View())
		})
	}
}

func TestApplyNeedsGrowingIndexes(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1")
	data, err := Encode(&apiv1.Entry{})
	require.NoError(t, err)
	_, err = m.Apply(1, 1, data)
	require.ErrorIs(t, err, ErrOrder)
}

func TestEncodeRefusesLargeEntries(t *testing.T) {
	_, err := Encode(&apiv1.Entry{Commands: []*apiv1.Command{command(t, "init "+strings.Repeat("c", MaxEntryBytes))}})
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = Encode(&apiv1.Entry{Commands: []*apiv1.Command{{}}})
	require.ErrorIs(t, err, ErrUnknownCommand)
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1", "module m", "host h1 4 n1 i1")
	var buf bytes.Buffer
	_, err := m.View().WriteTo(&buf)
	require.NoError(t, err)
	good := buf.Bytes()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		require.Error(t, New().Restore(bytes.NewReader(bad)), "byte %d", i)
	}
	for n := range good {
		require.Error(t, New().Restore(bytes.NewReader(good[:n])), "%d bytes", n)
	}
	require.ErrorIs(t, New().Restore(bytes.NewReader(append(bytes.Clone(good), 0))), ErrCorrupt)
	lies := func(change func(*View)) []byte {
		v := *m.View()
		change(&v)
		hash, parts := m.View().Hash(), new(bytes.Buffer)
		_, err := v.WriteTo(parts)
		require.NoError(t, err)
		end := snapshotWriter{w: bufio.NewWriter(parts)}
		parts.Truncate(parts.Len() - frameHeader - len(hash) - 2) // the last frame
		end.flush(&apiv1.Snapshot{StateHash: hash})
		require.NoError(t, end.w.Flush())
		return parts.Bytes()
	}
	other := New()
	mustApply(t, other, "init other")
	for _, tt := range []struct {
		data []byte
		want error
	}{
		{lies(func(v *View) { v.clusterID = "c2" }), ErrCorrupt},
		{lies(func(v *View) { v.hosts = newView().hosts }), ErrCorrupt},
		{append([]byte{1}, good[1:]...), ErrVersion},
	} {
		require.ErrorIs(t, other.Restore(bytes.NewReader(tt.data)), tt.want)
		require.Equal(t, "other", other.View().ClusterID())
	}
	later := *m.View()
	later.feature = FeatureLevel + 1
	var b bytes.Buffer
	_, err = later.WriteTo(&b)
	require.NoError(t, err)
	require.ErrorIs(t, other.Restore(&b), ErrVersion, "rules that this build does not know")
	broken := errors.New("disk gone")
	require.ErrorIs(t, other.Restore(io.MultiReader(bytes.NewReader(good[:9]), failing{broken})), broken)
	_, err = m.View().WriteTo(failing{broken})
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// mustApplyMany applies n lines, made by their number, in large entries.
func mustApplyMany(t require.TestingT, m *Machine, n int, line func(i int) string) {
	const batch = 512
	for i := 0; i < n; i += batch {
		var lines []string
		for j := i; j < min(i+batch, n); j++ {
			lines = append(lines, line(j))
		}
		for j, r := range mustHold(t, m, lines...) {
			require.Empty(t, r.GetCode(), "%s: %s", lines[j], r.GetReason())
		}
	}
}

func TestTooMany(t *testing.T) {
	m := New()
	mustApplyMany(t, m, MaxHosts, func(i int) string { return fmt.Sprintf("host h%d 1 n i", i) })
	require.Equal(t, string(CodeTooMany), mustApply(t, m, "host more 1 n i")[0].GetCode())
	mustApply(t, m, "state h7 i left", "host more 1 n i")
	_, ok := m.View().Host("h7")
	require.False(t, ok, "a gone host makes room")

	mustApplyMany(t, m, MaxModules, func(i int) string { return fmt.Sprintf("module m%d", i) })
	mustApply(t, m, "submit a0 m0 1", "module more")
	_, ok = m.View().Module("m0")
	require.True(t, ok, "an app needs it")
	_, ok = m.View().Module("m1")
	require.False(t, ok, "the least recently used one makes room")
	mustApplyMany(t, m, MaxLiveApps-1, func(i int) string { return fmt.Sprintf("submit b%d m%d 1", i, 2+i%(MaxModules-2)) })
	require.Equal(t, string(CodeTooMany), mustApply(t, m, "submit more m0 1")[0].GetCode())
	mustApply(t, m, "stop b0 cancelled 0", "submit last more 1")
	require.Equal(t, string(CodeTooMany), mustApply(t, m, "module another")[0].GetCode(), "all are needed")
}

func TestQueueIsInSubmissionOrder(t *testing.T) {
	m := New()
	mustHold(t, m, "module m", "host h1 4 n1 i1")
	mustHold(t, m, "submit z m 1")
	mustHold(t, m, "submit b m 1", "submit a m 1")
	mustHold(t, m, "submit c m 1", "place b h1")
	var got []string
	for app := range m.View().Queue() {
		got = append(got, app.GetId())
	}
	require.Equal(t, []string{"z", "a", "c"}, got)
	for app := range m.View().Placed() {
		require.Equal(t, "b", app.GetId())
	}
}

// TestKeysOfTheLeader: only clients' commands are remembered.
func TestKeysOfTheLeader(t *testing.T) {
	m := New()
	cmd := command(t, "init c1 key=k")
	cmd.Term = 1
	_, err := applyEntry(m, 1, &apiv1.Entry{Commands: []*apiv1.Command{cmd}})
	require.NoError(t, err)
	_, ok := m.View().Key("k")
	require.False(t, ok)
	mustHold(t, m, "submit a1 nope 1 key=k")
	_, ok = m.View().Key("k")
	require.False(t, ok, "a refusal is not remembered")
}

// TestEveryCodeIsReached: each refusal has a script that shows it. too_many has
// TestTooMany.
func TestEveryCodeIsReached(t *testing.T) {
	var seen strings.Builder
	scripts, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		seen.WriteString("\n" + string(text))
	}
	for _, code := range []Code{
		CodeInvalid, CodeNotFound, CodeAlreadyExists, CodeNameTaken, CodeIncarnationOver,
		CodeStaleIncarnation, CodeHostNotReady, CodeNotEnoughSlots, CodeWrongPhase, CodeTerminal, CodeStopping,
		CodeStaleEpoch, CodeStale, CodeMigrationPending, CodeMigrationEnded, CodeNotPlaced, CodeRankEnded, CodeNotMigratable,
		CodeStaleTerm, CodeKeyReused, CodeInUse, CodeForbidden,
	} {
		require.Contains(t, seen.String(), "\n"+string(code)+": ", "no script reaches it")
	}
}

// TestReadersDoNotWait: views are read, hashed and watched while entries are
// applied; the race detector looks on.
func TestReadersDoNotWait(t *testing.T) {
	defer goleak.VerifyNone(t)
	const last = 200
	m := New()
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			changed := m.Feed().Subscribe(AnyApp)
			defer changed.Close()
			for index := uint64(0); index < last; {
				v := m.View()
				if v.Index() < index {
					panic("a view went backward")
				}
				index = v.Index()
				v.Hash()
				if index < last {
					<-changed.C()
				}
			}
		})
	}
	mustHold(t, m, "module m migratable", "host h1 4 n1 i1")
	for i := m.View().Index(); i < last; i++ {
		mustHold(t, m, fmt.Sprintf("submit a%d m 1 key=%d", i, i), fmt.Sprintf("stop a%d failed 1", i))
	}
	readers.Wait()
}

// FuzzApply: no bytes make Apply panic, and no entry that it accepts leaves a
// state that a snapshot could not carry.
func FuzzApply(f *testing.F) {
	for _, lines := range []string{
		"init c1\nmodule m migratable\nhost h1 4 n1 i1",
		"submit a1 m 2\nplace a1 h1 h1\nstarted a1 h1 1\nended a1 h1 0@1=0 -5@1=0",
		"propose g1 a 1 0:h1>h2 -1:h1>h2\nannounce g1\nfreeze g1 0\ncommit g1\nabort g1\npause g1 0 NaN",
		"stop a cancelled 0\nstate h1 i1 lost\nhash 1 x",
	} {
		entry := new(apiv1.Entry)
		for line := range strings.Lines(lines) {
			entry.Commands = append(entry.Commands, command(f, line))
		}
		data, err := seal(entry)
		require.NoError(f, err)
		f.Add(data[envelopeHeader:])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := New()
		mustHold(t, m, "init c1", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1",
			"submit a m 2", "place a h1 h1", "started a h1 1")
		_, _ = m.Apply(2, 1, payload) // almost never an envelope
		entry := new(apiv1.Entry)
		if err := proto.Unmarshal(payload, entry); err != nil {
			return
		}
		data, err := seal(entry)
		require.NoError(t, err)
		_, _ = m.Apply(3, 1, data)
		require.Empty(t, slices.Collect(m.View().Alarms()))
		requireSound(t, m)
	})
}

// TestModulesAreBoundedInBytes: the least recently used ones that nobody needs make
// room, as many as must; where that is not enough, none does.
func TestModulesAreBoundedInBytes(t *testing.T) {
	m := New()
	add := func(digest string, size int64) string {
		cmd := command(t, "module "+digest)
		cmd.GetAddModule().Module.Size = size
		results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{cmd}})
		require.NoError(t, err)
		requireSound(t, m)
		return results[0].GetCode()
	}
	const most = MaxModulesBytes / MaxModuleBytes
	for i := range most - 1 {
		require.Empty(t, add(fmt.Sprintf("m%d", i), MaxModuleBytes))
	}
	require.Equal(t, string(CodeInvalid), add("large", MaxModuleBytes+1))
	require.Equal(t, string(CodeInvalid), add("negative", -1))
	require.Empty(t, add("half", MaxModuleBytes/2))
	mustHold(t, m, "submit a m0 1")
	require.Empty(t, add("whole", MaxModuleBytes))
	for digest, want := range map[Digest]bool{"m0": true, "m1": false, "m2": true, "half": true, "whole": true} {
		_, ok := m.View().Module(digest)
		require.Equal(t, want, ok, digest)
	}
	for i := 2; i < most-1; i++ {
		mustHold(t, m, fmt.Sprintf("submit a%d m%d 1", i, i))
	}
	mustHold(t, m, "submit b whole 1", "submit c half 1")
	require.Empty(t, add("quarter", MaxModuleBytes/4))
	require.Equal(t, string(CodeTooMany), add("more", MaxModuleBytes))
	_, ok := m.View().Module("quarter")
	require.True(t, ok, "a refusal changes nothing")
}
