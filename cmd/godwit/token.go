package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/trust"
)

func newToken(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "token", Short: "Make, list and revoke the tokens of a secured cluster", Args: cobra.NoArgs, Hidden: true, // until a secured cluster is whole
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTokenCreate(o), o.outputFlag(&cobra.Command{
		Use: "ls", Short: "List the tokens that may be used", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListTokens, &apiv1.ListTokensRequest{})
			if err != nil {
				return err
			}
			return printList(o, res.Tokens, "ID ROLE USED EXPIRES MADE_BY NOTE", tokenRow)
		},
	}), &cobra.Command{
		Use: "revoke ID", Short: "Have a token worth nothing from now on", Args: wants("a token's id", 1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := o.client()
			if err != nil {
				return err
			}
			_, err = call(c.Context(), cl, apiv1connect.ControlClient.RevokeToken, &apiv1.RevokeTokenRequest{IdempotencyKey: uuid.NewString(), Id: strings.ToLower(args[0])})
			return err
		},
	})
	return c
}

func tokenRow(t *apiv1.Token) []string {
	used, expires := "-", "never"
	if t.Most > 0 {
		used = fmt.Sprintf("%d/%d", t.Used, t.Most)
	}
	if t.ExpiresMs > 0 {
		expires = time.UnixMilli(t.ExpiresMs).UTC().Format(time.RFC3339)
		if left := time.Until(time.UnixMilli(t.ExpiresMs)); left <= 0 {
			expires = "over"
		}
	}
	return []string{t.Id, t.Role, used, expires, orDash(t.MadeBy), orDash(t.Note)}
}

func newTokenCreate(o *options) *cobra.Command {
	t := &apiv1.Token{}
	var ttl time.Duration
	c := &cobra.Command{
		Use: "create --role ROLE", Short: "Make a token, and print it", Args: cobra.NoArgs,
		Long: "Make a token and print it: nobody, the cluster neither, can say it again. With --role admin, operator or reader whoever has it calls the cluster as that: GODWIT_TOKEN,\n" +
			"or godwit context add. With --role worker or server a machine joins by it: --join-token.",
		RunE: func(c *cobra.Command, _ []string) error {
			if ttl < 0 || t.Most < 0 {
				return usagef("token create: --ttl and --uses are not below 0")
			}
			a, err := client.FindAccess(o.addr)
			if err != nil {
				return err
			}
			mine, err := trust.ParseToken(a.Token)
			if err != nil {
				return fmt.Errorf("no token is in use by which the cluster is known: set GODWIT_TOKEN to an admin's (%w)", err)
			}
			token := trust.NewToken(mine.Pin)
			t.Id, t.Hash = token.ID, token.Hash()
			cl, err := o.client()
			if err != nil {
				return err
			}
			if _, err = call(c.Context(), cl, apiv1connect.ControlClient.CreateToken, &apiv1.CreateTokenRequest{IdempotencyKey: uuid.NewString(), Token: t, TtlMs: wholeMs(ttl)}); err != nil {
				return err
			}
			return printf("%s\n", token.Secret())
		},
	}
	c.Flags().StringVar(&t.Role, "role", "", "admin, operator (apps and hosts), reader, worker or server")
	c.Flags().DurationVar(&ttl, "ttl", 0, "for how long it is good (default: a day for worker and server, else for ever)")
	c.Flags().Int32Var(&t.Most, "uses", 0, "how often machines may join by it (default: 100 for worker, 10 for server)")
	c.Flags().StringVar(&t.Note, "note", "", "what it is for, to be read in the list")
	return c
}

func newContext(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "context", Short: "The clusters that this user knows, with their tokens", Args: cobra.NoArgs, Hidden: true, // until a secured cluster is whole
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newContextAdd(), &cobra.Command{
		Use: "use NAME", Short: "Mean this cluster when nothing is said", Args: wants("a context", 1),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := client.LoadContexts()
			if err != nil {
				return err
			}
			if all.All[args[0]] == nil {
				return usagef("there is no context %q: godwit context ls lists them", args[0])
			}
			all.Use = args[0]
			return all.Save()
		},
	}, &cobra.Command{
		Use: "rm NAME", Short: "Forget a cluster", Args: wants("a context", 1),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := client.LoadContexts()
			if err != nil {
				return err
			}
			delete(all.All, args[0])
			if all.Use == args[0] {
				all.Use = ""
			}
			return all.Save()
		},
	}, newContextLs(o))
	return c
}

// shownContext is a context without its secret.
type shownContext struct {
	Name    string `json:"name"`
	InUse   bool   `json:"in_use"`
	Servers string `json:"servers"`
	Token   string `json:"token"` // its id
}

func newContextLs(o *options) *cobra.Command {
	return o.outputFlag(&cobra.Command{
		Use: "ls", Short: "List them, without the secrets of their tokens", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := client.LoadContexts()
			if err != nil {
				return err
			}
			shown := []shownContext{}
			for _, name := range all.Names() {
				a := all.All[name]
				token, _ := trust.ParseToken(a.Token) // of none nothing is shown
				shown = append(shown, shownContext{name, name == all.Use, a.Addrs, token.ID})
			}
			if err := o.checkOutput(); err != nil || o.output == "json" {
				return errors.Join(err, printJSON(os.Stdout, shown))
			}
			return printTable("NAME USE SERVERS TOKEN", shown, func(c shownContext) []string {
				use := "-"
				if c.InUse {
					use = "*"
				}
				return []string{c.Name, use, c.Servers, orDash(c.Token)}
			})
		},
	})
}

func newContextAdd() *cobra.Command {
	var file, addrs string
	c := &cobra.Command{
		Use: "add NAME --servers A,B,C", Short: "Remember a cluster, and use it from now on", Args: wants("a name", 1),
		Long: "Remember a cluster under a name, with the token to call it by, in a file that only this user reads, and use it from now on. The token is that of GODWIT_TOKEN, or what the\n" +
			"file of --token-file has.",
		RunE: func(_ *cobra.Command, args []string) error {
			word, err := tokenOfPerson(file)
			if err != nil {
				return err
			}
			if err := client.CheckAddrs(addrs); err != nil || addrs == "" {
				return usagef("--servers %q: give host:port, several with commas between", addrs)
			}
			all, err := client.LoadContexts()
			if err != nil {
				return err
			}
			all.All[args[0]], all.Use = &client.Access{Addrs: strings.Join(client.SplitAddrs(addrs), ","), Token: word}, args[0]
			return all.Save()
		},
	}
	c.Flags().StringVar(&addrs, "servers", "", "the cluster's servers, host:port with commas between")
	c.Flags().StringVar(&file, "token-file", "", "a file that has the token")
	return c
}

// tokenOfPerson is the token that a file has, or the environment; empty: there is none.
func tokenOfPerson(file string) (string, error) {
	word := os.Getenv("GODWIT_TOKEN")
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", usagef("--token-file: %w", err)
		}
		word = string(b)
	}
	if word == "" {
		return "", nil
	}
	token, err := trust.ParseToken(word)
	if err != nil {
		return "", usageError{err}
	}
	return token.Secret(), nil
}
