package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/godwit-run/godwit/raftnode"
)

// otherServer is a server that answers, and speaks against a recovery.
type otherServer struct{ id, addr, cluster string }

// stillThere asks the members at their addresses, and at those that the answers name, and returns who answers as a server of the cluster
// or of one that was recovered from it already. Only who proves who it is counts; a server that was started anew at the address of a lost
// one is of no cluster yet. It takes surveyWait at most. When ctx ends nobody knows who would have answered: that is an error.
func stillThere(ctx context.Context, cluster string, members []raftnode.Server, ask discoverer) ([]otherServer, error) {
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.Addr)
	}
	var out []otherServer
	for _, s := range survey(ctx, addrs, ask, func(string) {}) {
		if s.err != nil || s.res.ClusterId != cluster && !slices.Contains(s.res.FormerClusterIds, cluster) {
			continue
		}
		o := otherServer{s.res.ServerId, s.addr, s.res.ClusterId}
		if !slices.ContainsFunc(out, func(have otherServer) bool { return have.id == o.id }) {
			out = append(out, o)
		}
	}
	return out, interruptedRecovery(ctx)
}

// interruptedRecovery is the error of a recovery that was asked to stop before it had changed anything; nil: it goes on.
func interruptedRecovery(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &exitError{exitInterrupted, "recover: interrupted, nothing was changed"}
}

// errStillThere refuses a recovery because of the servers that answer; nil if there are none.
func errStillThere(cluster string, there []otherServer) error {
	if len(there) == 0 {
		return nil
	}
	var who []string
	for _, o := range there {
		s := fmt.Sprintf("%s at %s", o.id, o.addr)
		if o.cluster != cluster {
			s += fmt.Sprintf(" (recovered already, as cluster %s)", o.cluster)
		}
		who = append(who, s)
	}
	return fmt.Errorf("recover: nothing was changed, for of this server's cluster there still answer: %s. Use them: start this server again as it was, "+
		"and see godwit servers; the cluster may only lack an election, or a server that can be started. If most of its servers are gone for good, stop "+
		"those that answer and run this again: a second cluster beside them takes workers that lose them and ends what those run, and the apps that it accepts are lost by the cure, which is "+
		"to stop it and move its data away. "+
		"To do it all the same, give --others-are-lost", strings.Join(who, ", "))
}
