package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

func newPolicy(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "policy", Short: "Show and set how apps are placed and moved that do not say otherwise", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(o.outputFlag(&cobra.Command{
		Use: "get", Short: "Show the cluster's policy and its limits", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.GetScheduling, &apiv1.GetSchedulingRequest{})
			if err != nil {
				return err
			}
			return o.printScheduling(res.Scheduling)
		},
	}), newPolicySet(o), newRenewCodeKey(o))
	return c
}

func newRenewCodeKey(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "renew-code-key", Short: "Give the cluster another key of its machine code", Args: cobra.NoArgs,
		Long: "Give the cluster another key, with which it seals what its compilers make of modules (godwit worker --engine native or auto). Do it where somebody may have\n" +
			"seen the old one, who has read a worker's memory, a server's disk or their network. What was sealed with the old key is removed, and made anew when it is\n" +
			"wanted; ranks that run go on as they are. The key is shown to nobody.",
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := ask(c.Context(), o, apiv1connect.ControlClient.RenewCodeKey, &apiv1.RenewCodeKeyRequest{IdempotencyKey: uuid.NewString()})
			return err
		},
	}
}

func newPolicySet(o *options) *cobra.Command {
	s := &apiv1.Scheduling{}
	var coolDown time.Duration
	var memory string
	c := &cobra.Command{
		Use: "set [POLICY]", Short: "Set the cluster's policy, or its limits", Args: atMost(1),
		Long: "Set the policy of apps that name none, also of those that run: bin_pack, compact, spot, empty_hosts or traffic; and the limits of migrations that policies ask\n" +
			"for; and what apps take of memory that declare none. What is not named stays as it is.",
		RunE: func(c *cobra.Command, args []string) error {
			var fields []string
			for flag, field := range map[string]string{"migrations-at-once": "migrations_at_once", "cool-down": "cool_down_ms", "min-gain": "min_gain_percent", "strict-order": "strict_order", "default-mem": "rank_memory_bytes"} {
				if c.Flags().Changed(flag) {
					fields = append(fields, field)
				}
			}
			if len(args) > 0 {
				s.Policy, fields = args[0], append(fields, "policy")
			}
			switch {
			case len(fields) == 0:
				return usagef("policy set: name a policy, or give one of the flags (see godwit policy set --help)")
			case memory == "" && c.Flags().Changed("default-mem"):
				return usagef("policy set --default-mem: give a size, such as 512M, or 0 for none")
			case len(args) > 0 && (args[0] == "" || !planner.KnownDefault(args[0])):
				return usagef("policy set %s: use bin_pack, compact, spot, empty_hosts or traffic", args[0])
			}
			err := checkLimits(s, coolDown)
			if err != nil {
				return err
			}
			if s.RankMemoryBytes, err = parseDefaultMemory(memory); err != nil {
				return err
			}
			s.CoolDownMs = wholeMs(coolDown)
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.SetScheduling, &apiv1.SetSchedulingRequest{IdempotencyKey: uuid.NewString(), Scheduling: s, Fields: fields})
			if err != nil {
				return err
			}
			return o.printScheduling(res.Scheduling)
		},
	}
	c.Flags().Int32Var(&s.MigrationsAtOnce, "migrations-at-once", 0, fmt.Sprintf("how many migrations that policies ask for may be under way (0: %d)", planner.DefaultMigrationsAtOnce))
	c.Flags().DurationVar(&coolDown, "cool-down", 0, "for how long policies leave an app alone that has moved")
	c.Flags().Int32Var(&s.MinGainPercent, "min-gain", 0, "how many percent of its links between hosts bin_pack has to save an app, unless it is on fewer hosts then; with as many links, how many percent faster its slowest host has to be")
	c.Flags().BoolVar(&s.StrictOrder, "strict-order", false, "place no app before one that waits ahead of it")
	c.Flags().StringVar(&memory, "default-mem", "", "`SIZE` of memory that each rank takes of an app that is submitted without --mem, such as 512M, and may grow to (0: none); apps that are there already keep what they have")
	return o.outputFlag(c)
}

// parseDefaultMemory is what --default-mem says; 0: none.
func parseDefaultMemory(text string) (int64, error) {
	if text == "" || text == "0" {
		return 0, nil
	}
	bytes, err := parseMemory("--default-mem", text, fsm.MaxRankMemory)
	if err != nil {
		err = usageError{fmt.Errorf("%w; 0 takes it away", err)}
	}
	return bytes, err
}

// checkLimits checks the flags of policy set.
func checkLimits(s *apiv1.Scheduling, coolDown time.Duration) error {
	switch {
	case coolDown < 0 || coolDown > fsm.MaxPeriodSeconds*time.Second:
		return usagef("--cool-down %v: give a time up to a week", coolDown)
	case s.MigrationsAtOnce < 0 || s.MigrationsAtOnce > fsm.MaxMigrationsAtOnce:
		return usagef("--migrations-at-once %d: give a number up to %d, or 0 for %d", s.MigrationsAtOnce, fsm.MaxMigrationsAtOnce, planner.DefaultMigrationsAtOnce)
	case s.MinGainPercent < 0 || s.MinGainPercent > 100:
		return usagef("--min-gain %d: give a number from 0 to 100", s.MinGainPercent)
	}
	return nil
}

// printScheduling prints the rules of a cluster.
func (o *options) printScheduling(s *apiv1.Scheduling) error {
	if o.output == "json" {
		return printJSON(os.Stdout, jsonValue(s.ProtoReflect()))
	}
	order := "apps are placed ahead of one that waits if that delays it by nothing (by their time limits)"
	if s.StrictOrder {
		order = "strict: no app is placed before one that waits ahead of it"
	}
	memory := "none"
	if s.RankMemoryBytes > 0 {
		memory = shortBytes(s.RankMemoryBytes) + " a rank"
	}
	return printf("policy              %s\nmigrations at once  %d\ncool-down           %v\nminimum gain        %d %%\norder               %s\ndefault memory      %s\n",
		cmp.Or(s.Policy, planner.BinPack), cmp.Or(s.MigrationsAtOnce, planner.DefaultMigrationsAtOnce), time.Duration(s.CoolDownMs)*time.Millisecond, s.MinGainPercent, order, memory)
}

func newTenant(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "tenant", Short: "Show and set what tenants may have of the cluster", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(o.outputFlag(&cobra.Command{
		Use: "ls", Short: "List tenants: what they have, and what they may", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.GetScheduling, &apiv1.GetSchedulingRequest{})
			if err != nil {
				return err
			}
			return printList(o, res.Tenants, "NAME USED SLOTS SHARES", func(t *apiv1.TenantUse) []string {
				most := "-"
				if t.Tenant.Slots > 0 {
					most = strconv.Itoa(int(t.Tenant.Slots))
				}
				return []string{orDash(t.Tenant.Name), strconv.Itoa(int(t.Used)), most, strconv.Itoa(int(max(1, t.Tenant.Shares)))}
			})
		},
	}), newTenantSet(o), &cobra.Command{
		Use: "rm NAME", Short: "Forget what is said of a tenant: nothing bounds it then", Args: wants("a tenant", 1),
		RunE: func(c *cobra.Command, args []string) error { return o.setTenant(c, &apiv1.Tenant{Name: args[0]}, true) },
	})
	return c
}

func newTenantSet(o *options) *cobra.Command {
	t := &apiv1.Tenant{}
	c := &cobra.Command{
		Use: "set NAME", Short: "Set how many slots a tenant's apps may have, and its shares", Args: wants("a tenant", 1),
		Long: "Set how many slots a tenant's apps may have at once, and its shares: while tenants wait for slots, of apps of one priority those come first whose tenant has the\n" +
			"fewest slots for its shares. What is not named stays as it is. Apps are of a tenant by --tenant.",
		RunE: func(c *cobra.Command, args []string) error {
			switch t.Name = args[0]; {
			case t.Slots < 0:
				return usagef("--slots %d: give 0 (no bound) or more", t.Slots)
			case t.Shares < 0 || t.Shares > fsm.MaxShares:
				return usagef("--shares %d: give a number from 1 to %d", t.Shares, fsm.MaxShares)
			}
			var fields []string
			for _, name := range []string{"slots", "shares"} {
				if c.Flags().Changed(name) {
					fields = append(fields, name)
				}
			}
			if len(fields) == 0 {
				return usagef("tenant set %s: give --slots, --shares or both", t.Name)
			}
			return o.setTenant(c, t, false, fields...)
		},
	}
	c.Flags().Int32Var(&t.Slots, "slots", 0, "the most slots that its apps have at once (0: no bound)")
	c.Flags().Int32Var(&t.Shares, "shares", 1, "its part of the cluster beside other tenants'")
	return c
}

func (o *options) setTenant(c *cobra.Command, t *apiv1.Tenant, remove bool, fields ...string) error {
	cl, err := o.client()
	if err != nil {
		return err
	}
	_, err = call(c.Context(), cl, apiv1connect.ControlClient.SetTenant, &apiv1.SetTenantRequest{IdempotencyKey: uuid.NewString(), Tenant: t, Remove: remove, Fields: fields})
	return err
}
