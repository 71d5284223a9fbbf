package sim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// defect is something that is not as it should be: in a file, some text in the place of another.
type defect struct {
	name, file, is, becomes string
}

// defects are wrong in ways that somebody could write. Each breaks a rule that a run is to find broken.
func defects() []defect {
	return []defect{
		{"a rank is dropped before it is decided where it runs", "worker/part/part.go", "			continue // not decided yet\n", ""},
		{"ranks move before they go on", "worker/part/part.go", "	p.save(h) // ranks go on that stood still for it, before they are to move\n	p.migrate(h)\n", "	p.migrate(h)\n	p.save(h)\n"},
		{"an aborted rank does not go on", "worker/part/move.go", "			stay = append(stay, id)\n", ""},
		{"a rank is staged without its output", "worker/part/move.go", "if c.memory == nil || !c.kept || p.ranks[id] != nil {", "if c.memory == nil || p.ranks[id] != nil {"},
		{"an acknowledgement is taken back", "worker/part/move.go", "		p.acked = m.Id // it was counted, whatever is to be sent again\n", ""},
		{"adopted ranks do not go on", "worker/part/adopt.go", "				resume = append(resume, id)\n", ""},
		{"what is taken does not go on", "worker/part/save.go", "			p.resumeSaved(h, sv)\n", ""},
		{"an app that is to leave its hosts moves", "fsm/checkpoint.go", " || ck.GetThen() != apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED", ""},
		{"the output of ended ranks comes nowhere", "fsm/app.go", "case !has[out[r]] && len(live) > 0:", "case false:"},
		{"a migration is committed after its checkpoint has begun", "fsm/checkpoint.go", "	if ck, held := t.HoldingCheckpoint(AppID(app.GetId())); held {", "	if ck, held := t.HoldingCheckpoint(AppID(app.GetId())); held && false {"},
		{"images count that nobody has", "control/steps/migration.go", "if dst.GetState() != apiv1.RankStaged {", "if false {"},
		{"a checkpoint is taken while ranks run", "control/steps/checkpoint.go", "	s.taken = s.taken && st.GetTaken() != nil\n", ""},
		{"routes of ended ranks are not told", "worker/part/part.go", ", app.HasEnded(rank)\n	}\n	return r", ", false\n	}\n	return r"},
		{"frames are taken twice", "mpi/channel/channel.go", "		if f.Seq == l.recvNext {", "		if f.Seq == l.recvNext || f.Seq+1 == l.recvNext {"},
		{"a start that is refused is not heard of", "control/steps/news.go", "	return st.StartRefused, st.StartLost\n", "	return \"\", false\n"},
		{"what nobody has is begun from again", "control/steps/news.go", "	if lost {\n", "	if lost && app == nil {\n"},
		{"a part is on a host that does not have it", "fsm/holdpart.go", "			part.Second, part.SecondNode = to.GetId(), node\n", "			part.Host, part.HostNode = to.GetId(), node\n"},
		{"a rank that need not move any more stands still", "worker/stand/stand.go", "	case r.Freeze != way || r.Next != \"\": // for a way of that name that is to begin anew\n", "	case false:\n"},
		{"a rank that runs goes on for a migration that is over", "worker/stand/stand.go", "	r.Next, r.Freeze = \"\", \"\"\n	if r.State == Frozen {", "	r.Next = \"\"\n	if r.State == Frozen {"},
		{"a checkpoint that was damaged has none in its place", "control/steps/checkpoint.go", "	case !retry || !ok || !k.view.BeginsAnew():", "	case ok, !retry:"},
		{"checkpoints are made in others' places for ever", "control/steps/checkpoint.go", "	case k.Tries < fsm.MostInPlace:", "	case true:"},
		{"a checkpoint does not know how many it is in the place of", "fsm/checkpoint.go", "	ck.Tries = was.GetTries() + 1\n", "	ck.Tries = 1\n"},
		{"a new route has nothing sent again", "mpi/channel/channel.go", "		c.Control(Welcome)\n		c.resend()\n", "		c.Control(Welcome)\n"},
	}
}

// TestDefects: each is found by some seed. It builds the package anew for each, so make sim-defects runs it.
func TestDefects(t *testing.T) {
	if os.Getenv("SIM_DEFECTS") == "" {
		t.Skip("make sim-defects runs it")
	}
	only, err := regexp.Compile(os.Getenv("SIM_DEFECT"))
	require.NoError(t, err)
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	for _, d := range defects() {
		if !only.MatchString(d.name) {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(root, d.file)
			src, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(src), d.is), "%s has this once: %q", d.file, d.is)
			changed := filepath.Join(dir, "changed.go")
			require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(src), d.is, d.becomes, 1)), 0o600))
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
			require.NoError(t, err)
			list := filepath.Join(dir, "overlay.json")
			require.NoError(t, os.WriteFile(list, overlay, 0o600))
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-vet=off", "-overlay", list, "-run", "TestSeeds|TestEveryFault", "-failfast", ".")
			cmd.Env = append(os.Environ(), "SIM_DEFECTS=", "SIM_STOP=1")
			out, err := cmd.CombinedOutput()
			require.NotContains(t, string(out), "[build failed]", "%s", out)
			require.Error(t, err, "no seed finds it")
			require.Regexp(t, `seed \d+|panic:`, string(out))
			found := regexp.MustCompile(`seed \d+.*`).FindString(string(out))
			t.Logf("%.160s", found)
		})
	}
}
