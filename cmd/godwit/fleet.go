package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

func newHosts(o *options) *cobra.Command {
	c := o.outputFlag(&cobra.Command{
		Use: "hosts", SuggestFor: []string{"nodes", "sinfo", "workers"}, Short: "List hosts, their slots, state and volumes", Args: cobra.NoArgs,
		Long: "List hosts, their slots, state and volumes.\n" +
			"A host that is lost or left stays in the list, until a worker registers under its name again. It takes no slots; there is no age at which\n" +
			fmt.Sprintf("it is forgotten: of more than %d hosts the one that is gone for longest is.\n", fsm.MaxHosts) +
			"CONTACT is how long ago the leader last heard the host: one that is not heard for --lease is lost.\n" +
			"MEMORY is what the ranks on it have declared (--mem), of what the host has for such; SPEED is shown where hosts differ in it.\n" +
			"With -o wide: NATIVE is what compiles modules on the host for ranks that run natively (godwit worker --engine native or auto), for which level of\n" +
			"processors, and what it lacks; - is a host whose ranks run in wazero.",
		RunE: func(c *cobra.Command, _ []string) error {
			wide := o.output == "wide"
			if wide {
				o.output = "table"
			}
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListHosts, &apiv1.ListHostsRequest{})
			if err != nil {
				return err
			}
			return printHosts(os.Stdout, o, res, wide)
		},
	})
	c.Flags().Lookup("output").Usage = "table, wide or json"
	return c
}

// printHosts prints the hosts, each with when it was last heard.
func printHosts(out io.Writer, o *options, res *apiv1.ListHostsResponse, wide bool) error {
	if o.output == "json" {
		list := make([]any, 0, len(res.Hosts))
		for _, h := range res.Hosts {
			obj := jsonValue(h.ProtoReflect()).(orderedObject) //nolint:forcetypeassert // it is no timestamp
			var contact any
			if d := res.LastContact[h.Id]; d != nil {
				contact = jsonValue(d.ProtoReflect())
			}
			list = append(list, append(obj, member{"last_contact", contact}, member{"arch", res.Architectures[h.Id]}, member{"toolchain", toolchainValue(res.Toolchains[h.Id])}))
		}
		return printJSON(out, list)
	}
	header := "NAME SLOTS USED STATE CONTACT ADDR ARCH SINCE MEMORY REASON"
	volumes := slices.ContainsFunc(res.Hosts, func(h *apiv1.Host) bool { return len(h.Volumes) > 0 })
	uneven := slices.ContainsFunc(res.Hosts, func(h *apiv1.Host) bool { return fsm.SpeedOf(h) != 1 })
	if volumes {
		header = strings.Replace(header, " REASON", " VOLUMES REASON", 1)
	}
	if uneven {
		header = strings.Replace(header, " MEMORY", " MEMORY SPEED", 1)
	}
	if wide {
		header = strings.Replace(header, " REASON", " NATIVE REASON", 1)
	}
	return writeTable(out, header, res.Hosts, func(h *apiv1.Host) []string {
		cells := []string{
			h.Name, strconv.Itoa(int(h.Slots)), strconv.Itoa(int(h.Used)), fsm.Condition(h), lastContact(res.LastContact[h.Id]), h.Addr,
			orDash(res.Architectures[h.Id]), ago(h.ChangedAt), memoryUse(h.MemoryUsed, h.MemoryBytes),
		}
		if uneven {
			cells = append(cells, speedText(h.Speed))
		}
		if volumes {
			cells = append(cells, orDash(volumeNames(h)))
		}
		if wide {
			cells = append(cells, toolchainText(res.Toolchains[h.Id]))
		}
		return append(cells, orDash(cmp.Or(h.Reason, wishWords(h), fsm.WhyUnfit(h))))
	})
}

// toolchainText says what a host makes machine code with.
func toolchainText(t *apiv1.CodeToolchain) string {
	switch {
	case t == nil:
		return "-"
	case t.Level == "":
		return t.Lacks
	case t.Compiler == "":
		return fmt.Sprintf("%s, compiled elsewhere: %s", t.Level, t.Lacks)
	case t.Lacks != "":
		return fmt.Sprintf("%s, %s; %s", t.Level, t.Compiler, t.Lacks)
	}
	return fmt.Sprintf("%s, %s", t.Level, t.Compiler)
}

// toolchainValue is the same in JSON; null: its ranks run in wazero.
func toolchainValue(t *apiv1.CodeToolchain) any {
	if t == nil {
		return nil
	}
	return jsonValue(t.ProtoReflect())
}

// volumeNames lists what a host offers, as --volume has it.
func volumeNames(h *apiv1.Host) string {
	var list []string
	for _, v := range h.Volumes {
		if v.ReadOnly {
			list = append(list, v.Name+":ro")
		} else {
			list = append(list, v.Name)
		}
	}
	return strings.Join(list, ",")
}

func newMigrations(o *options) *cobra.Command {
	var app string
	c := &cobra.Command{
		Use: "migrations", Short: "List migrations, under way and ended", Args: cobra.NoArgs,
		Long: "List migrations, under way and ended. TOOK is the whole time, from the proposal on. SENT is what went ahead while the ranks ran, in how many rounds,\n" +
			"and what followed while they stood still. MOVES are the ranks with their hosts, and for how long each stood still.",
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListMigrations, &apiv1.ListMigrationsRequest{App: app})
			if err != nil {
				return err
			}
			return printList(o, res.Migrations, "ID APP FROM_EPOCH PHASE CAUSE AGE TOOK SENT MOVES", func(m *apiv1.Migration) []string {
				return []string{m.Id, m.App, strconv.FormatUint(m.FromEpoch, 10), m.Phase, m.Cause, ago(m.ProposedAt), took(m), sent(m), moves(m)}
			})
		},
	}
	c.Flags().StringVar(&app, "app", "", "only those of this app")
	c.AddCommand(newCandidates(o))
	return o.outputFlag(c)
}

func newModule(o *options) *cobra.Command {
	m := &cobra.Command{Use: "module", Short: "Push, list, compile, remove and inspect modules, list the MPI functions", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	ls := &cobra.Command{
		Use: "ls", Short: "List the modules the cluster has", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListModules, &apiv1.ListModulesRequest{})
			if err != nil {
				return err
			}
			return printList(o, res.Modules, "DIGEST NAME SIZE MIGRATABLE USED REASON", moduleRow)
		},
	}
	push := &cobra.Command{
		Use: "push FILE.wasm", Short: "Store a module in the cluster", Args: wants("a module's file", 1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := o.client()
			if err != nil {
				return err
			}
			mod, err := readUpload(args[0])
			if err != nil {
				return err
			}
			if err := mod.upload(c.Context(), cl); err != nil {
				return err
			}
			return printf("%s\n", mod.digest)
		},
	}
	inspect := &cobra.Command{
		Use: "inspect FILE.wasm|DIGEST|NAME", Short: "Say what a module is: imports, memory, migratable or why not, native or why not", Args: wants("a module", 1),
		Long: "Say what a module is. Of a file: its imports, its memory, and whether it is migratable, or why not, which needs no cluster. Of a module of the cluster, by its digest, the\n" +
			"beginning of one, or its name: the same but for memory, and for each level of processors that hosts have which run ranks natively (godwit worker --engine), who has it\n" +
			"compiled, by which compiler and at which optimisation, or who compiles it, or why nobody does.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			if asked := o.addr != "" || os.Getenv("GODWIT_ADDR") != ""; !isFile(args[0]) && (asked || !strings.HasSuffix(args[0], ".wasm")) {
				return inspectKnown(c.Context(), o, args[0])
			}
			return inspectFile(o, args[0])
		},
	}
	m.AddCommand(o.outputFlag(ls), push, newModuleRm(o), newModuleCompile(o), o.outputFlag(inspect), newFunctions(o))
	return m
}

func moduleRow(m *apiv1.Module) []string {
	return []string{shortDigest(m), orDash(m.Name), strconv.FormatInt(m.Size, 10), strconv.FormatBool(m.Migratable), ago(m.UsedAt), orDash(m.Reason)}
}

func newPlan() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "plan -f FILE", Short: "Show where scenarios would be placed or moved, offline", Args: cobra.NoArgs,
		Long: "Show what the leader's planner would do, with the very functions the leader uses.\n" +
			"FILE (- for standard input) holds one JSON scenario a line; one JSON plan a line is printed. A line that is none is an error that names it; the others are answered.\n" +
			"A scenario is of kind new, scale, migrate, or cluster (policy empty_hosts, for all apps together); what it leaves out has its default, and what it does not know is refused.\n" +
			"Policy traffic wants what the ranks send each other: \"traffic\":{\"bytes_per_second\":[[0,5],[5,0]],\"image_bytes\":[1000,1000],\"lasts\":60}.",
		Example: `  # four new ranks on two hosts, and two ranks on each that could be on one
  printf '%s\n' \
    '{"kind":"new","ranks":4,"hosts":[{"name":"a","slots":4,"used":1},{"name":"b","slots":4}]}' \
    '{"kind":"migrate","current":["a","a","b","b"],"hosts":[{"name":"a","slots":4,"used":2},{"name":"b","slots":4,"used":2}]}' |
    godwit plan -f -`,
		RunE: func(*cobra.Command, []string) error {
			if file == "" {
				return usagef("plan: -f FILE is missing: one JSON scenario a line, - for standard input")
			}
			in, name := os.Stdin, "standard input"
			if file != "-" {
				f, err := os.Open(file)
				if err != nil {
					return err
				}
				defer f.Close() //nolint:errcheck // read only
				in, name = f, file
			}
			return planner.RunScenarios(name, in, os.Stdout)
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "scenarios, one JSON object a line (required)")
	return c
}

func newVersion(o *options) *cobra.Command {
	return o.outputFlag(&cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			if o.output == "json" {
				return printJSON(os.Stdout, orderedObject{
					{"version", version}, {"go", strings.TrimPrefix(runtime.Version(), "go")}, {"os", runtime.GOOS}, {"arch", runtime.GOARCH},
				})
			}
			return printf("godwit %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	})
}
