package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/godwit-run/godwit/"

// layer is a row of the table. A path ending in "/..." stands for everything below it as well.
type layer struct {
	path    string
	imports []string // what of this module it may import; tests may import more
	never   []string // what it may not import from anywhere else
	remote  []string // what may not even be reached through other packages
	given   bool     // times are given to it: of package time it uses durations and times only, and it starts no goroutine
}

// Guests never run inside a server or a worker: only the executor reaches wazero. A pure package asks nobody
// what time it is, throws no dice and opens nothing.
var (
	engine = []string{"github.com/tetratelabs/wazero/..."}
	impure = []string{"crypto/rand", "log/...", "math/rand/...", "net/...", "os/...", "syscall", "time"}
	// timeless packages are pure, and are given what time it is.
	timeless = []string{"context", "crypto/rand", "github.com/google/uuid", "log/...", "math/rand/...", "net/...", "os/...", "sync/...", "syscall"}
)

// table is the layer table, lowest packages first. The first row that fits a package is its row.
var table = []layer{
	{path: "api/...", imports: []string{"api/..."}, remote: engine},
	{path: "internal/...", imports: []string{"api/...", "internal/..."}, remote: engine},
	{path: "gossip", imports: []string{"internal/..."}, remote: engine},
	{path: "raftnode", imports: []string{"api/...", "internal/..."}, remote: engine},
	{path: "fsm", imports: []string{"api/...", "internal/..."}, never: impure, remote: engine},
	{path: "mpi/abi", never: impure, remote: engine},
	{path: "mpi/layout", imports: []string{"mpi/abi"}, never: impure, remote: engine},
	{path: "mpi/coll", imports: []string{"mpi/abi", "mpi/layout"}, never: impure, remote: engine},
	{path: "mpi/channel", imports: []string{"internal/fifo", "mpi/abi"}, never: impure, remote: engine},
	{
		path: "mpi", imports: []string{"api/...", "internal/...", "mpi/abi", "mpi/layout", "mpi/coll", "mpi/channel"},
		never:  []string{"net/...", "os/..."},
		remote: slices.Concat(engine, []string{"github.com/hashicorp/...", "google.golang.org/grpc/...", "connectrpc.com/...", "net/http"}),
	},
	{path: "mpi/conformance/suite", imports: []string{"mpi", "worker/wasm"}}, // tests only
	{path: "planner", imports: []string{"api/...", "fsm"}, never: []string{"crypto/rand", "log/...", "math/rand/...", "net/...", "os/...", "syscall"}, remote: engine, given: true},
	{path: "planner/replay", imports: []string{"api/...", "fsm", "planner"}, never: []string{"context", "crypto/rand", "log/...", "net/...", "os/...", "sync/...", "syscall"}, remote: engine, given: true},
	{path: "control/steps", imports: []string{"api/...", "fsm", "internal/text"}, never: timeless, remote: engine, given: true},
	{path: "control", imports: []string{"api/...", "control/steps", "fsm", "planner", "gossip", "internal/..."}, remote: engine},
	{path: "worker", imports: []string{"api/...", "internal/...", "worker/native", "worker/part"}, remote: engine},
	{path: "worker/part", imports: []string{"api/...", "internal/text"}, never: timeless, remote: engine, given: true},
	{path: "worker/stand", never: timeless, remote: engine, given: true},
	{path: "worker/executor", imports: []string{"api/...", "internal/...", "mpi", "worker/stand", "worker/wasm"}},
	{path: "worker/native", imports: []string{"internal/bytecode"}, remote: engine},
	{path: "worker/wasm", imports: []string{"api/...", "internal/bytecode", "internal/files", "internal/pages", "mpi", "mpi/abi", "worker/native"}},
	{path: "sdk/...", imports: []string{"sdk/..."}, remote: engine},
	{path: "cmd/godwit", imports: []string{"..."}},
	{path: "cmd/demo"}, // uses the command, as a user would
	{path: "sim", imports: []string{"api/...", "control/steps", "fsm", "mpi", "mpi/abi", "worker/part", "worker/stand"}, never: []string{"crypto/rand", "net/...", "os/...", "sync/..."}, remote: engine},
	{path: "jepsen/...", imports: []string{"api/...", "jepsen/..."}},
	{path: "bench/...", imports: []string{"..."}},
}

// timeValues are what a package may use of package time to which times are given.
var timeValues = []string{"Duration", "Time", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}

// owned are libraries that only one package may import, so that the rest of the module does not depend on them.
var owned = []struct{ library, owner string }{
	{"github.com/hashicorp/raft/...", "raftnode"},
	{"github.com/hashicorp/raft-boltdb/...", "raftnode"},
	{"go.etcd.io/bbolt/...", "raftnode"},
	{"github.com/hashicorp/memberlist/...", "gossip"},
	{"github.com/tetratelabs/wazero/...", "worker/wasm"},
	{"github.com/spf13/cobra/...", "cmd/godwit"},
	{"github.com/aws/...", "internal/objects"},
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath    string
	Dir           string
	GoFiles       []string
	Imports, Deps []string
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, p := range list(t) {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		i := slices.IndexFunc(table, func(l layer) bool { return matches(l.path, name) })
		if i < 0 {
			t.Errorf("%s has no row in the table of this test: give it one, there and in the design", name)
			continue
		}
		for _, problem := range violations(table[i], name, p) {
			t.Error(problem)
		}
		if !table[i].given {
			continue
		}
		for _, file := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, file))
			require.NoError(t, err)
			for _, problem := range ownTime(t, src) {
				t.Error(name + "/" + file + problem)
			}
		}
	}
}

// ownTime are the places where a file takes from package time what is no duration or time that it was given, or starts a goroutine.
func ownTime(t *testing.T, src []byte) (out []string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, "", src, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, i := range f.Imports {
		if i.Path.Value == `"time"` && i.Name != nil {
			out = append(out, " imports time by another name")
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			out = append(out, fmt.Sprintf(":%d starts a goroutine", files.Position(n.Pos()).Line))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && !slices.Contains(timeValues, n.Sel.Name) {
				out = append(out, fmt.Sprintf(":%d uses time.%s: times are given to it", files.Position(n.Pos()).Line, n.Sel.Name))
			}
		}
		return true
	})
	return out
}

func TestOwnTime(t *testing.T) {
	for src, want := range map[string]int{
		`import "time"; const most = 2 * time.Second; func f(now time.Time) time.Duration { return now.Sub(now) }`: 0,
		`import "time"; var now = time.Now`:                                       1,
		`import "time"; func f(at time.Time) { <-time.After(0); time.Since(at) }`: 2,
		`import clock "time"; var now = clock.Now`:                                1,
		`func f() { go f() }`:                                                     1,
	} {
		require.Len(t, ownTime(t, []byte("package p; "+src)), want, src)
	}
}

// violations are the imports of p, which is called name, that its row does not allow.
func violations(row layer, name string, p pkg) []string {
	var out []string
	for _, imported := range p.Imports {
		path, ours := strings.CutPrefix(imported, module)
		if ours && !matchesAny(row.imports, path) {
			out = append(out, name+" may not import "+path)
		}
		if !ours && matchesAny(row.never, imported) {
			out = append(out, name+" may not import "+imported)
		}
		for _, o := range owned {
			if matches(o.library, imported) && name != o.owner {
				out = append(out, name+" may not import "+imported+": only "+o.owner+" does")
			}
		}
	}
	for _, reached := range p.Deps {
		if matchesAny(row.remote, reached) {
			out = append(out, name+" may not reach "+reached+", not even through others")
		}
	}
	return out
}

func TestViolations(t *testing.T) {
	row := layer{path: "a", imports: []string{"b/..."}, never: []string{"net/..."}, remote: []string{"c"}}
	tests := []struct {
		name string
		p    pkg
		want int
	}{
		{"what is below", pkg{Imports: []string{module + "b", module + "b/x", "fmt"}}, 0},
		{"what is above", pkg{Imports: []string{module + "bb"}}, 1},
		{"a banned package and one below it", pkg{Imports: []string{"net", "net/http", "netx"}}, 2},
		{"a banned package far away", pkg{Imports: []string{"d"}, Deps: []string{"c", "d"}}, 1},
		{"another package's library", pkg{Imports: []string{"github.com/spf13/cobra"}}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Len(t, violations(row, "a", tt.p), tt.want) })
	}
}

// matches says whether a pattern stands for path.
func matches(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	parent, tree := strings.CutSuffix(pattern, "/...")
	return path == parent || tree && strings.HasPrefix(path, parent+"/")
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}

// list asks go for the packages of this module and all they reach. It looks at the code that ships, not at tests.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
	require.NotEmpty(t, packages)
	return packages
}
