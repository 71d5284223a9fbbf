package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// memoryUnits are what a size may end with, in bytes.
//
//nolint:gochecknoglobals // a constant
var memoryUnits = map[string]float64{"": 1 << 20, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}

// parseMemory reads a size, such as 512M, 2G, 1.5GiB, or 512, which are MiB, of at most so many bytes.
func parseMemory(flag, text string, most int64) (int64, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := strings.ToLower(text[len(digits):])
	if unit != "b" {
		unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	}
	n, err := strconv.ParseFloat(digits, 64)
	each, known := memoryUnits[unit]
	if bytes := math.Ceil(n * each); err == nil && known && bytes >= 1<<20 && bytes <= float64(most) {
		return int64(bytes), nil
	}
	return 0, usagef("%s %s: give a size from 1M to %s, such as 512M or 1.5G", flag, text, shortBytes(most))
}

// declareMemory has a spec declare what --mem says; empty: nothing, and the cluster's default is taken.
func declareMemory(spec *apiv1.AppSpec, text string) (err error) {
	switch text {
	case "":
		return nil
	case "0":
		spec.NoDefaultMemory = true
		return nil
	}
	if spec.MemoryBytes, err = parseMemory("--mem", text, apiv1.MaxRankMemory); err != nil {
		err = usageError{fmt.Errorf("%w; 0 declares none", err)}
	}
	return err
}

// memoryText is what an app declares of its ranks' memory, and who says so; empty: nothing is said.
func memoryText(a *apiv1.App) string {
	switch s := a.GetSpec(); {
	case s.GetNoDefaultMemory():
		return "memory none declared (--mem 0)"
	case s.GetMemoryBytes() == 0:
		return ""
	case a.MemoryByDefault:
		return "memory " + apiv1.Bytes(s.MemoryBytes) + " a rank (the cluster's default when it was submitted)"
	default:
		return "memory " + apiv1.Bytes(s.MemoryBytes) + " a rank"
	}
}

// shortBytes is a size in a word: 1.5G.
func shortBytes(n int64) string {
	word := strings.ReplaceAll(apiv1.Bytes(n), " ", "")
	return strings.TrimSuffix(strings.TrimSuffix(word, "B"), "i")
}

// memoryUse is what of a host's memory is declared, in a word; "-": it is not known how much it has, and nothing is declared.
func memoryUse(used, memory int64) string {
	switch {
	case memory == 0 && used == 0:
		return "-"
	case memory == 0:
		return shortBytes(used) + "/-"
	case used == 0:
		return "0/" + shortBytes(memory)
	}
	return shortBytes(used) + "/" + shortBytes(memory)
}

// slurmMemory is what --mem and --mem-per-cpu of a job ask for, in bytes; 0: not given.
type slurmMemory struct{ node, cpu int64 }

// parseSlurmMemory reads a size of Slurm's: MB, or with a unit behind it.
func parseSlurmMemory(flag, v string) (int64, error) {
	if v == "0" { // all that a node has: nothing that could be declared
		return 0, nil
	}
	return parseMemory(flag, v, apiv1.MaxHostMemory)
}

// rankMemory is the memory that each rank of a job declares; 0: none. What is asked for a node is its ranks', as far as it is known how many those are. What cannot be declared as it
// is asked for is noted.
func (j *slurmJob) rankMemory() (int64, error) {
	bytes, from := j.memory.cpu*int64(max(1, j.perTask)), "--mem-per-cpu"
	if j.memory.node > 0 {
		perNode := j.perNode
		switch {
		case j.memory.cpu > 0:
			return 0, usagef("--mem and --mem-per-cpu: one is of a node and one of a rank: give one of them")
		case perNode > 0:
		case j.size() == 1:
			perNode = 1
		case j.nodes > 0:
			perNode = (j.size() + j.nodes - 1) / j.nodes
		default:
			j.notes.add(fmt.Sprintf("--mem is of a node, and how many of the %d ranks are on one is not said: no memory is declared; --mem-per-cpu, or --ntasks-per-node, would do", j.size()))
			return 0, nil
		}
		bytes, from = j.memory.node/int64(perNode), "--mem"
	}
	switch {
	case bytes > apiv1.MaxRankMemory:
		j.notes.add(fmt.Sprintf("%s: that is %s for a rank, of which none can have more than %s: that is declared", from, apiv1.Bytes(bytes), apiv1.Bytes(apiv1.MaxRankMemory)))
		return apiv1.MaxRankMemory, nil
	case bytes != 0 && bytes < apiv1.MinRankMemory:
		return 0, usagef("%s: that is %s for a rank; a rank has %s to %s", from, apiv1.Bytes(bytes), apiv1.Bytes(apiv1.MinRankMemory), apiv1.Bytes(apiv1.MaxRankMemory))
	}
	return bytes, nil
}

// speedText is a host's speed, in a word.
func speedText(speed float64) string {
	if speed == 0 {
		speed = 1
	}
	return fmt.Sprintf("%g", speed)
}
