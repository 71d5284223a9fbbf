package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// isSlurm says whether a name is one of Slurm's commands, which the binary answers to.
func isSlurm(name string) bool { return slurmCommand(name) != nil }

// slurmTimeout is how long these commands go on trying while no server answers, as --timeout of the others.
const slurmTimeout = 30 * time.Second

// slurmCommand is what runs under one of Slurm's names; nil: nothing does.
func slurmCommand(name string) func(ctx context.Context, o *options, words []string) error {
	switch name {
	case "sbatch":
		return sbatch
	case "squeue":
		return squeue
	case "scancel":
		return scancel
	case "sinfo":
		return sinfo
	case "srun":
		return srun
	default:
		return nil
	}
}

// runSlurm runs one of Slurm's commands on the cluster in GODWIT_ADDR, and returns the exit code.
func runSlurm(ctx context.Context, name string, words []string) int {
	return report(name, slurmCommand(name)(ctx, &options{timeout: slurmTimeout, output: "table"}, words))
}

// slurmAsks are the options of all commands that are answered without a cluster.
type slurmAsks struct{ help, version bool }

// answer says whether the command only asked for its help or its version, which is printed.
func (a *slurmAsks) answer(name, help string) (bool, error) {
	switch {
	case a.help:
		return true, printf("%s", help)
	case a.version:
		return true, printf("%s (Godwit) %s\n", name, version)
	default:
		return false, nil
	}
}

// slurmNotes are what is said of options that are taken and do nothing, or not what they do in Slurm: each once.
type slurmNotes []string

func (n *slurmNotes) add(note string) {
	for _, before := range *n {
		if before == note {
			return
		}
	}
	*n = append(*n, note)
}

func (n *slurmNotes) say(program string) {
	for _, note := range *n {
		fmt.Fprintf(os.Stderr, "%s: note: %s\n", program, note)
	}
}
