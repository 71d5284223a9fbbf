package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
	"github.com/godwit-run/godwit/raftnode"
)

const recoverLong = `Make a cluster of one from the data of a stopped server, when most of its servers are gone for good.

Nothing else brings a cluster back that has lost its majority. What the lost servers had accepted and this one had not
received is lost. Choose the server with the highest last entry; run this once, on it alone. Then start it as before,
move the data directories of all other servers away, and start those again with empty ones: they join by themselves. What
it makes is another cluster, with an id of its own, to which the workers go with it, once they have heard of no other leader for half
the lease: servers that come back with the data of before are refused, and can take nothing back.

Before it changes anything it asks the other servers, at the addresses in this one's log, and refuses while one of them answers: a
cluster of one beside servers that are well would be a second cluster. Workers stay with the older one, and new ones go to it, while most
of its servers answer and one leads, else to the second, which then ends what they run. A client that hears of both asks nothing of either.
The cure is to stop the second cluster and move its data away: the apps that it has accepted are lost then. So stop the others, or use them;
--yes alone does not answer that, --others-are-lost does.

It needs room on the disk for a copy of the state. On a full one it says so, and can be run again once there is room.`

func newRecover() *cobra.Command {
	var f recoverFlags
	c := &cobra.Command{
		Use: "recover --data-dir DIR", Short: "Make a cluster of one from a surviving server's data", Long: recoverLong, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.dataDir == "" {
				return usagef("--data-dir is missing: name the data directory of the server that is left")
			}
			return recoverServer(c.Context(), f)
		},
	}
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "data directory of the stopped server that is left (required)")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask for a yes")
	c.Flags().BoolVar(&f.removed, "removed", false, "take a server that has no vote by its own log, for want of another")
	c.Flags().BoolVar(&f.othersLost, "others-are-lost", false, "go on though other servers of the cluster may run: nobody asks them; if they do, this makes a second cluster, "+
		"and the apps that it accepts are lost by the cure, which is to stop it and move its data away")
	return c
}

// recoverFlags are the flags of godwit server recover.
type recoverFlags struct {
	dataDir                  string
	yes, removed, othersLost bool
}

func recoverServer(ctx context.Context, f recoverFlags) error {
	left := departure{f.dataDir}
	switch note, err := left.read(); {
	case err != nil:
		return err
	case note != nil && note.Left && !f.removed:
		return fmt.Errorf("recover: this server has left its cluster for good (%s): take one that has not; if there is none, give --removed, "+
			"and lose what was accepted after it had left", left.path())
	}
	rc := raftnode.DefaultConfig()
	rc.DataDir, rc.Addr, rc.Encode = f.dataDir, client.DefaultAddr, fsm.Encode
	empty := func() machine { return machine{fsm.New()} }
	s, err := raftnode.OpenSurvivor(rc, func() raftnode.Machine { return empty() }, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	err = recoverFrom(ctx, s, empty, f)
	if cerr := s.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("recover: the data was written, but not closed cleanly: %w; start the server and look at its log", cerr)
	}
	if err == nil {
		err = left.end() // it has a cluster again, and is not put away at its next start
	}
	if err == nil {
		fmt.Fprintf(os.Stderr, "done: server %s is the only one of cluster %s now. Start it as before. Move the data directories of all others "+
			"away, and start those with empty ones: they join as new servers.\n", s.ID(), s.ClusterID())
	}
	return err
}

// recoverFrom shows what would become of the cluster, asks, and does it.
func recoverFrom(ctx context.Context, s *raftnode.Survivor, empty func() machine, f recoverFlags) error {
	fmt.Fprintf(os.Stderr, "server %s of cluster %s, last log entry %d. The group by its log:\n", s.ID(), s.ClusterID(), s.LastIndex)
	for _, m := range s.Members {
		what := "WILL BE REMOVED; it must not run with its data any more"
		if m.ID == s.ID() {
			what = "this one"
		}
		fmt.Fprintf(os.Stderr, "  %s  %s  %s\n", m.ID, m.Addr, what)
	}
	if !s.Votes() && !f.removed {
		return fmt.Errorf("recover: by its own log this server has no vote: it was removed, or had not joined yet, and the others may have gone on " +
			"without it. Take a server that has a vote; if there is none, give --removed, and lose what was accepted after its removal")
	}
	if !f.othersLost {
		ask, err := discovererOf(f.dataDir)
		if err != nil {
			return err
		}
		there, err := stillThere(ctx, s.ClusterID(), s.Members, ask)
		if err != nil {
			return err
		}
		if err := errStillThere(s.ClusterID(), there); err != nil {
			return err
		}
	}
	if alone := len(s.Members) == 1 && s.Votes(); alone {
		fmt.Fprintln(os.Stderr, "It is the only server of its cluster already: nothing is to be recovered, start it. To go on makes sense only where an earlier "+
			"recovery said that it is to be run again; else it only makes its workers look for a cluster of another id.")
	} else {
		fmt.Fprintln(os.Stderr, "It becomes the only server. What the others had and it had not is LOST. This cannot be undone.")
	}
	if !f.yes {
		fmt.Fprint(os.Stderr, "Type yes to go on: ")
		answer := make(chan string, 1)
		go func() { // it ends with the process
			line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // no answer is no
			answer <- line
		}()
		line := ""
		select {
		case line = <-answer:
		case <-ctx.Done():
		}
		if err := interruptedRecovery(ctx); err != nil {
			return err
		}
		if strings.TrimSpace(line) != "yes" {
			return fmt.Errorf("recover: not confirmed, nothing was changed; type yes, or give --yes")
		}
	}
	if err := interruptedRecovery(ctx); err != nil { // from here on it is not to be stopped
		return err
	}
	id := uuid.NewString()
	return s.Recover(recovered{empty(), id}, id)
}

// discovererOf asks as the server whose data directory it is: in a secured cluster others answer nobody else.
func discovererOf(dataDir string) (discoverer, error) {
	kept, err := trust.Load(dataDir)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return newDiscoverer(transport.NewHTTPClient()), nil
	}
	h, err := kept.Holder()
	if err != nil {
		return nil, fmt.Errorf("recover: the other servers cannot be asked whether they are there: %w. If they are gone for good, say so with --others-are-lost", err)
	}
	return newDiscoverer(transport.NewHTTPClientBy(listen.To(h, trust.Server))), nil
}

// recovered is a state machine whose snapshot is the beginning of a recovered cluster.
type recovered struct {
	machine
	id string
}

// Snapshot implements raftnode.Machine. It is taken once, when all of the log has been applied.
func (r recovered) Snapshot() (io.WriterTo, error) {
	r.Recovered(r.id)
	return r.machine.Snapshot()
}
