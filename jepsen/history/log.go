package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Entry is an entry of a server's log, as godwit debug raft-dump prints it.
type Entry struct {
	Index, Term uint64
	Type        string
	Commands    []*apiv1.Command
	// Results answer the commands one by one; none: a snapshot covers the entry.
	Results []*apiv1.Result
	// Hash is the state's after the entry, of a log's last entry only.
	Hash string

	line []byte
}

// applied tells whether the entry's i-th command changed the state now, rather than being refused or answered from memory.
func (e Entry) applied(i int) bool {
	return i < len(e.Results) && e.Results[i].GetCode() == "" && e.Results[i].GetIndex() == e.Index
}

// Moved is how many migrations the entry has committed.
func (e Entry) Moved() int {
	n := 0
	for i, cmd := range e.Commands {
		if (cmd.GetCommitMigration() != nil || cmd.GetFreezeMigration().GetCommit()) && e.applied(i) {
			n++
		}
	}
	return n
}

// dumped is a line of the dump.
type dumped struct {
	Index, Term       uint64
	Type              string
	Commands, Results []json.RawMessage
	Error, Invariant  string
	Hash              string
}

// ReadLog reads a dump. It fails at an entry that could not be applied, or after which the state broke a promise.
func ReadLog(r io.Reader) ([]Entry, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	var out []Entry
	for lines.Scan() {
		var d dumped
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(out)+1, err)
		}
		e := Entry{Index: d.Index, Term: d.Term, Type: d.Type, Hash: d.Hash, line: bytes.Clone(lines.Bytes())}
		if d.Error != "" || d.Invariant != "" {
			return nil, fmt.Errorf("entry %d: %s%s", d.Index, d.Error, d.Invariant)
		}
		for _, raw := range d.Commands {
			cmd := new(apiv1.Command)
			if err := protojson.Unmarshal(raw, cmd); err != nil {
				return nil, fmt.Errorf("entry %d: %w", d.Index, err)
			}
			e.Commands = append(e.Commands, cmd)
		}
		for _, raw := range d.Results {
			res := new(apiv1.Result)
			if err := protojson.Unmarshal(raw, res); err != nil {
				return nil, fmt.Errorf("entry %d: %w", d.Index, err)
			}
			e.Results = append(e.Results, res)
		}
		out = append(out, e)
	}
	return out, lines.Err()
}

// errDiffer is returned when two servers hold different entries at an index that a majority must agree on.
var errDiffer = errors.New("logs differ")

// version is what some servers hold at an index.
type version struct {
	entry   Entry
	servers []string
}

// Agree returns the log that a majority of the servers holds. It fails where two of them hold different entries, unless
// it is what only one holds at its end: an entry that was never committed. Of one term there is one entry at an index, with
// one answer, and one state after it. A server whose log begins later agrees to what others hold before: it has a snapshot
// of that.
func Agree(logs map[string][]Entry) ([]Entry, error) {
	votes := map[uint64][]*version{}
	var begins []uint64
	var last uint64
	for server, log := range logs {
		if len(log) > 0 {
			begins = append(begins, log[0].Index)
			last = max(last, log[len(log)-1].Index)
		}
		for _, e := range log {
			all, err := vote(votes[e.Index], server, e)
			if err != nil {
				return nil, err
			}
			votes[e.Index] = all
		}
	}
	var out []Entry
	strayed := map[string]uint64{} // servers that hold another entry than was agreed on, and where
	for i := uint64(1); i <= last; i++ {
		need := len(logs)/2 + 1
		for _, first := range begins {
			if first > i {
				need--
			}
		}
		n := len(out)
		for _, c := range votes[i] {
			if len(c.servers) >= need {
				out = append(out, c.entry)
				for _, server := range c.servers {
					if at, ok := strayed[server]; ok {
						return nil, fmt.Errorf("%w: %s holds entry %d as agreed on, and another entry %d", errDiffer, server, i, at)
					}
				}
			}
		}
		if len(out) > n {
			for _, c := range votes[i] {
				for _, server := range c.servers {
					if _, ok := strayed[server]; !ok && !c.entry.same(out[n]) {
						strayed[server] = i
					}
				}
			}
		}
		switch {
		case len(out) > n+1:
			return nil, fmt.Errorf("%w: nobody can say which entry %d was committed", errDiffer, i)
		case len(out) == n && n > 0:
			return out, cutShort(votes, i, last, len(logs)/2)
		}
	}
	return out, nil
}

// vote adds what a server holds at an index to what others do.
func vote(all []*version, server string, e Entry) ([]*version, error) {
	for _, c := range all {
		if what := c.entry.differs(e); what != "" {
			return nil, fmt.Errorf("%w: %s and %s hold entry %d of term %d and %s", errDiffer, c.servers[0], server, e.Index, e.Term, what)
		}
		if !c.entry.same(e) {
			continue
		}
		c.servers = append(c.servers, server)
		if len(c.entry.Results) == 0 {
			c.entry = e
		}
		return all, nil
	}
	return append(all, &version{e, []string{server}}), nil
}

// cutShort fails if a majority holds one entry behind the first of which none does.
func cutShort(votes map[uint64][]*version, gap, last uint64, half int) error {
	for j := gap + 1; j <= last; j++ {
		for _, c := range votes[j] {
			if len(c.servers) > half {
				return fmt.Errorf("%w: no majority holds one entry %d, and one holds entry %d", errDiffer, gap, j)
			}
		}
	}
	return nil
}

// differs says how two servers are at odds over an entry of one term; empty: they are not.
func (e Entry) differs(o Entry) string {
	switch {
	case e.Term != o.Term:
		return ""
	case !e.same(o):
		return "do not tell the same of it"
	case e.Hash != "" && o.Hash != "" && e.Hash != o.Hash:
		return "have different states after it"
	}
	return ""
}

// same tells whether two servers hold one entry. Results count where both have them: replicas that answer differently differ.
func (e Entry) same(o Entry) bool {
	if e.Term != o.Term || e.Type != o.Type || len(e.Commands) != len(o.Commands) {
		return false
	}
	if (len(e.Results) == 0) == (len(o.Results) == 0) {
		return bytes.Equal(withoutHash(e.line), withoutHash(o.line))
	}
	for i := range e.Commands {
		if e.Commands[i].GetKey() != o.Commands[i].GetKey() {
			return false
		}
	}
	return true
}

// withoutHash drops what the dump's last line has more.
func withoutHash(line []byte) []byte {
	if i := bytes.Index(line, []byte(`,"hash":"`)); i >= 0 {
		return line[:i]
	}
	return bytes.TrimSuffix(line, []byte("}"))
}
