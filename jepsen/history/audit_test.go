package history

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// entries makes a log of one applied command an entry, from index 1 on.
func entries(t *testing.T, commands ...string) []Entry {
	t.Helper()
	var out []Entry
	for i, text := range commands {
		cmd := new(apiv1.Command)
		require.NoError(t, protojson.Unmarshal([]byte(text), cmd), text)
		index := uint64(i + 1)
		out = append(out, Entry{Index: index, Commands: []*apiv1.Command{cmd}, Results: []*apiv1.Result{{Index: index}}})
	}
	return out
}

const (
	host1   = `{"registerHost":{"host":{"id":"w1","slots":2,"incarnation":"i1"}}}`
	host2   = `{"registerHost":{"host":{"id":"w2","slots":2,"incarnation":"i2"}}}`
	again2  = `{"registerHost":{"host":{"id":"w2","slots":2,"incarnation":"i3"}}}`
	lost1   = `{"setHostState":{"host":"w1","incarnation":"i1","state":"lost"}}`
	lost2   = `{"setHostState":{"host":"w2","incarnation":"i2","state":"lost"}}`
	submitA = `{"submitApp":{"id":"a","spec":{"size":2}}}`
	submitB = `{"submitApp":{"id":"b","spec":{"size":2}}}`
	place11 = `{"placeApp":{"app":"a","placement":["w1","w1"]}}`
	place12 = `{"placeApp":{"app":"a","placement":["w1","w2"]}}`
	// placeRuns is place12 in runs.
	placeRuns = `{"placeApp":{"app":"a","runs":[{"host":"w1","ranks":1},{"host":"w2","ranks":1}]}}`
	placeB11  = `{"placeApp":{"app":"b","placement":["w1","w1"]}}`
	placeB22  = `{"placeApp":{"app":"b","placement":["w2","w2"]}}`
	end0      = `{"ranksEnded":{"app":"a","host":"w1","ranks":[{"rank":0,"epoch":"1"}]}}`
	end1      = `{"ranksEnded":{"app":"a","host":"w1","ranks":[{"rank":1,"epoch":"1"}]}}`
	end1on2   = `{"ranksEnded":{"app":"a","host":"w2","ranks":[{"rank":1,"epoch":"2"}]}}`
	start1    = `{"hostStarted":{"app":"a","host":"w1","epoch":"1"}}`
	fail0     = `{"ranksEnded":{"app":"a","host":"w1","ranks":[{"rank":0,"epoch":"1","exitCode":7}]}}`
	fail1     = `{"ranksEnded":{"app":"a","host":"w1","ranks":[{"rank":1,"epoch":"1","exitCode":512}]}}`
	stop      = `{"stopApp":{"app":"a","phase":"cancelled"}}`
	move      = `{"proposeMigration":{"id":"m","app":"a","fromEpoch":"1","moves":[{"rank":1,"to":"w2"}]}}`
	announce  = `{"announceMigration":{"id":"m"}}`
	freeze    = `{"freezeMigration":{"id":"m"}}`
	commit    = `{"commitMigration":{"id":"m"}}`
	abort     = `{"abortMigration":{"id":"m"}}`
)

func TestAudit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		log   []string
		wrong string
	}{
		"a life":                     {log: []string{host1, submitA, place11, end0, end1, submitB, placeB11}},
		"frozen and committed":       {log: []string{host1, host2, submitA, place11, move, announce, `{"freezeMigration":{"id":"m","ranks":[{"rank":1}],"commit":true}}`, end0, end1on2}},
		"committed by two entries":   {log: []string{host1, host2, submitA, place11, move, announce, `{"freezeMigration":{"id":"m","commit":true}}`, commit}, wrong: "has ended"},
		"a migration":                {log: []string{host1, host2, submitA, place11, move, announce, freeze, commit, end0, end1on2}},
		"a migration is aborted":     {log: []string{host1, host2, submitA, place11, move, abort, submitB, placeB22, end0, end1}},
		"too many slots":             {log: []string{host1, submitA, place11, submitB, placeB11}, wrong: "2 slots and 4 used"},
		"a reserved slot is taken":   {log: []string{host1, host2, submitA, place11, submitB, placeB22, move}, wrong: "2 slots and 3 used"},
		"submitted twice":            {log: []string{host1, submitA, submitA}, wrong: "submitted twice"},
		"placed twice":               {log: []string{host1, submitA, place11, place11}, wrong: "not queued"},
		"placed after the end":       {log: []string{host1, submitA, stop, place11}, wrong: "not queued"},
		"half placed":                {log: []string{host1, submitA, `{"placeApp":{"app":"a","placement":["w1"]}}`}, wrong: "gets 1 hosts"},
		"placed in runs":             {log: []string{host1, host2, submitA, placeRuns, end0, `{"ranksEnded":{"app":"a","host":"w2","ranks":[{"rank":1,"epoch":"1"}]}}`}},
		"placed in runs, too many":   {log: []string{host1, host2, submitA, place11, submitB, strings.Replace(placeRuns, `"a"`, `"b"`, 1)}, wrong: "2 slots and 3 used"},
		"half placed in runs":        {log: []string{host1, host2, submitA, `{"placeApp":{"app":"a","runs":[{"host":"w1","ranks":1}]}}`}, wrong: "gets 1 hosts"},
		"placed on a lost host":      {log: []string{host1, lost1, submitA, place11}, wrong: "not there"},
		"a rank ends twice":          {log: []string{host1, submitA, place11, end0, end0}, wrong: "none of them is there"},
		"a rank ends after the app":  {log: []string{host1, submitA, place11, end0, end1, end1}, wrong: "which is succeeded"},
		"an old incarnation ends":    {log: []string{host1, host2, submitA, place11, move, announce, freeze, commit, end1}, wrong: "none of them is there"},
		"the past host ends a rank":  {log: []string{host1, host2, submitA, place12, lost2, end1on2}, wrong: "is gone"},
		"a cancelled app":            {log: []string{host1, submitA, place11, stop, end0, end1}},
		"cancelled after its end":    {log: []string{host1, submitA, place11, end0, end1, stop}, wrong: "does not run"},
		"committed twice":            {log: []string{host1, host2, submitA, place11, move, announce, freeze, commit, commit}, wrong: "has ended"},
		"committed and aborted":      {log: []string{host1, host2, submitA, place11, move, announce, freeze, commit, abort}, wrong: "has ended"},
		"committed without images":   {log: []string{host1, host2, submitA, place11, move, announce, commit}, wrong: "never reported"},
		"two migrations at once":     {log: []string{host1, host2, submitA, place11, move, `{"proposeMigration":{"id":"n","app":"a","fromEpoch":"1","moves":[{"rank":0,"to":"w2"}]}}`}, wrong: "is proposed at epoch"},
		"a migration of an old look": {log: []string{host1, host2, submitA, place11, move, announce, freeze, commit, `{"proposeMigration":{"id":"n","app":"a","fromEpoch":"1","moves":[{"rank":0,"to":"w2"}]}}`}, wrong: "it is at 2"},
		"a lost target":              {log: []string{host1, host2, submitA, place11, move, lost2, end0, end1}},
		"a lost source":              {log: []string{host1, host2, submitA, place12, lost2, end0, again2, submitB, placeB22}},
		"a lost source that left":    {log: []string{host1, host2, submitA, place12, `{"proposeMigration":{"id":"m","app":"a","fromEpoch":"1","moves":[{"rank":1,"to":"w1"}]}}`, announce, freeze, lost2, commit, `{"ranksEnded":{"app":"a","host":"w1","ranks":[{"rank":0,"epoch":"1"},{"rank":1,"epoch":"2"}]}}`}},
		"a host starts again":        {log: []string{host1, host2, submitA, place12, again2, end0, submitB, placeB22}},
		"an incarnation returns":     {log: []string{host1, lost1, host1}, wrong: "is over"},
		"a stop of nothing":          {log: []string{stop}, wrong: "does not run"},
		"a start of nothing":         {log: []string{host1, start1}, wrong: "never submitted"},
		"a start before its time":    {log: []string{host1, submitA, start1}, wrong: "which is queued"},
		"a start":                    {log: []string{host1, submitA, place11, start1}},
		"a start of another epoch":   {log: []string{host1, submitA, place11, `{"hostStarted":{"app":"a","host":"w1","epoch":"2"}}`}, wrong: "which is at 1"},
		"an end of nothing":          {log: []string{host1, end0}, wrong: "never submitted"},
		"an end before its time":     {log: []string{host1, submitA, end0}, wrong: "which is queued"},
		"loss of an old incarnation": {log: []string{host1, host2, again2, lost2}, wrong: "whose incarnation is another"},
		"loss of nobody":             {log: []string{lost1}, wrong: "whose incarnation is another"},
		"lost, and lost again":       {log: []string{host1, lost1, lost1}},
		"a move of nothing":          {log: []string{host1, host2, move}, wrong: "never submitted"},
		"a move of what has ended":   {log: []string{host1, host2, submitA, place11, end0, end1, move}, wrong: "which is succeeded"},
		"a move to a lost host":      {log: []string{host1, host2, submitA, place11, lost2, move}, wrong: "which is not there"},
		"a move of what is stopped":  {log: []string{host1, host2, submitA, place11, stop, move}, wrong: "verdict \"cancelled\""},
		"one migration twice":        {log: []string{host1, host2, submitA, place11, move, abort, move}, wrong: "proposed twice"},
		"images of nothing":          {log: []string{freeze}, wrong: "never began"},
		"a commit of nothing":        {log: []string{commit}, wrong: "never began"},
		"images after the abort":     {log: []string{host1, host2, submitA, place11, move, abort, freeze}, wrong: "has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Audit(nil, entries(t, tc.log...))
			if tc.wrong == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.wrong)
			}
		})
	}
}

func TestAuditOfReads(t *testing.T) {
	t.Parallel()
	log := entries(t, host1, submitA, place11, end0, end1)
	list := func(index uint64, apps ...Seen) []Op { return []Op{{Kind: List, End: OK, Index: index, Apps: apps}} }
	for name, tc := range map[string]struct {
		ops   []Op
		wrong string
	}{
		"true at its index":    {ops: list(3, Seen{ID: "a", Phase: "starting", Epoch: 1})},
		"true later":           {ops: list(3, Seen{ID: "a", Phase: "succeeded", Epoch: 1}), wrong: "by the log it is placed"},
		"true before":          {ops: list(5, Seen{ID: "a", Phase: "running", Epoch: 1}), wrong: "by the log it is succeeded"},
		"another epoch":        {ops: list(4, Seen{ID: "a", Phase: "running", Epoch: 2}), wrong: "at epoch 1"},
		"lost":                 {ops: list(4), wrong: "shows 0 apps"},
		"invented":             {ops: list(4, Seen{ID: "b", Phase: "running"}), wrong: "does not hold"},
		"an index of no entry": {ops: list(9, Seen{ID: "a", Phase: "succeeded", Epoch: 1}), wrong: "of index 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Audit(tc.ops, log)
			if tc.wrong == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.wrong)
			}
		})
	}
}

// TestAuditOfEnds shows how apps ended, or will, that a log of one host has stopped, failed and lost.
func TestAuditOfEnds(t *testing.T) {
	t.Parallel()
	begin := []string{host1, submitA, place11}
	for name, tc := range map[string]struct {
		log   []string
		seen  Seen
		wrong string
	}{
		"succeeded":                   {log: []string{end0, end1}, seen: Seen{Phase: "succeeded"}},
		"succeeded with a code":       {log: []string{end0, end1}, seen: Seen{Phase: "succeeded", ExitCode: 7}, wrong: "and 0"},
		"the first failure counts":    {log: []string{fail0, fail1}, seen: Seen{Phase: "failed", ExitCode: 7}},
		"the last failure counts":     {log: []string{fail0, fail1}, seen: Seen{Phase: "failed", ExitCode: 1}, wrong: "and 7"},
		"a large code":                {log: []string{fail1, fail0}, seen: Seen{Phase: "failed", ExitCode: 1}},
		"a code of more than a byte":  {log: []string{fail1, fail0}, seen: Seen{Phase: "failed", ExitCode: 512}, wrong: "and 1"},
		"will fail":                   {log: []string{fail0}, seen: Seen{Phase: "running", Verdict: "failed", ExitCode: 7}},
		"will fail, and nobody says":  {log: []string{fail0}, seen: Seen{Phase: "running"}, wrong: `they are "failed" and 7`},
		"cancelled":                   {log: []string{stop, end0, end1}, seen: Seen{Phase: "cancelled", ExitCode: 130}},
		"cancelled, with another end": {log: []string{stop, fail0, end1}, seen: Seen{Phase: "failed", ExitCode: 7}, wrong: "it is cancelled"},
		"failed, with another end":    {log: []string{fail0, stop, end1}, seen: Seen{Phase: "cancelled", ExitCode: 130}, wrong: "it is failed"},
		"cancelled, with a rank's":    {log: []string{stop, fail0, end1}, seen: Seen{Phase: "cancelled", ExitCode: 7}, wrong: "and 130"},
		"lost":                        {log: []string{lost1}, seen: Seen{Phase: "failed", ExitCode: 125}},
		"lost and well":               {log: []string{lost1}, seen: Seen{Phase: "succeeded"}, wrong: "it is failed"},
		"given up": {
			log:  []string{`{"stopApp":{"app":"a","phase":"failed","exitCode":3}}`, end0, end1},
			seen: Seen{Phase: "failed", ExitCode: 3},
		},
		"given up for no code": {
			log:  []string{`{"stopApp":{"app":"a","phase":"failed"}}`, end0, end1},
			seen: Seen{Phase: "failed", ExitCode: 125},
		},
		"no such phase": {log: []string{end0}, seen: Seen{Phase: "gone"}, wrong: "no such phase"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := entries(t, append(begin[:len(begin):len(begin)], tc.log...)...)
			tc.seen.ID, tc.seen.Epoch = "a", 1
			err := Audit([]Op{{Kind: Status, End: OK, Index: uint64(len(log)), Apps: []Seen{tc.seen}}}, log)
			if tc.wrong == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.wrong)
			}
		})
	}
}

// TestAuditOfTerms looks at what became of the commands of a leader that was deposed.
func TestAuditOfTerms(t *testing.T) {
	t.Parallel()
	log := entries(t, host1, submitA, place11)
	for i := range log {
		log[i].Term = 2
	}
	log[2].Commands[0].Term = 2
	require.NoError(t, Audit(nil, log))
	log[2].Commands[0].Term = 1
	require.ErrorContains(t, Audit(nil, log), "leader of term 1 is applied in term 2")
	log[2].Results[0].Code = "stale_term"
	require.NoError(t, Audit(nil, log), "it was refused")
	log[2].Results[0].Code = codeBroken
	require.ErrorContains(t, Audit(nil, log), "would have broken the state")
}
