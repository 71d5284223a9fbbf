package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/text"
)

func newPs(o *options) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "ps", SuggestFor: []string{"apps", "jobs", "list", "ls", "squeue"}, Short: "List apps: queued, running, and ended in the last ten minutes", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListApps, &apiv1.ListAppsRequest{All: all})
			if err != nil {
				return err
			}
			header, arrays := "ID NAME PHASE SIZE EPOCH PLACEMENT EXIT AGE REASON", false
			for _, a := range res.Apps {
				arrays = arrays || a.GetSpec().GetArray() != nil
			}
			if arrays {
				header = strings.Replace(header, " NAME", " ARRAY NAME", 1)
			}
			return printList(o, res.Apps, header, func(a *apiv1.App) []string {
				exit := "-"
				if a.EndedAt != nil {
					exit = strconv.Itoa(int(a.ExitCode))
				}
				cells := []string{
					a.Id, programNames(a), a.Phase, strconv.Itoa(int(a.Size)), strconv.FormatUint(a.Epoch, 10), byHost(a.Placement),
					exit, ago(a.SubmittedAt), orDash(a.Reason),
				}
				if arrays {
					cells = slices.Insert(cells, 1, orDash(memberRef(a)))
				}
				return cells
			})
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also apps that ended more than ten minutes ago")
	return o.outputFlag(c)
}

// call makes one call of the Control service, repeated as client.Do does. req must be safe to repeat.
func call[Req, Res any](
	ctx context.Context, c *client.Client, method func(apiv1connect.ControlClient, context.Context, *Req) (*Res, error), req *Req,
) (*Res, error) {
	var res *Res
	err := c.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) (err error) {
		res, err = method(control, ctx, req)
		return err
	})
	if list, ok := any(res).(page); err == nil && ok && list.GetNextPageToken() != "" {
		err = otherPages(ctx, c, method, req, res, list.GetNextPageToken())
	}
	return res, err
}

// page is an answer that may hold a part of a list.
type page interface {
	proto.Message
	GetNextPageToken() string
}

// otherPages appends the pages behind the first to res.
func otherPages[Req, Res any](
	ctx context.Context, c *client.Client, method func(apiv1connect.ControlClient, context.Context, *Req) (*Res, error), req *Req,
	res *Res, token string,
) error {
	all, ok := any(res).(page)
	again, ok2 := any(req).(proto.Message)
	if !ok || !ok2 {
		return nil
	}
	again = proto.Clone(again)
	for token != "" {
		m := again.ProtoReflect()
		m.Set(m.Descriptor().Fields().ByName("page_token"), protoreflect.ValueOfString(token))
		next, ok := any(again).(*Req)
		if !ok {
			return nil
		}
		var part *Res
		err := c.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) (err error) {
			part, err = method(control, ctx, next)
			return err
		})
		if err != nil {
			return err
		}
		list, ok := any(part).(page)
		if !ok || list.GetNextPageToken() == token {
			return nil
		}
		token = list.GetNextPageToken()
		proto.Merge(all, list) // appends the list
	}
	return nil
}

// ask makes one call for a command that reads, after its output flag was checked.
func ask[Req, Res any](
	ctx context.Context, o *options, method func(apiv1connect.ControlClient, context.Context, *Req) (*Res, error), req *Req,
) (*Res, error) {
	if err := o.checkOutput(); err != nil {
		return nil, err
	}
	c, err := o.client()
	if err != nil {
		return nil, err
	}
	return call(ctx, c, method, req)
}

func getApp(ctx context.Context, c *client.Client, ref string) (*apiv1.GetAppResponse, error) {
	return call(ctx, c, apiv1connect.ControlClient.GetApp, &apiv1.GetAppRequest{App: ref})
}

func newShow(o *options) *cobra.Command {
	var ranks, traffic bool
	c := &cobra.Command{
		Use: "show APP", SuggestFor: []string{"describe", "inspect", "status"}, Short: "Show one app: its phase, placement, mounts, ranks and migrations", Args: wants("an app", 1),
		Long: "Show one app: its phase, placement, mounts, ranks and migrations.\n" +
			"With --ranks: what each rank does at this moment, such as the MPI call it is blocked in. godwit cancel ends an app that is stuck.\n" +
			"With --traffic: how many bytes a second the ranks send each other, of late: by messages, collectives and one-sided calls, on one host and between hosts alike; the first time that somebody asks, since the ranks came to their hosts.",
		ValidArgsFunction: completeApps(o),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case ranks && traffic:
				return usagef("show: --ranks and --traffic are two things to show: give one of them")
			case ranks:
				return showRanks(c.Context(), o, args[0])
			case traffic:
				return showTraffic(c.Context(), o, args[0])
			}
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.GetApp, &apiv1.GetAppRequest{App: args[0]})
			if err != nil {
				return err
			}
			if o.output == "json" {
				obj := jsonValue(res.App.ProtoReflect()).(orderedObject) //nolint:forcetypeassert // an App is no timestamp
				return printJSON(os.Stdout, append(obj, member{"migration_history", jsonList(res.Migrations)}))
			}
			return show("%s%s", appText(res), deadlockText(c.Context(), o, res.App))
		},
	}
	c.Flags().BoolVar(&ranks, "ranks", false, "what each rank does or waits for now")
	c.Flags().BoolVar(&traffic, "traffic", false, "how many bytes a second the ranks send each other, of late")
	return o.outputFlag(c)
}

// showRanks prints what each rank of an app does.
func showRanks(ctx context.Context, o *options, ref string) error {
	res, err := ask(ctx, o, apiv1connect.ControlClient.InspectRanks, &apiv1.InspectRanksRequest{App: ref})
	if err != nil {
		return err
	}
	if o.output == "json" {
		return printJSON(os.Stdout, jsonValue(res.ProtoReflect()))
	}
	if res.Deadlock {
		notice(res.App.Id + ": " + deadlocked)
	}
	if a := res.App; len(res.Ranks) == 0 {
		return show("no rank runs: %s %s%s\n", a.Id, apiv1.AppStands(a.Phase, false), because(a.Reason))
	}
	return printList(o, res.Ranks, "RANK HOST DOING", func(r *apiv1.RankDoing) []string {
		return []string{strconv.Itoa(int(r.Rank)), r.Host, r.Doing}
	})
}

// because puts a reason behind what is said, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// appText describes an app.
func appText(res *apiv1.GetAppResponse) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	a := res.App
	say("app         %s (%s)\nphase       %s\n", a.Id, a.Name, a.Phase)
	if a.Reason != "" {
		say("reason      %s\n", a.Reason)
	}
	if a.EndedAt != nil {
		say("exit code   %d\n", a.ExitCode)
	}
	say("size        %d\nepoch       %d\nplacement   %s\n", a.Size, a.Epoch, byHost(a.Placement))
	say("%s%s%s", programsText(a), mountsText(a.Spec), filesText(a))
	if a.Spec.MigrationCheckPeriod > 0 {
		say("checked     every %gs\n", a.Spec.MigrationCheckPeriod)
	}
	say("%s%s%s", queueText(a), checkpointsText(a), appTimes(a))
	for r, st := range a.RankStates() {
		if len(a.Placement) == 0 {
			break
		}
		state := "live"
		if st.Ended {
			state = fmt.Sprintf("ended with %d %s", st.ExitCode, st.Reason)
		}
		say("rank %-6d %s  epoch %d  %s\n", r, a.Placement[r], st.Epoch, state)
	}
	for _, m := range res.Migrations {
		say("migration   %s  epoch %d  %s (%s)  %s\n", m.Id, m.FromEpoch, m.Phase, m.Cause, moves(m))
	}
	return b.String()
}

// queueText says what bears on when an app is placed, and for how long it runs.
func queueText(a *apiv1.App) string {
	var said []string
	s := a.Spec
	if s.Priority != 0 {
		said = append(said, fmt.Sprintf("priority %d", s.Priority))
	}
	if memory := memoryText(a); memory != "" {
		said = append(said, memory)
	}
	if s.TimeLimitMs > 0 {
		said = append(said, fmt.Sprintf("time limit %v", time.Duration(s.TimeLimitMs)*time.Millisecond))
	}
	if s.Restarts > 0 {
		said = append(said, fmt.Sprintf("attempt %d, runs again %d times", a.Attempt, s.Restarts))
	}
	if s.Array != nil {
		said = append(said, fmt.Sprintf("index %d of array %s", s.Array.Index, s.Array.Id))
	}
	for i, d := range s.DependsOn {
		if i == 4 {
			said = append(said, fmt.Sprintf("and %d more", len(s.DependsOn)-i))
			break
		}
		end := "success"
		if d.AnyEnd {
			end = "end"
		}
		said = append(said, fmt.Sprintf("after the %s of %s", end, d.App+d.Array))
	}
	if said == nil {
		return ""
	}
	return "queue       " + strings.Join(said, ", ") + "\n"
}

// programNames is an app's name; of one with several programs their names, in order of rank.
func programNames(a *apiv1.App) string {
	const shown = 4
	if len(a.GetSpec().GetParts()) == 0 {
		return a.Name
	}
	var names []string
	for i, p := range a.Spec.Parts {
		if i == shown {
			names = append(names, "...")
			break
		}
		names = append(names, p.Name)
	}
	return strings.Join(names, ":")
}

// programsText says what an app's ranks run.
func programsText(a *apiv1.App) string {
	if len(a.Spec.Parts) == 0 {
		return fmt.Sprintf("module      %.12s (migratable: %t)\narguments   %s\n", a.Spec.ModuleDigest, a.Migratable, strings.Join(a.Spec.Args, " "))
	}
	text, first := fmt.Sprintf("programs    %d (migratable: %t)\n", len(a.Spec.Parts), a.Migratable), 0
	for i, p := range a.Spec.Parts {
		ranks := fmt.Sprintf("rank %d", first)
		if p.Ranks > 1 {
			ranks = fmt.Sprintf("ranks %d-%d", first, first+int(p.Ranks)-1)
		}
		text += fmt.Sprintf("  %d: %s  %s  module %.12s  arguments %s\n", i, ranks, p.Name, p.ModuleDigest, strings.Join(p.Args, " "))
		first += int(p.Ranks)
	}
	return text
}

// mountsText says which volumes an app sees, and where it begins.
func mountsText(s *apiv1.AppSpec) string {
	text := ""
	for _, m := range s.Mounts {
		mode := ""
		switch {
		case m.ReadOnly:
			mode = ":ro"
		case m.Writable:
			mode = ":rw"
		}
		text += fmt.Sprintf("mount       %s:%s%s\n", m.Volume, m.Path, mode)
	}
	if s.Dir != "" {
		text += fmt.Sprintf("begins in   %s\n", s.Dir)
	}
	return text
}

// checkpointsText says of an app's checkpoints how often they are made, which the last one is, and from which it runs.
func checkpointsText(a *apiv1.App) string {
	var said []string
	if a.Spec.CheckpointPeriod > 0 {
		said = append(said, fmt.Sprintf("every %gs", a.Spec.CheckpointPeriod))
	}
	if a.LastCheckpoint != "" {
		said = append(said, "the last is "+a.LastCheckpoint)
	}
	if a.Restore != "" {
		began := "it began from "
		if a.Phase == apiv1.AppQueued || a.Phase == apiv1.AppFrozen {
			began = "it goes on from "
		}
		said = append(said, began+a.Restore)
	}
	if a.Restored > 0 {
		said = append(said, fmt.Sprintf("begun anew from one: %d", a.Restored))
	}
	if said == nil {
		return ""
	}
	return fmt.Sprintf("checkpoints %s (godwit checkpoints %s)\n", strings.Join(said, ", "), a.Id)
}

// filesText says where an app's files are.
func filesText(a *apiv1.App) string {
	f := a.GetFiles()
	if f == nil {
		return ""
	}
	where := "on " + f.Host
	switch {
	case f.Stored && f.Tree != nil:
		where = fmt.Sprintf("%d with the servers, %.1f MiB (godwit ls, godwit get)", f.Tree.Files, float64(f.Tree.Bytes)/(1<<20))
	case f.Stored:
		where = "not kept"
	case f.To != "":
		where += ", on their way to " + f.To
	}
	if f.Progress != "" {
		where += ": " + text.Line(f.Progress, maxShown)
	}
	if f.Trouble != "" {
		where += ": " + f.Trouble
	}
	if f.Fault != "" {
		where += ": " + f.Fault
	}
	return fmt.Sprintf("files       %s\n", where)
}

// appTimes says when an app came, began and ended, and how long it waited and ran: in sum, over the attempts that went on from one another.
func appTimes(a *apiv1.App) string {
	at := func(t *timestamppb.Timestamp) string {
		return fmt.Sprintf("%s (%s ago", t.AsTime().Local().Format(time.DateTime), ago(t))
	}
	between := func(from, to *timestamppb.Timestamp) time.Duration {
		return max(0, to.AsTime().Sub(from.AsTime())).Round(time.Millisecond)
	}
	before := time.Duration(a.RanMs) * time.Millisecond
	text := fmt.Sprintf("submitted   %s)\n", at(a.SubmittedAt))
	switch {
	case a.StartedAt == nil && before > 0 && a.EndedAt == nil:
		text += fmt.Sprintf("ran         %s\n", before)
	case a.StartedAt != nil && beganAnew(a): // how long the attempts ran of which nothing is left is not known
		text += fmt.Sprintf("started     %s, for the last time)\n", at(a.StartedAt))
	case a.StartedAt != nil && before > 0:
		text += fmt.Sprintf("started     %s, for the last time: after it ran %s and waited %s in all)\n", at(a.StartedAt), before, max(0, between(a.SubmittedAt, a.StartedAt)-before))
	case a.StartedAt != nil:
		text += fmt.Sprintf("started     %s, after it waited %s)\n", at(a.StartedAt), between(a.SubmittedAt, a.StartedAt))
	}
	switch {
	case a.EndedAt != nil && a.StartedAt == nil && before == 0 && beganAnew(a):
		text += fmt.Sprintf("ended       %s, before it ran anew)\n", at(a.EndedAt))
	case a.EndedAt != nil && a.StartedAt == nil && before == 0:
		text += fmt.Sprintf("ended       %s, and it never ran)\n", at(a.EndedAt))
	case a.EndedAt != nil:
		text += fmt.Sprintf("ended       %s, after it ran %s)\n", at(a.EndedAt), runTime(a).Round(time.Millisecond))
	}
	return text
}

// beganAnew is whether an attempt of an app went on from none before it.
func beganAnew(a *apiv1.App) bool { return int64(a.Attempt)-1 > int64(a.Restored) }

// sent shows what a migration has sent while its ranks ran, in how many rounds at the most, and while they stood still.
func sent(m *apiv1.Migration) string {
	var ahead, paused int64
	var rounds int32
	for _, mv := range m.Moves {
		paused += mv.PauseBytes
		ahead += mv.ImageBytes - mv.PauseBytes
		rounds = max(rounds, mv.Rounds)
	}
	if ahead+paused == 0 {
		return "-"
	}
	return fmt.Sprintf("%s in %d, then %s", mib(ahead), rounds, mib(paused))
}

// mib is a size that a person reads.
func mib(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%dKiB", (bytes+1023)>>10)
	}
	return fmt.Sprintf("%.1fMiB", float64(bytes)/(1<<20))
}

// took is how long a migration has taken, from its proposal on.
func took(m *apiv1.Migration) string {
	if m.EndedAt == nil {
		return "-"
	}
	return max(0, m.EndedAt.AsTime().Sub(m.ProposedAt.AsTime())).Round(time.Millisecond).String()
}

// moves shows a migration's moves, how long each rank stood still, and why it ended as it did.
func moves(m *apiv1.Migration) string {
	var parts []string
	for _, mv := range m.Moves {
		s := fmt.Sprintf("%d:%s>%s", mv.Rank, mv.From, mv.To)
		if mv.PauseMs > 0 {
			s += fmt.Sprintf("(%.1fms)", mv.PauseMs)
		}
		parts = append(parts, s)
	}
	if m.Reason != "" {
		parts = append(parts, "- "+m.Reason)
	}
	return strings.Join(parts, " ")
}

// completeApps offers the ids of the apps that are there.
func completeApps(o *options) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListApps, &apiv1.ListAppsRequest{All: true})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var ids []string
		for _, a := range res.Apps {
			if strings.HasPrefix(a.Id, toComplete) {
				ids = append(ids, a.Id+"\t"+a.Name+" "+a.Phase)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
