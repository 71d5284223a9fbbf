package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/raftnode"
)

// newDebug groups the commands for those who look into Godwit itself; help does not list it.
func newDebug() *cobra.Command {
	c := &cobra.Command{Use: "debug", Short: "Look into what Godwit has stored", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var check bool
	dump := &cobra.Command{
		Use: "raft-dump DIR", Short: "Print the log of a stopped server, one JSON object an entry, with what replaying it gives",
		Args: wants("the data directory of a server", 1),
		RunE: func(_ *cobra.Command, args []string) error { return raftDump(args[0], check, os.Stdout) },
	}
	dump.Flags().BoolVar(&check, "check", false, "check the whole state after each entry")
	c.AddCommand(dump)
	return c
}

// dumpedEntry is a line of raft-dump.
type dumpedEntry struct {
	Index   uint64   `json:"index"`
	Term    uint64   `json:"term"`
	Type    string   `json:"type"`
	Servers []string `json:"servers,omitempty"`
	// Commands and Results belong together one by one. There are no results of entries that the oldest snapshot covers.
	Commands []json.RawMessage `json:"commands,omitempty"`
	Results  []json.RawMessage `json:"results,omitempty"`
	// Error is why the entry cannot be applied; the ones behind it have no results.
	Error string `json:"error,omitempty"`
	// Invariant is a promise that the state does not keep after this entry, where that is checked.
	Invariant string `json:"invariant,omitempty"`
	// Hash is the state's after the entry, of the last entry only: it costs as much as the state.
	Hash string `json:"hash,omitempty"`
}

// replayed is a state machine that a stored log is applied to again.
type replayed struct {
	machine *fsm.Machine
	from    uint64 // entries up to here are in the snapshot
	check   bool   // look for broken promises after each entry: that costs as much as the state
	failed  bool
}

// raftDump prints the log below a server's data directory.
func raftDump(dir string, check bool, out io.Writer) (err error) {
	stored, err := raftnode.OpenStoredLog(dir)
	if err != nil {
		return err
	}
	defer stored.Close() //nolint:errcheck // only read
	r := &replayed{machine: fsm.New(), check: check}
	if r.from, err = stored.Restore(r.machine.Restore); err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	lines := json.NewEncoder(w)
	var last *dumpedEntry
	err = stored.Entries(func(e raftnode.StoredEntry) error {
		if last != nil {
			if err := lines.Encode(last); err != nil {
				return err
			}
		}
		last = r.entry(e)
		return nil
	})
	if last != nil {
		last.Hash = hex.EncodeToString(r.machine.View().Hash())
		if e := lines.Encode(last); err == nil {
			err = e
		}
	}
	if e := w.Flush(); err == nil {
		err = e
	}
	return err
}

// entry applies an entry, unless an earlier one could not be, and describes it.
func (r *replayed) entry(e raftnode.StoredEntry) *dumpedEntry {
	d := &dumpedEntry{Index: e.Index, Term: e.Term, Type: e.Type, Servers: e.Servers}
	if e.Type != "command" {
		return d
	}
	entry, err := fsm.Decode(e.Data)
	if err != nil {
		d.Error, r.failed = err.Error(), true
		return d
	}
	for _, cmd := range entry.GetCommands() {
		d.Commands = append(d.Commands, rawJSON(withoutKey(cmd)))
	}
	if r.failed || e.Index <= r.from {
		return d
	}
	results, err := r.machine.Apply(e.Index, e.Term, e.Data)
	if err != nil {
		d.Error, r.failed = err.Error(), true
		return d
	}
	for _, res := range results {
		d.Results = append(d.Results, rawJSON(res))
	}
	if !r.check {
		return d
	}
	if err := fsm.CheckInvariants(r.machine.View()); err != nil {
		d.Invariant = err.Error()
	}
	return d
}

// withoutKey is a command without the key of the cluster's machine code.
func withoutKey(cmd *apiv1.Command) *apiv1.Command {
	if len(cmd.GetSetClusterConfig().GetConfig().GetCodeKey()) == 0 {
		return cmd
	}
	shown := proto.CloneOf(cmd)
	shown.GetSetClusterConfig().Config.CodeKey = []byte("(left out)")
	return shown
}

func rawJSON(m proto.Message) json.RawMessage {
	b, err := protojson.Marshal(m)
	if err != nil {
		b, _ = json.Marshal(err.Error()) //nolint:errchkjson // a string: text that is not UTF-8 cannot be shown
	}
	return b
}
