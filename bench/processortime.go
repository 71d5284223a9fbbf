package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticksASecond are those in which the kernel counts processor time for programs.
const ticksASecond = 100

// names are those of processes, by the command of godwit that they run.
func names() map[string]string {
	return map[string]string{"server": "servers", "worker": "workers", "exec": "executors"}
}

// times are seconds of processor time, by what processes do.
type times map[string]float64

// process is one of this machine.
type process struct {
	parent             string
	args               []string
	own, endedChildren float64 // seconds of processor time
}

// processorTimes is what the servers and workers of a cluster, known by its directory in their arguments, and the children of those have taken.
func processorTimes(dir string) times {
	all, out, names := processes(), times{}, names()
	for _, p := range all {
		role := ""
		for up, there := p, true; there && role == ""; up, there = all[up.parent] {
			if strings.Contains(strings.Join(up.args, " "), dir) && len(p.args) > 1 {
				role = p.args[1]
			}
		}
		if role != "" {
			out[names[role]] += p.own
			out["executors"] += p.endedChildren // others have none
		}
	}
	return out
}

// processes are those that are there, by number.
func processes() map[string]process {
	out := map[string]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, stat := range stats {
		args, err := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
		text, serr := os.ReadFile(stat) //nolint:gosec // of the kernel
		if err != nil || serr != nil {
			continue // it has ended
		}
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		var ticks [4]float64
		for i := range ticks {
			ticks[i], _ = strconv.ParseFloat(f[11+i], 64) // 0 is not known
		}
		out[filepath.Base(filepath.Dir(stat))] = process{
			parent: f[1], args: strings.Split(string(args), "\x00"),
			own: (ticks[0] + ticks[1]) / ticksASecond, endedChildren: (ticks[2] + ticks[3]) / ticksASecond,
		}
	}
	return out
}

// since is what has come to these.
func (t times) since(before times) times {
	out := times{}
	for role, spent := range t {
		if d := spent - before[role]; d > 0 {
			out[role] = d
		}
	}
	return out
}
