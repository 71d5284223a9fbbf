package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

// Access is where servers are, and how they are reached.
type Access struct {
	// Addrs are the servers, comma separated.
	Addrs string `json:"addrs"`
	// Token says who calls, and by what the cluster is known; empty: the cluster is not secured.
	Token string `json:"token,omitempty"`

	dialer *listen.Dialer // in place of a token: whoever has a certificate
}

// By is Access to servers by whoever makes the dialer's connections.
func By(addrs string, d listen.Dialer) Access { return Access{Addrs: addrs, dialer: &d} }

// HTTP makes an HTTP client for that. The error is of a token that is none.
func (a Access) HTTP() (*http.Client, error) {
	switch {
	case a.dialer != nil:
		return transport.NewHTTPClientBy(*a.dialer), nil
	case a.Token == "":
		return transport.NewHTTPClient(), nil
	}
	token, err := trust.ParseToken(a.Token)
	if err != nil {
		return nil, err
	}
	return transport.WithToken(transport.NewHTTPClientBy(listen.Pinned(token.Pin, nil)), token.Secret()), nil
}

// FindAccess is how to reach the servers named; of none: those that GODWIT_ADDR names, else those of the context in use, else DefaultAddr. The token is
// GODWIT_TOKEN's, else that of the context that has these servers.
func FindAccess(addrs string) (Access, error) {
	a := Access{Addrs: cmp.Or(addrs, os.Getenv("GODWIT_ADDR")), Token: os.Getenv("GODWIT_TOKEN")}
	if a.Addrs != "" && a.Token != "" {
		return a, nil
	}
	contexts, err := LoadContexts()
	if err != nil {
		return a, err
	}
	found := contexts.All[cmp.Or(os.Getenv("GODWIT_CONTEXT"), contexts.Use)]
	if a.Addrs != "" {
		found = contexts.of(a.Addrs)
	}
	if found != nil {
		a.Addrs, a.Token = cmp.Or(a.Addrs, found.Addrs), cmp.Or(a.Token, found.Token)
	}
	a.Addrs = cmp.Or(a.Addrs, DefaultAddr)
	return a, nil
}

// Contexts are the clusters that a user knows, by the names that he gives them.
type Contexts struct {
	// Use is the one that is meant when nothing is said.
	Use string             `json:"use,omitempty"`
	All map[string]*Access `json:"contexts"`
}

// Names are those of the contexts, in order.
func (c *Contexts) Names() []string { return slices.Sorted(maps.Keys(c.All)) }

// of is the context that has one of the servers; nil: none has.
func (c *Contexts) of(addrs string) *Access {
	for _, name := range c.Names() {
		a := c.All[name]
		have := SplitAddrs(a.Addrs)
		if slices.ContainsFunc(SplitAddrs(addrs), func(s string) bool { return slices.Contains(have, s) }) {
			return a
		}
	}
	return nil
}

// contextsFile is where they are: GODWIT_CONTEXTS, else in the user's directory for such files; empty: he has none.
func contextsFile() string {
	if path := os.Getenv("GODWIT_CONTEXTS"); path != "" {
		return path
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "godwit", "contexts.json")
}

// LoadContexts reads the user's contexts. A file that others may read is refused: it has tokens.
func LoadContexts() (*Contexts, error) {
	c := &Contexts{All: map[string]*Access{}}
	path := contextsFile()
	if path == "" {
		return c, nil
	}
	st, err := os.Stat(path)
	if err != nil && (errors.Is(err, fs.ErrNotExist) || os.Getenv("GODWIT_CONTEXTS") == "") {
		return c, nil // a home that is not this user's has none for him
	}
	if err == nil && st.Mode().Perm()&0o077 != 0 {
		return c, fmt.Errorf("%s has mode %v: %w: chmod 600 it", path, st.Mode(), trust.ErrWide)
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, c)
	}
	if err != nil {
		return c, fmt.Errorf("read the contexts: %w; remove %s if it is damaged", err, path)
	}
	if c.All == nil {
		c.All = map[string]*Access{}
	}
	maps.DeleteFunc(c.All, func(_ string, a *Access) bool { return a == nil })
	return c, nil
}

// Save writes the contexts for their user alone.
func (c *Contexts) Save() error {
	path := contextsFile()
	if path == "" {
		return errors.New("this user has no directory for settings: set GODWIT_CONTEXTS to a file's name")
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}
