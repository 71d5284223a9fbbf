package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

func newExplain(o *options) *cobra.Command {
	return o.outputFlag(&cobra.Command{
		Use: "explain APP", SuggestFor: []string{"why"}, Short: "Say why an app waits, or why it is not moved, host by host, and what would change that", Args: wants("an app", 1),
		ValidArgsFunction: completeApps(o),
		RunE: func(c *cobra.Command, args []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.Explain, &apiv1.ExplainRequest{App: args[0]})
			if err != nil {
				return err
			}
			if o.output == "json" {
				return printJSON(os.Stdout, jsonValue(res.ProtoReflect()))
			}
			text := fmt.Sprintf("%s (%s) %s: %s\n", res.App.Id, programNames(res.App), apiv1.AppStands(res.App.Phase, false), res.Verdict)
			for i, change := range res.Changes {
				if i == 0 {
					text += "What would change that:\n"
				}
				text += "  - " + change + "\n"
			}
			if err := show("%s", text); err != nil || len(res.Hosts) == 0 {
				return err
			}
			header, memory := "HOST SLOTS USED OWN ROOM WHY", res.App.GetSpec().GetMemoryBytes() > 0
			uneven := slices.ContainsFunc(res.Hosts, func(h *apiv1.ExplainedHost) bool { return h.Speed != 0 && h.Speed != 1 })
			if memory {
				header = strings.Replace(header, " USED", " USED MEMORY", 1)
			}
			if uneven {
				header = strings.Replace(header, " OWN", " SPEED OWN", 1)
			}
			if err := printList(o, res.Hosts, header, func(h *apiv1.ExplainedHost) []string {
				why := h.Why
				if why == "" && h.Room == 0 {
					why = "all its slots are used"
				}
				cells := []string{h.Host, strconv.Itoa(int(h.Slots)), strconv.Itoa(int(h.Used))}
				if memory {
					cells = append(cells, memoryUse(h.MemoryUsed, h.MemoryBytes))
				}
				if uneven {
					cells = append(cells, speedText(h.Speed))
				}
				return append(cells, strconv.Itoa(int(h.Own)), strconv.Itoa(int(h.Room)), orDash(why))
			}); err != nil || res.MoreHosts == 0 {
				return err
			}
			return printf("and %d more hosts\n", res.MoreHosts)
		},
	})
}

func newCandidates(o *options) *cobra.Command {
	return o.outputFlag(&cobra.Command{
		Use: "candidates", Short: "List the apps that may be moved by their policies, and what the checker would do with each now", Args: cobra.NoArgs,
		Long: "List the apps that have opted in to migrations (--migration-check-period), with the policy that each is looked at by, the moves that it would ask for now, and why\n" +
			"an app stays.",
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListCandidates, &apiv1.ListCandidatesRequest{})
			if err != nil {
				return err
			}
			return printList(o, res.Candidates, "APP NAME POLICY MOVES REASON", func(x *apiv1.Candidate) []string {
				return []string{x.App, orDash(x.Name), x.Policy, orDash(moves(&apiv1.Migration{Moves: x.Moves})), orDash(x.Reason)}
			})
		},
	})
}
