package fsm

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden log of the present feature level, once, when the level is raised")

// goldenLog is what the golden log of feature level 1 was made of: an entry a
// paragraph. It is not changed: a later level has a log of its own.
const goldenLog = `
init c1 key=k0 principal=admin
lease 6000
level 1
module m migratable key=k1
module fixed
host h1 4 n1 i1 secret
host h2 4 n2 i1
host h3 8 n3 i1

submit a1 m 4 name=golden key=k2 principal=user
submit a2 m 2 restarts=1 key=k3
submit a3 fixed 1
submit a1 m 4 name=golden key=k2 principal=user
submit a4 m 1 key=k2
place a1 h1 h1 h2 h2 term=1
place a2 h2 h3 term=1
place a2 h2 h3 term=2

started a1 h1 1 term=1
started a1 h2 1 term=1
started a2 h2 1 term=1
started a2 h3 1 term=1
hash 0 term=1
propose g1 a1 1 2:h2>h3 3:>h3 key=k4
announce g1 h1 h2 h3 term=1
freeze g1 2 3 term=1
wish h2 draining new disk

commit g1 term=1
pause g1 2 12.5 term=1
ended a1 h1 0@1=0 1@1=0 term=1
ended a1 h3 2@2=7:trap 3@2=0 term=1
state h3 i1 lost lease ran out term=1
ended a2 h2 0@1=143 term=1

host h3 8 n3 i2
place a2 h1 h1 term=1
started a2 h1 2 term=1
propose g2 a2 2 0:h1>h3 key=k5
abort g2 no time
restart a2 2 again
stop a3 cancelled 0 enough key=k6
unmodule fixed
wish h2 evicting by=99 taken back
stop a2 failed 300 late
`

// goldenLog2 is what that of level 2 was made of: the same reports before and after the level was raised.
const goldenLog2 = `
init c2 key=k0 principal=admin
level 1
module m key=k1
host h1 8 n1 i1
submit a1 m 2
submit a2 m 2
submit a3 m 2
submit a4 m 2
place a1 h1 h1 term=1
place a2 h1 h1 term=1
place a3 h1 h1 term=1
place a4 h1 h1 term=1

started a1 h1 1 term=1
started a2 h1 1 term=1
started a3 h1 1 term=1
started a4 h1 1 term=1
ended a1 h1 0@1=1:ended_without_MPI_Finalize 1@1=0 term=1
ended a2 h1 0@1=1!crashed 1@1=0 term=1
level 2

ended a3 h1 0@1=1:ended_by_its_own_wish 1@1=0 term=1
ended a4 h1 1@1=1!ended_without_MPI_Finalize 0@1=0 term=1
`

// goldenLog3 is what that of level 3 was made of: more ranks are placed at level 2 than level 3 allows, and none is after that until some have ended.
func goldenLog3() string {
	const n = 51
	var log strings.Builder
	log.WriteString("init c3 key=k0 principal=admin\nlevel 2\nmodule m key=k1\nhost h1 65536 n1 i1\n")
	for i := range n + 2 {
		fmt.Fprintf(&log, "submit a%02d m 4096 oversubscribe\n", i)
	}
	log.WriteString("\n")
	for i := range n {
		fmt.Fprintf(&log, "place a%02d h1*4096 term=1\n", i)
	}
	fmt.Fprintf(&log, "\nlevel 3\nplace a%02d h1*4096 term=1\n", n)
	for i := range n - 2 {
		fmt.Fprintf(&log, "stop a%02d cancelled 0\n", i)
	}
	log.WriteString("\nstate h1 i1 lost lease ran out term=1\nhost h1 65536 n1 i2\n")
	fmt.Fprintf(&log, "\nplace a%02d h1*4096 term=1\n", n)
	return log.String()
}

// goldenLog4 is what that of level 4 was made of: apps of several programs and with an owner, before and after the level was raised; apps that have directories;
// and checkpoints, of what becomes of them and of apps that go on from them.
const goldenLog4 = `
init c4 key=k0 principal=admin
level 3
module m1 migratable key=k1
module m2
host h1 8 n1 i1
submit a1 x 3 part=one,m1,1,a,b part=two,m2,2
submit a2 m1 1 owner=30000

level 4
submit a1 x 3 part=one,m1,1,a,b part=two,m2,2 key=k2
submit a2 m1 1 owner=30000 name=owned
submit a3 x 2 part=one,m1,1 part=other,m1,1,c owner=1000
submit a4 x 2 part=one,m1,1 part=two,m3,1

place a1 h1 h1 h1 term=1
started a1 h1 1 term=1
unmodule m2
stop a2 cancelled 0 nothing was heard of its owner term=1

ended a1 h1 0@1=0 1@1=0 2@1=3 term=1
unmodule m2

module m migratable
host h2 4 n2 i1
host h3 4 n3 i1
submit b1 m 2
submit b2 m 1
submit b3 m 1

place b1 h2 h3 term=1
place b2 h2 term=1
place b3 h3 term=1
started b1 h2 1 term=1
started b1 h3 1 term=1
files b1 h2 opened term=1
files b2 h2 opened term=1
files b3 h3 opened term=1

propose g1 b1 1 0:h2>h3 term=1
announce g1 h2 h3 term=1
freeze+commit g1 0 term=1
files b1 h3 moves term=1
files b1 h3 moved term=1
ended b1 h3 0@2=0 1@1=0 term=1
ended b2 h2 0@1=0 term=1

files b1 h3 stored tree term=1
files b2 h2 stored no room term=1
state h3 i1 lost lease ran out term=1

host h3 4 n3 i2
submit c1 m 3 every=60 keep=3 onloss=restart lossrestarts=1 to=file:///backup
submit c2 m 2 onloss=fail
place c1 h1 h2 h2 term=1
place c2 h2 h3 term=1
started c1 h1 1 term=1
started c1 h2 1 term=1
started c2 h2 1 term=1
started c2 h3 1 term=1
files c1 h1 opened term=1

checkpoint k1 c1 1 h1>h3 h2>h3 key=k3
checkpoint k1 c1 1 h1>h3 h2>h3 key=k3
checkpoint k2 c2 1 term=1
propose g2 c1 1 0:h1>h3 term=1
announce-checkpoint k1 term=1
ended c1 h1 0@1=0 term=1
take k1 h1=2.5+files h2=7 term=1
abort-checkpoint k2 no time term=1

propose g3 c1 1 1:h2>h3 term=1
announce g3 term=1
freeze+commit g3 1 term=1
complete k1 h1 h2=32,9,9 term=1
checkpoint k3 c1 2 term=1
checkpoint k4 c2 1 term=1
state h2 i1 lost lease ran out term=1

ended c1 h3 1@2=143 term=1
ended c2 h3 1@1=143 term=1
place c1 h3 h3 h1 term=1
started c1 h3 3 term=1
started c1 h1 3 term=1
submit c3 m 3 restore=k1 name=other
remove-checkpoint k1
remove-checkpoint k2 k3
host h1 8 n1 i2

ended c1 h3 1@3=143 term=1
place c3 h3 h3 h3 term=1

policy spot strict
tenant t 2 3
submit p1 m 1 prio=7 limit=5000 tenant=t
submit p2 m 1 after=p1 array=arr,0,1
submit p3 m 1 afterany=p1 array=arr,1,1

place p1 h3 term=1
stop p1 failed 124 final it ran for 5s term=1
ended p1 h3 0@1=143 term=1

wish h1 draining by=9000 new disk
wish h1 evicting own by=8000 a notice
wish h3 cordoned look
wish h3 draining own told to stop
wish h1 draining a newer disk
wish h1 schedulable own
wish h3 evicting by=7000
wish h3 schedulable own

host h4 4 n4 i1 mem=1000 speed=1.5
host h5 4 n5 i1 mem=300
submit m1 m 3 mem=400
submit m2 m 1 mem=400
place m1 h4 h4 h4 term=1
place m1 h4 h4 h5 term=1
place m1 h4 h4 h2 term=1
place m2 h4 term=1

code-key k 32
code-key other 32
code-key another 32 renew
policy compact
`

func goldenEntries(t *testing.T, log string) [][]byte {
	var out [][]byte
	for i, paragraph := range strings.Split(strings.TrimSpace(log), "\n\n") {
		entry := new(apiv1.Entry)
		for line := range strings.Lines(paragraph) {
			cmd := command(t, line)
			cmd.At = &timestamppb.Timestamp{Seconds: int64(100 * (i + 1))}
			entry.Commands = append(entry.Commands, cmd)
		}
		data, err := Encode(entry)
		require.NoError(t, err)
		out = append(out, data)
	}
	return out
}

// TestGoldenLog replays entries that were written at each feature level. Whatever
// build replays them comes to the same state and gives the same results: a
// change to what they do needs a higher level.
func TestGoldenLog(t *testing.T) {
	for i, log := range []string{goldenLog, goldenLog2, goldenLog3(), goldenLog4} {
		level := uint32(i + 1)
		t.Run(fmt.Sprint(level), func(t *testing.T) { replayGolden(t, level, log) })
	}
}

func replayGolden(t *testing.T, level uint32, log string) {
	path, write := fmt.Sprintf("testdata/log-level%d", level), *writeGolden && level == FeatureLevel
	if write {
		var lines strings.Builder
		for _, data := range goldenEntries(t, log) {
			lines.WriteString(hex.EncodeToString(data) + "\n")
		}
		require.NoError(t, os.WriteFile(path+".hex", []byte(lines.String()), 0o600))
	}
	text, err := os.ReadFile(path + ".hex")
	require.NoError(t, err)
	m, newer := New(), NewKnowing(FeatureLevel+1)
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		data, err := hex.DecodeString(strings.TrimSpace(line))
		require.NoError(t, err)
		results, err := m.Apply(m.View().Index()+1, 1, data)
		require.NoError(t, err)
		again, err := newer.Apply(m.View().Index(), 1, data)
		require.NoError(t, err)
		require.Len(t, again, len(results))
		require.Equal(t, m.View().Hash(), newer.View().Hash(), "what a build knows besides is not in force")
		for _, r := range results {
			got.WriteString(strings.TrimSpace(r.GetId()+" "+r.GetCode()) + "\n")
		}
		requireSound(t, m)
	}
	got.WriteString(describe(m.View()))
	got.WriteString("hash " + hex.EncodeToString(m.View().Hash()) + "\n")
	if write {
		require.NoError(t, os.WriteFile(path+".state", []byte(got.String()), 0o600))
	}
	want, err := os.ReadFile(path + ".state")
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
	require.Equal(t, level, m.View().FeatureLevel())
}
