package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/internal/text"
)

const serversLong = `List servers: who leads, who votes, who answers, and the alarms that nobody has cleared.

The list is the leader's, confirmed by a majority. LEVEL, the highest feature level that a server's build knows, is shown while
servers differ in it, or the level in force is lower; with -o json always. Where none leads, or it cannot be reached, each server is asked for its own word, at
the addresses given and at those that the answers name. What they say is printed below a line that begins with "not confirmed" (with
-o json: confirmed is false), and the exit code is 75; 69 if none answers. That takes a few seconds, or --timeout if it is given.`

func newServers(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "servers", Short: "List servers: who leads, who votes, who answers", Args: cobra.NoArgs, Long: serversLong,
		RunE: func(c *cobra.Command, _ []string) error {
			wait := min(o.timeout, leaderWait)
			if c.Flags().Changed("timeout") {
				wait = o.timeout
			}
			return listServers(c.Context(), o, wait)
		},
	}
	c.AddCommand(newServersRemove(o), newServersTransfer(o), newServersClearAlarms(o))
	return o.outputFlag(c)
}

// printServers prints the servers, and below them the alarms that nobody has cleared.
func printServers(o *options, res *apiv1.ListServersResponse) error {
	if o.output == "json" {
		obj := jsonValue(res.ProtoReflect()).(orderedObject) //nolint:forcetypeassert // it is no timestamp
		return printJSON(os.Stdout, append(orderedObject{{"confirmed", true}}, obj...))
	}
	header, levels := "ID ADDR ROLE CONTACT INDEX HEALTH", levelText(res)
	if levels != "" {
		header = "ID ADDR ROLE CONTACT INDEX LEVEL HEALTH"
	}
	err := printList(o, res.Servers, header, func(s *apiv1.Server) []string {
		row := []string{s.Id, s.Addr, s.Role, lastContact(s.LastContact), indexOf(s)}
		if levels != "" {
			row = append(row, levelOf(s))
		}
		return append(row, s.Health)
	})
	return cmp.Or(err, show("%s%s%s", levels, pastText(res.PastServers), alarmText(res.Alarms)))
}

// pastText says which servers run of a cluster that this one was recovered from.
func pastText(past []*apiv1.PastServer) string {
	var b strings.Builder
	for _, p := range past {
		fmt.Fprintf(&b, "\nalarm: %s.\n", text.Line(p.What, maxShown))
	}
	return b.String()
}

// levelText says which feature level is in force, where the servers' builds know different ones or all know a higher one. Before the
// first entry of a new cluster's level the rules are those of level 1.
func levelText(res *apiv1.ListServersResponse) string {
	lowest, highest := uint32(math.MaxUint32), uint32(0)
	for _, s := range res.Servers {
		if l := s.FeatureLevel; l > 0 {
			lowest, highest = min(lowest, l), max(highest, l)
		}
	}
	if highest == 0 || lowest == highest && highest <= max(res.FeatureLevel, 1) {
		return ""
	}
	return fmt.Sprintf("\nfeature level %d is in force; it rises when all servers answer and know a higher one\n", res.FeatureLevel)
}

// indexOf is how far a server's state is, "-" if nobody has heard.
func indexOf(s *apiv1.Server) string {
	if s.Index == 0 {
		return "-"
	}
	return strconv.FormatUint(s.Index, 10)
}

// levelOf is what a server's build knows, "-" if nobody has heard.
func levelOf(s *apiv1.Server) string {
	if s.FeatureLevel == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(s.FeatureLevel), 10)
}

// alarmText says which alarms there are, and how they are cleared.
func alarmText(alarms []*apiv1.Alarm) string {
	if len(alarms) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d alarms: commands that would have broken the state, and were refused. This is a defect of godwit: please report it.\n", len(alarms))
	for _, a := range alarms {
		fmt.Fprintf(&b, "entry %d, %s: %s\n", a.Index, a.At.AsTime().Local().Format(time.DateTime), text.Line(a.What, maxShown))
	}
	fmt.Fprintf(&b, "Clear them: godwit servers clear-alarms %d\n", alarms[len(alarms)-1].Index)
	return b.String()
}

func newServersClearAlarms(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "clear-alarms ENTRY", Short: "Clear the alarms of log entries up to ENTRY", Args: wants("a log entry", 1),
		Long: "Clear the alarms that `godwit servers` shows, of log entries up to ENTRY. Later ones stay: nobody has seen them.\n" +
			"An alarm of a server whose state differs ends by itself, when that server has been built anew.",
		RunE: func(c *cobra.Command, args []string) error {
			index, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || index == 0 {
				return usagef("servers clear-alarms %.80q: name the last alarm's entry, as godwit servers shows it", args[0])
			}
			before, err := ask(c.Context(), o, apiv1connect.ControlClient.ListServers, &apiv1.ListServersRequest{})
			if err != nil {
				return err
			}
			said, err := clearText(before.Alarms, index)
			if err != nil {
				return err
			}
			_, err = ask(c.Context(), o, apiv1connect.ControlClient.ClearAlarms, &apiv1.ClearAlarmsRequest{
				IdempotencyKey: uuid.NewString(), Index: index,
			})
			if err == nil {
				fmt.Fprintln(os.Stderr, said)
			}
			return err
		},
	}
}

// clearText says which of the alarms are cleared by the entry. It is an error if none is: nobody has seen it there.
func clearText(alarms []*apiv1.Alarm, index uint64) (string, error) {
	n := 0
	for _, a := range alarms {
		if a.Index <= index {
			n++
		}
	}
	switch left := len(alarms) - n; {
	case len(alarms) == 0:
		return "", errors.New("there is no alarm to clear; one that names no entry goes by itself, when what it tells of is over")
	case n == 0:
		return "", fmt.Errorf("there is no alarm of an entry up to %d: the first is of entry %d; godwit servers shows them", index, alarms[0].Index)
	case left > 0:
		return fmt.Sprintf("cleared %d alarms; %d of later entries are left", n, left), nil
	}
	return fmt.Sprintf("cleared %d alarms", n), nil
}

func newServersRemove(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "remove ID|ADDRESS", SuggestFor: []string{"delete", "drop", "forget", "rm"}, Short: "Take a server out of the group, for good", Args: wants("a server", 1),
		Long: "Take a server out of the group: by its id, at least 4 characters of its beginning, or its address. It is refused if too few of the others answer. The server may be dead; if it runs, stop it.\n" +
			"It can come back with an empty data directory only. Asked again by the id, it says that the server is removed already, as long as the servers' log\n" +
			"has it; by the address, it removes who is there by now.",
		RunE: func(c *cobra.Command, args []string) error {
			before, err := ask(c.Context(), o, apiv1connect.ControlClient.ListServers, &apiv1.ListServersRequest{})
			if err != nil {
				return err
			}
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.RemoveServer, &apiv1.RemoveServerRequest{Id: idAt(before.Servers, args[0])})
			if err == nil {
				fmt.Fprintln(os.Stderr, removedText(before.Servers, res))
			}
			return err
		},
	}
}

// idAt is the id of the only server at an address, or at a host; else ref itself. The request then names one server at every try: another
// one may have joined at the address since.
func idAt(servers []*apiv1.Server, ref string) string {
	id := ""
	for _, s := range servers {
		if !control.IsAt(ref, s.Addr) {
			continue
		}
		if id != "" {
			return ref
		}
		id = s.Id
	}
	return cmp.Or(id, ref)
}

// removedText says what became of a request to remove a server.
func removedText(before []*apiv1.Server, res *apiv1.RemoveServerResponse) string {
	if res.Already {
		return serverText(before, res.Id) + " is removed already"
	}
	said, voters := "removed "+serverText(before, res.Id), 0
	for _, s := range before {
		if s.Id != res.Id && s.Role != apiv1.ServerNonvoter {
			voters++
		}
	}
	switch voters {
	case 1:
		said += "; the one that is left must not fail: add servers, three bear the loss of one"
	case 2:
		said += "; of the two that are left none may fail: add one"
	}
	return said
}

func newServersTransfer(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "transfer [ID|ADDRESS]", SuggestFor: []string{"lead", "promote", "stepdown"}, Short: "Make another server lead", Args: atMost(1),
		Long: "Make another server lead: the one with the id, with at least 4 characters of its beginning, or at the address; without, the one\n" +
			"whose log is furthest.",
		RunE: func(c *cobra.Command, args []string) error {
			req := &apiv1.TransferLeadershipRequest{}
			if len(args) > 0 {
				req.Id = args[0]
			}
			before, err := ask(c.Context(), o, apiv1connect.ControlClient.ListServers, &apiv1.ListServersRequest{})
			if err != nil {
				return err
			}
			req.From = leaderOf(before.Servers)
			if _, err := ask(c.Context(), o, apiv1connect.ControlClient.TransferLeadership, req); err != nil {
				return err
			}
			after, err := ask(c.Context(), o, apiv1connect.ControlClient.ListServers, &apiv1.ListServersRequest{})
			if err != nil {
				return fmt.Errorf("leadership was handed on; who has it now is not known: %w", err)
			}
			fmt.Fprintln(os.Stderr, transferText(before.Servers, after.Servers))
			return nil
		},
	}
}

// transferText says who leads after a transfer that went well.
func transferText(before, after []*apiv1.Server) string {
	now := leaderOf(after)
	if now != "" && now == leaderOf(before) {
		return serverText(after, now) + " already leads"
	}
	return serverText(after, now) + " leads now"
}

func leaderOf(servers []*apiv1.Server) string {
	for _, s := range servers {
		if s.Role == apiv1.ServerLeader {
			return s.Id
		}
	}
	return ""
}

// serverText is a server's id and the address that servers has of it.
func serverText(servers []*apiv1.Server, id string) string {
	for _, s := range servers {
		if s.Id == id {
			return id + " (" + s.Addr + ")"
		}
	}
	return id
}

func lastContact(d *durationpb.Duration) string {
	if d == nil {
		return "-"
	}
	if ago := d.AsDuration(); ago >= time.Second {
		return ago.Round(time.Second).String()
	}
	return "now"
}
