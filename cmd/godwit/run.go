package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/tree"
)

// submitFlags are the flags of run and submit.
type submitFlags struct {
	spec   *apiv1.AppSpec
	queue  queueFlags
	size   int
	period string
	saves  string // the period of checkpoints
	place  string
	env    []string
	mounts []string
	in     []string
	stdin  string
	out    string
	inputs []tree.Source
	label  bool
	detach bool
	quiet  bool
	onLock string        // onDeadlockTell or onDeadlockFail
	owner  time.Duration // the lease of the command that stays with the app

	tell func(id string) error // has the id of what was submitted; nil: it is printed
}

// tellID tells the id of what was submitted.
func (f *submitFlags) tellID(id string) error {
	if f.tell != nil {
		return f.tell(id)
	}
	return printf("%s\n", id)
}

// ownerLease is how long an app goes on without a word of the command that started it; launchHelp names it.
const ownerLease = 30 * time.Second

// own gives the app an owner, unless it is to go on by itself.
func (f *submitFlags) own() error {
	if f.detach {
		return nil
	}
	if f.owner < fsm.MinOwnerMs*time.Millisecond || f.owner > fsm.MaxOwnerMs*time.Millisecond {
		return usagef("--owner-lease %v: give a time from %v to %v; godwit submit starts what goes on by itself", f.owner, fsm.MinOwnerMs*time.Millisecond, fsm.MaxOwnerMs*time.Millisecond)
	}
	f.spec.OwnerLeaseMs = f.owner.Milliseconds()
	return nil
}

func (f *submitFlags) add(c *cobra.Command) {
	f.spec = &apiv1.AppSpec{}
	c.Flags().SetInterspersed(false) // what follows the module is the program's
	c.Flags().IntVarP(&f.size, "np", "n", 1, "number of ranks")
	c.Flags().StringVar(&f.spec.Name, "name", "", "the app's name (default: the module's file name)")
	c.Flags().StringVar(&f.spec.Policy, "policy", "", "where ranks go: bin_pack, to few hosts; main_first, to --main-host first; compact, to hosts without other tenants, and later to where they leave hosts wholly free; spot, as bin_pack, but frozen at once when a host is to go and no other has room; empty_hosts, moved together with other apps so that hosts become empty; traffic, moved to where fewer bytes go between hosts (default: the cluster's, see godwit policy)")
	c.Flags().StringVar(&f.spec.Hint, "hint", "none", "none, underfull, never_alone or force_local")
	c.Flags().StringVar(&f.spec.MainHost, "main-host", "", "the host that main_first and the hints begin with")
	c.Flags().BoolVar(&f.spec.Oversubscribe, "oversubscribe", false, "put ranks that find no free slot on the main host")
	c.Flags().StringVar(&f.place, "place", "", "explicit placement in rank order, such as h1:2,h2:2")
	c.Flags().StringVar(&f.period, "migration-check-period", "0", "look at least this often whether the app should move, such as 5s; 0: never")
	c.Flags().StringVar(&f.saves, "checkpoint-period", "0", "make a checkpoint this often, such as 30s; 0: never")
	c.Flags().Int32Var(&f.spec.CheckpointKeep, "checkpoint-keep", 0, "how many of these are kept (default 2)")
	c.Flags().StringVar(&f.spec.CheckpointTo, "checkpoint-to", "", "`URL` of an object store that has checkpoints as well: file:///DIR, a directory that all hosts share, or s3://BUCKET/PREFIX, with the credentials of the workers")
	c.Flags().StringVar(&f.spec.OnHostLoss, "on-host-loss", "", "when a host of the app is lost: restart, from the last checkpoint, or fail (default: restart, if there is a checkpoint)")
	c.Flags().Int32Var(&f.spec.HostLossRestarts, "host-loss-restarts", 0, "how often it runs again without a new checkpoint in between (default 3)")
	c.Flags().StringArrayVar(&f.in, "in", nil, "`FILE[:NAME]`, DIR or DIR/ to begin with, in the program's directory (DIR/: what is in it); may be repeated")
	c.Flags().StringArrayVar(&f.mounts, "mount", nil, "`VOLUME:PATH[:ro|:rw]`: a volume of the hosts, and where the program sees it; rw: only at hosts that let it be written to; may be repeated")
	c.Flags().StringVar(&f.spec.Dir, "wdir", "", "the directory in which the program begins, as it sees it")
	c.Flags().StringVar(&f.spec.Tenant, "tenant", "", "whose app it is")
	f.queue.add(c, f.spec)
	c.Flags().StringArrayVarP(&f.env, "env", "x", nil, "KEY=VALUE for the program, or KEY to pass on this shell's; may be repeated")
}

// finish fills the spec in from the flags and the arguments.
func (f *submitFlags) finish(args []string) error {
	switch {
	case f.size < 1:
		return usagef("-n %d: an app has at least 1 rank", f.size)
	case f.size > fsm.MaxAppSize:
		return usagef("-n %d: an app has at most %d ranks", f.size, fsm.MaxAppSize)
	}
	f.spec.Size = int32(f.size)
	f.spec.Program, f.spec.Args = args[0], args[1:]
	if f.spec.Name == "" {
		f.spec.Name = appName(args[0])
	}
	err := f.queue.finish(f.spec)
	if err != nil {
		return err
	}
	if f.spec.MigrationCheckPeriod, err = parsePeriod("migration-check-period", f.period); err != nil {
		return err
	}
	if f.spec.CheckpointPeriod, err = parsePeriod("checkpoint-period", f.saves); err != nil {
		return err
	}
	if err := checkStore("--checkpoint-to", f.spec.CheckpointTo); err != nil {
		return err
	}
	if f.spec.Env, err = environment(f.env); err != nil {
		return err
	}
	if f.inputs, err = parseInputs(f.in); err != nil {
		return err
	}
	if st, err := os.Stat(f.out); err == nil && !st.IsDir() {
		return usagef("--out %s: it is no directory: name one, which is made if need be", f.out)
	}
	for _, text := range f.mounts {
		m, err := parseMount(text)
		if err != nil {
			return err
		}
		f.spec.Mounts = append(f.spec.Mounts, m)
	}
	if f.spec.Place, err = parsePlace(f.place); err != nil || f.place == "" {
		return err
	}
	named := int64(0)
	for _, rule := range f.spec.Place {
		named += int64(rule.Ranks)
	}
	if named != int64(f.size) {
		return usagef("--place %s: it names %d slots, -n is %d", f.place, named, f.size)
	}
	return nil
}

// parseMount reads VOLUME:PATH[:ro|:rw].
func parseMount(text string) (*apiv1.Mount, error) {
	volume, rest, ok := strings.Cut(text, ":")
	at, how, said := strings.Cut(rest, ":")
	at = path.Clean(at)
	switch {
	case !ok || !name.Valid(volume) || !path.IsAbs(at) || said && how != "ro" && how != "rw":
		return nil, usagef("--mount %s: use VOLUME:PATH, or VOLUME:PATH:ro, with an absolute PATH without a colon", text)
	case at == workDir:
		return nil, usagef("--mount %s: the app's own directory is at %s: choose another path, and have the program begin there with --wdir", text, at)
	case at == tmpPath:
		return nil, usagef("--mount %s: at %s is what the app's ranks share for its time: choose another path", text, at)
	}
	return &apiv1.Mount{Volume: volume, Path: at, ReadOnly: how == "ro", Writable: how == "rw"}, nil
}

// workDir is where ranks see the app's own directory.
const workDir = "/work"

// environment is a list of KEY=VALUE, of which this shell gives the values that are not there.
func environment(list []string) ([]string, error) {
	var env []string
	for _, kv := range list {
		if !strings.Contains(kv, "=") {
			v, ok := os.LookupEnv(kv)
			if !ok {
				return nil, usagef("-x %s: this shell has no such variable; use -x %s=VALUE", kv, kv)
			}
			kv += "=" + v
		}
		env = append(env, kv)
	}
	return env, nil
}

// appName makes a module's file name a name for the app.
func appName(path string) string {
	s := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".wasm")
	s = regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(s, "-")
	s = strings.Trim(s[:min(len(s), 63)], "-._")
	if s == "" {
		return "app"
	}
	return s
}

// parsePeriod reads a duration, or a number of seconds.
func parsePeriod(flag, s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return v, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, usagef("--%s %s: give a duration such as 5s, or seconds", flag, s)
	}
	return d.Seconds(), nil
}

// parsePlace reads host:ranks,host:ranks.
func parsePlace(s string) ([]*apiv1.PlaceRule, error) {
	if s == "" {
		return nil, nil
	}
	var rules []*apiv1.PlaceRule
	for _, part := range strings.Split(s, ",") {
		host, n, ok := strings.Cut(part, ":")
		ranks, err := strconv.ParseInt(n, 10, 32)
		switch {
		case !ok || err != nil || host == "":
			return nil, usagef("--place %s: %q is not host:ranks", s, part)
		case ranks < 1:
			return nil, usagef("--place %s: %d ranks on %s; at least 1 is needed", s, ranks, host)
		}
		rules = append(rules, &apiv1.PlaceRule{Host: host, Ranks: int32(ranks)})
	}
	return rules, nil
}

func newRun(o *options) *cobra.Command {
	f := &submitFlags{}
	c := &cobra.Command{
		Use: "run -n N FILE.wasm [ARGS...]", SuggestFor: []string{"exec", "launch", "srun", "start"}, Short: "Run a program, stream its output, exit with its code", Args: wants("a module's file", 0),
		Long: "Run a program, stream its output, exit with its code.\n\n" +
			"The app belongs to this command and ends with it: at an interrupt, by SIGTERM, SIGHUP or SIGQUIT, or when its output cannot be written.\n" +
			"If the command is killed, stopped (SIGSTOP), cut off from the servers, or its machine sleeps, for longer than --owner-lease, the app is\n" +
			"cancelled. With --detach, as by godwit submit, it goes on by itself.",
		RunE: func(c *cobra.Command, args []string) error {
			return start(c.Context(), o, f, args)
		},
	}
	f.add(c)
	c.Flags().BoolVarP(&f.label, "label", "l", false, "put the rank in front of each line")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but what the program says, and why it failed")
	c.Flags().StringVar(&f.stdin, "stdin", "0", "which ranks read the standard input: a rank, all or none")
	c.Flags().StringVar(&f.out, "out", "", "the directory for the files that the program leaves, got when it has ended")
	c.Flags().BoolVarP(&f.detach, "detach", "d", false, "print the app's id and return, as submit does")
	c.Flags().StringVar(&f.onLock, "on-deadlock", onDeadlockTell, "when every rank waits for another for good: tell, or fail, which ends the app")
	c.Flags().DurationVar(&f.owner, "owner-lease", ownerLease, "how long the app goes on when nothing is heard of this command")
	return c
}

func newSubmit(o *options) *cobra.Command {
	f := &submitFlags{}
	c := &cobra.Command{
		Use: "submit -n N FILE.wasm [ARGS...]", SuggestFor: []string{"sbatch", "queue"}, Short: "Queue a program and print its id", Args: wants("a module's file", 0),
		Long: "Queue a program and print its id.\n\n" +
			"FILE may be a batch script for Slurm: its #SBATCH lines are read, with the flags here before them, and it has one launch, such as\n" +
			"srun ./hello.wasm. godwit sbatch --help says what is read.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			f.detach = true
			if c.Flags().Changed("array") {
				if _, err := parseArray(f.queue.array); err != nil {
					return err
				}
			}
			if isScript(args[0]) {
				return submitScript(c, o, f, args)
			}
			return start(c.Context(), o, f, args)
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.queue.array, "array", "", "`INDEXES[%N]`: an app for each index, such as 0-99, 0-99:2 or 1,4,7-9; %N: N of them at once. They find theirs in GODWIT_ARRAY_INDEX; godwit cancel takes the array's id, which is printed")
	return o.outputFlag(c)
}

// runner submits an app and stays with it.
type runner struct {
	o       *options
	f       *submitFlags
	client  *client.Client
	in      *interrupts
	program string                     // what it calls itself in messages
	stdin   *os.File                   // which the ranks read that the spec names; nil: none does
	limit   time.Duration              // the app is cancelled after that; 0: never
	lines   func(*apiv1.LogLine) error // takes the output
	atOnce  func(stream int32) bool    // whether it is shown where each part of a line is to be seen at once
	placed  func(*apiv1.App)           // called once the app has a placement; may be nil
	private bool                       // the cluster ends with this run
	ended   *apiv1.App                 // set when the app is terminal
	id      string                     // of the app, once it is submitted
	seen    *apiv1.App                 // with a placement, once a line had to say where it is from

	feeding   *feeding // of stdin, once there is an app; nil: none
	saidFiles bool     // that the app waits for its files
}

// start submits what the flags and arguments say.
func start(ctx context.Context, o *options, f *submitFlags, args []string) error {
	if err := cmp.Or(f.finish(args), f.own(), checkOnDeadlock("--on-deadlock", f.onLock)); err != nil {
		return err
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	path, err := findProgram(&part{program: args[0]})
	if err != nil {
		return err
	}
	in, stop := watchInterrupts()
	defer stop()
	r := &runner{o: o, f: f, client: c, in: in, program: "godwit", lines: lineWriter(os.Stdout, os.Stderr, f.label), atOnce: labels(f.label).onScreen()}
	if !f.detach {
		if err := r.input(f.stdin, os.Stdin); err != nil {
			return err
		}
	}
	return in.exit(r.run(context.WithoutCancel(ctx), path)) // in says when it ends
}

// run submits the app of the modules in these files, one for each part, and stays with it, unless it is to be detached.
func (r *runner) run(ctx context.Context, paths ...string) error {
	if !r.f.detach {
		outlivePipes()
	}
	uploading, cancel := until(ctx, r.in.first)
	defer cancel()
	mods, err := readUploads(paths)
	if err != nil {
		return err
	}
	for _, mod := range mods.each {
		if err = mod.upload(uploading, r.client); err != nil || r.in.came() {
			return r.in.nothingYet(err)
		}
	}
	mods.name(r.f.spec)
	if err := r.sendInputs(uploading); err != nil || r.in.came() {
		return r.in.nothingYet(err)
	}
	if err := r.f.queue.resolve(uploading, r.client, r.f.spec); err != nil || r.in.came() {
		return r.in.nothingYet(err)
	}
	if a := r.f.queue.array; a != "" {
		all, err := parseArray(a)
		if err != nil {
			return err
		}
		return r.submitArray(ctx, mods, all)
	}
	app, err := r.submit(ctx, mods)
	if err != nil {
		return err
	}
	r.id = app.Id
	if r.stdin != nil {
		giving, done := context.WithCancel(ctx)
		defer done()
		r.feeding = &feeding{r: r, ended: make(chan struct{})}
		go r.feeding.feed(giving) // it ends with this command, at the latest: a read of a terminal cannot be broken off
	}
	if !r.f.detach {
		holding, cancel := context.WithCancel(ctx)
		defer cancel()
		go hold(holding, r.client, app) // ends with holding
		return r.getOut(ctx, r.follow(ctx, app.Id))
	}
	if r.in.came() {
		r.cancel(ctx, app.Id)
		return &exitError{exitInterrupted, app.Id + " was submitted and is cancelled"}
	}
	if r.o.output == "json" {
		err = printJSON(os.Stdout, jsonValue(app.ProtoReflect()))
	} else {
		err = r.f.tellID(app.Id)
	}
	if err != nil {
		return fmt.Errorf("%s was submitted, and its id could not be printed: %w", app.Id, err)
	}
	r.warnOfWait(ctx, app)
	return nil
}

// warnOfWait says of an app for which the cluster has too few slots that it waits, and for what. What cannot be found out is not said: the app is submitted.
func (r *runner) warnOfWait(ctx context.Context, app *apiv1.App) {
	if app.GetSpec().GetOversubscribe() {
		return
	}
	looking, cancel := context.WithTimeout(ctx, waitNotice)
	defer cancel()
	res, err := call(looking, r.client, apiv1connect.ControlClient.ListHosts, &apiv1.ListHostsRequest{})
	if err != nil {
		return
	}
	slots := int32(0)
	for _, h := range res.Hosts {
		if !fsm.HostStateOf(h).Gone() {
			slots += h.Slots
		}
	}
	if slots >= app.Size {
		return
	}
	if now, err := getApp(looking, r.client, app.Id); err == nil && now.App.Phase == apiv1.AppQueued {
		r.say("%s waits: %s", app.Id, now.App.Reason)
	}
}

// getOut gets the files of an app that has ended with err.
func (r *runner) getOut(ctx context.Context, err error) error {
	if r.f.out == "" || r.ended == nil || r.ended.GetFiles() == nil {
		return err
	}
	interrupt := r.in.first
	if r.in.came() { // that one was of the app
		interrupt = r.in.second
	}
	getting, cancel := until(ctx, interrupt)
	defer cancel()
	_, gerr := fetchFiles(getting, r.client, r.id, "", r.f.out)
	switch {
	case gerr == nil:
		return err
	case closed(interrupt):
		return errors.Join(err, &exitError{exitInterrupted, fmt.Sprintf("--out %s: interrupted; godwit get %s gets the files later", r.f.out, r.id)})
	}
	if r.ended.Files.Tree == nil { // so nothing is there to be had later
		return errors.Join(err, fmt.Errorf("--out %s: %w", r.f.out, gerr))
	}
	return errors.Join(err, fmt.Errorf("--out %s: %w; godwit get %s gets them later", r.f.out, gerr, r.id))
}
