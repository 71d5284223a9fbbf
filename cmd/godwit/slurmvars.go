package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"

	"github.com/godwit-run/godwit/fsm"
)

// memberPlace is which app of an array is meant.
type memberPlace struct {
	*array

	id    string // of the array
	index int32
}

// variables are those of a script. They are an expand.WriteEnviron.
type variables struct {
	script  string
	args    []string
	values  map[string]expand.Variable
	changed []string // names that the script has given values or exported, in this order
}

// newVariables are what a script of the job begins with: this shell's, and those of Slurm. passed go to the program.
func newVariables(s *batchScript, j *slurmJob, m *memberPlace, passed []string) *variables {
	v := &variables{script: s.name, args: s.args, values: map[string]expand.Variable{}}
	set := func(kv string, exported bool) {
		key, value, _ := strings.Cut(kv, "=")
		v.values[key] = expand.Variable{Set: true, Kind: expand.String, Str: value, Exported: exported}
	}
	for _, kv := range os.Environ() {
		if !ofOuterJob(kv) {
			set(kv, false)
		}
	}
	for _, kv := range passed {
		set(kv, true)
	}
	for _, kv := range j.slurmVariables(m) {
		set(kv, false)
	}
	if here, err := os.Getwd(); err == nil {
		set("SLURM_SUBMIT_DIR="+here, false)
		set("PWD="+here, false)
	}
	return v
}

// slurmVariables are those by which a program, or its script, finds out about its job.
func (j *slurmJob) slurmVariables(m *memberPlace) []string {
	ranks := strconv.Itoa(j.size())
	env := []string{"SLURM_JOB_NAME=" + j.name, "SLURM_NTASKS=" + ranks, "SLURM_NPROCS=" + ranks}
	for _, given := range []struct {
		names string
		n     int
	}{
		{"SLURM_NNODES SLURM_JOB_NUM_NODES", j.nodes}, {"SLURM_NTASKS_PER_NODE", j.perNode}, {"SLURM_CPUS_PER_TASK", j.perTask},
	} {
		for _, name := range strings.Fields(given.names) {
			if given.n > 0 {
				env = append(env, fmt.Sprintf("%s=%d", name, given.n))
			}
		}
	}
	if m != nil {
		env = append(env, "SLURM_ARRAY_JOB_ID="+m.id, fmt.Sprintf("SLURM_ARRAY_TASK_ID=%d", m.index), fmt.Sprintf("SLURM_ARRAY_TASK_COUNT=%d", len(m.indexes)),
			fmt.Sprintf("SLURM_ARRAY_TASK_MIN=%d", m.indexes[0]), fmt.Sprintf("SLURM_ARRAY_TASK_MAX=%d", m.indexes[len(m.indexes)-1]))
	}
	return env
}

// Get implements expand.Environ.
func (v *variables) Get(name string) expand.Variable {
	text := func(s string) expand.Variable { return expand.Variable{Set: true, Kind: expand.String, Str: s} }
	switch name {
	case "@", "*":
		return expand.Variable{Set: true, Kind: expand.Indexed, List: v.args}
	case "#":
		return text(strconv.Itoa(len(v.args)))
	case "0":
		return text(v.script)
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > len(v.args) {
			return expand.Variable{}
		}
		return text(v.args[n-1])
	}
	return v.values[name]
}

// Each implements expand.Environ.
func (v *variables) Each(f func(name string, vr expand.Variable) bool) {
	for name, value := range v.values {
		if !f(name, value) {
			return
		}
	}
}

// maxValue bounds a variable of a script: what a program is given is bounded, too.
const maxValue = fsm.MaxArgsBytes

// Set implements expand.WriteEnviron. A variable that is exported stays so.
func (v *variables) Set(name string, value expand.Variable) error {
	if len(value.Str) > maxValue {
		return fmt.Errorf("$%s has %d bytes; at most %d are possible", name, len(value.Str), maxValue)
	}
	value.Exported = value.Exported || v.values[name].Exported
	v.values[name] = value
	if !slices.Contains(v.changed, name) {
		v.changed = append(v.changed, name)
	}
	return nil
}

// exported are the variables of the script's own making that go to the program.
func (v *variables) exported() []string {
	var env []string
	for _, name := range v.changed {
		if value := v.values[name]; value.Exported && value.Set {
			env = append(env, name+"="+value.String())
		}
	}
	return env
}

// sameDir says whether a path leads to the current directory.
func sameDir(dir string) bool {
	here, err := os.Getwd()
	if err != nil {
		return false
	}
	there, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	if here, err = filepath.EvalSymlinks(here); err != nil {
		return false
	}
	there, err = filepath.Abs(there)
	return err == nil && there == here
}
