package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/text"
)

// options are the flags that every client command takes.
type options struct {
	addr    string
	timeout time.Duration
	output  string
}

// client makes the API client the flags ask for.
func (o *options) client() (*client.Client, error) {
	if o.timeout <= 0 {
		return nil, usagef("--timeout %v: give a time above 0, such as 30s", o.timeout)
	}
	c, err := client.New(o.addr, o.timeout)
	if err != nil {
		return nil, usageError{err}
	}
	c.Waiting = func(why error, more time.Duration) {
		fmt.Fprintf(os.Stderr, "godwit: %s; trying for %v more\n", text.Clean(message(why), maxShown), more.Round(time.Second))
	}
	return c, nil
}

const rootLong = `Godwit runs MPI programs on a cluster and moves their ranks between hosts while they run.

Start with a cluster on this machine:    godwit dev
then, in another terminal:               godwit cc hello.c -o hello.wasm
                                         godwit run -n 4 hello.wasm

sbatch, squeue, scancel, sinfo and srun are there too, for who comes from Slurm: godwit sbatch --help.`

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use: "godwit", Short: "Run MPI programs on a cluster and move their ranks while they run", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.SetErr(os.Stderr)
	root.PersistentFlags().StringVar(&o.addr, "address", "", "servers of one cluster to ask, host:port with commas between; where the first that answers is of a recovered cluster, and others are of an older one, none is (default $GODWIT_ADDR, else "+client.DefaultAddr+")")
	root.PersistentFlags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to go on trying while no server answers or leads")
	root.AddGroup(&cobra.Group{ID: "run", Title: "Programs:"}, &cobra.Group{ID: "fleet", Title: "Cluster:"}, &cobra.Group{ID: "daemon", Title: "Daemons:"})
	group := func(id string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("run", newRun(o), newSubmit(o), newPs(o), newShow(o), newExplain(o), newLogs(o), newLs(o), newGet(o), newCancel(o), newCheckpoint(o), newCheckpoints(o), newRestore(o), newFreeze(o), newThaw(o), newModule(o), newPlan(), newSim(o), newLaunch("mpirun"), newLaunch("mpiexec"), newCC("cc", "C"), newCC("c++", "C++"), newBinutil("ar", "Make and list archives of guests' objects"), newBinutil("ranlib", "Index an archive of guests' objects"),
		newBinutil("nm", "List the symbols of guests' objects, archives and modules"), newBinutil("strip", "Take the names of functions out of a module"),
		newBinutil("size", "Print the sizes of an object's or a module's sections"), newSDK())
	group("fleet", newHosts(o), newDrain(o),
		newWish(o, "undrain", "Give a host that is drained, or is being drained, new ranks again", "", fsm.Schedulable),
		newWish(o, "cordon", "Give a host no new ranks; those that it has stay", "", fsm.Cordoned),
		newWish(o, "uncordon", "Give a host new ranks again", "", fsm.Schedulable),
		newEvict(o), newMigrations(o), newMigrate(o), newPolicy(o), newTenant(o), newServers(o), newToken(o), newContext(o))
	group("daemon", newDev(), newServer(), newWorker())
	root.AddCommand(newExec(), newCompileModule(), newSweep(), newVersion(o), newDebug())
	wrapArgs(root)
	return root
}

// wrapArgs makes mistakes in arguments usage errors.
func wrapArgs(c *cobra.Command) {
	if check := argsOf(c); check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef("%w (see %s --help)", err, c.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// outputFlag adds -o to a command that reads.
func (o *options) outputFlag(c *cobra.Command) *cobra.Command {
	c.Flags().StringVarP(&o.output, "output", "o", "table", "table or json")
	return c
}

func (o *options) checkOutput() error {
	if o.output != "table" && o.output != "json" {
		return usagef("-o %s: use table or json", o.output)
	}
	return nil
}

// logLevel understands --log-level.
func logLevel(level string) (l slog.Level, err error) {
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return l, usagef("--log-level %s: use debug, info, warn or error", level)
	}
	return l, nil
}

// newLogger writes a daemon's log to stderr.
func newLogger(level string) (*slog.Logger, error) {
	l, err := logLevel(level)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
	slog.SetDefault(log) // what libraries say by themselves
	return log, nil
}
