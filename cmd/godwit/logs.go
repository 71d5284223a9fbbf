package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/text"
)

// splitRank splits APP/RANK.
func splitRank(ref string) (app string, ranks []int32, err error) {
	app, list, ok := strings.Cut(ref, "/")
	if !ok {
		return app, nil, nil
	}
	for _, part := range strings.Split(list, ",") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 0 {
			return "", nil, usagef("%s: %q is no rank; use APP/RANK, or APP/RANK,RANK for several", ref, part)
		}
		ranks = append(ranks, int32(n))
	}
	return app, ranks, nil
}

// logsFlags are the flags of logs.
type logsFlags struct {
	follow, label bool
	last          int64
	since         time.Duration
}

const logsLong = `Print an app's output.

With -o json, each line of output is an object on a line of its own, printed as it comes. In it each byte that
is not UTF-8 becomes U+FFFD.

Without -f, a host that does not answer is waited for as long as --timeout says: then the output of its ranks is called incomplete, and the
exit code is 1, as where output is gone or has gaps. With -f it is said on standard error how an app ended that has not succeeded. The exit code
says whether the output is all there, not how the app ended: godwit run, or EXIT in godwit ps, says that.`

func newLogs(o *options) *cobra.Command {
	f := &logsFlags{}
	c := &cobra.Command{
		Use: "logs [-f] APP[/RANK,...]", Short: "Print an app's output", Args: wants("an app", 1), ValidArgsFunction: completeApps(o), Long: logsLong,
		RunE: func(c *cobra.Command, args []string) error {
			if err := cmp.Or(o.checkOutput(), f.check()); err != nil {
				return err
			}
			return printLogs(c.Context(), o, f, args[0])
		},
	}
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on until the app has ended")
	c.Flags().BoolVarP(&f.label, "label", "l", false, "put the rank in front of each line")
	c.Flags().Int64VarP(&f.last, "tail", "n", -1, "of each rank only so many lines, the last that are there; with -f also those that come; -1: all")
	c.Flags().DurationVar(&f.since, "since", 0, "only lines that are not older than this, such as 10m, by the clocks of the hosts; 0: all")
	return o.outputFlag(c)
}

func (f *logsFlags) check() error {
	switch {
	case f.last < -1:
		return usagef("--tail %d: give a number of lines, or -1 for all", f.last)
	case f.since < 0:
		return usagef("--since %v: give how long ago, such as 10m", f.since)
	}
	return nil
}

// printLogs prints the output of what ref names, an app or some of its ranks.
func printLogs(ctx context.Context, o *options, f *logsFlags, ref string) error {
	app, ranks, err := splitRank(ref)
	if err != nil {
		return err
	}
	cl, err := o.client()
	if err != nil {
		return err
	}
	parts := newPauses(labels(f.label).onScreen(), lineWriter(os.Stdout, os.Stderr, f.label))
	t := newTail(cl, app, f.follow, ranks, parts.line)
	if t.rest = parts.rest; o.output == "json" {
		out := json.NewEncoder(os.Stdout)
		t.show = func(l *apiv1.LogLine) error { return out.Encode(jsonLine(l)) }
	}
	t.wait = max(o.timeout, time.Millisecond)
	t.waits = notice
	if n := uint64(max(0, f.last)); f.last >= 0 { //nolint:gosec // not below 0
		t.last = &n
	}
	if f.since > 0 {
		t.since = time.Now().Add(-f.since).UnixMilli()
	}
	if f.follow {
		wctx, cancel := context.WithCancel(ctx)
		defer cancel()
		said := ""
		go explainWait(wctx, cl, app, t.started, func(a *apiv1.App) { // ends with wctx
			if why := whereIs(a); why != said {
				said = why
				notice(why)
			}
		})
	}
	if err := t.run(ctx); err != nil {
		return err
	}
	if f.follow {
		if res, err := getApp(ctx, cl, app); err == nil && apiv1.AppOver(res.App.Phase) && res.App.Phase != apiv1.AppSucceeded {
			notice(fmt.Sprintf("%s (exit code %d)", whereIs(res.App), res.App.ExitCode))
		}
	}
	if !f.follow && !t.begun {
		if res, err := getApp(ctx, cl, app); err == nil && slices.Contains([]string{apiv1.AppQueued, apiv1.AppStarting}, res.App.Phase) {
			notice(whereIs(res.App) + ": there is no output yet")
		}
	}
	return t.incomplete()
}

// whereIs says in which phase an app is, and why.
func whereIs(a *apiv1.App) string {
	return fmt.Sprintf("%s %s%s", a.Id, apiv1.AppStands(a.Phase, false), because(a.Reason))
}

// notice says something on stderr that is no output and no error.
func notice(what string) { fmt.Fprintln(os.Stderr, "godwit: "+text.Clean(what, maxShown)) }

func jsonLine(l *apiv1.LogLine) orderedObject {
	stream := "stdout"
	if l.Stream == 2 {
		stream = "stderr"
	}
	return orderedObject{
		{"rank", l.Rank}, {"stream", stream}, {"seq", l.Seq}, {"text", string(l.Text)}, {"partial", l.Partial}, {"at_ms", l.AtMs},
	}
}
