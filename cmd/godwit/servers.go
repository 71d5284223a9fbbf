package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

func newServers(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "servers", Short: "List servers: who leads, who votes, who answers", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListServers, &apiv1.ListServersRequest{})
			if err != nil {
				return err
			}
			return printList(o, res.Servers, "ID ADDR ROLE CONTACT INDEX HEALTH", func(s *apiv1.Server) []string {
				return []string{s.Id, s.Addr, s.Role, lastContact(s.LastContact), strconv.FormatUint(s.Index, 10), s.Health}
			})
		},
	}
	c.AddCommand(newServersRemove(o), newServersTransfer(o))
	return o.outputFlag(c)
}

func newServersRemove(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "remove ID", Short: "Take a server out of the group, for good", Args: cobra.ExactArgs(1),
		Long: "Take a server out of the group. It is refused if too few of the others answer. The server may be dead; if it runs, stop it.\n" +
			"It can come back with an empty data directory only.",
		RunE: func(c *cobra.Command, args []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.RemoveServer, &apiv1.RemoveServerRequest{Id: args[0]})
			if err == nil {
				fmt.Fprintln(os.Stderr, "removed "+res.Id)
			}
			return err
		},
	}
}

func newServersTransfer(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "transfer [ID]", Short: "Make another server lead", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			req := &apiv1.TransferLeadershipRequest{}
			if len(args) > 0 {
				req.Id = args[0]
			}
			_, err := ask(c.Context(), o, apiv1connect.ControlClient.TransferLeadership, req)
			return err
		},
	}
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
