package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/godwit-run/godwit/fsm"
)

// passVariable names variables that every mpirun passes to its programs: tests of a build system have no other way to say so.
const passVariable = "GODWIT_PASS"

// variableName is what shells take for a variable's name; an exported function of bash has another.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ofThisMachine are variables that mean nothing where a rank is: they name directories and files of this machine, or are the shell's or Godwit's own. They are not
// passed with all others; who names one gets it.
func ofThisMachine(name string) bool {
	switch name {
	case "PATH", "HOME", "PWD", "OLDPWD", "SHELL", "SHLVL", "_", "HOSTNAME", "TMPDIR", "TMP", "TEMP", "MAIL":
		return true
	}
	for _, prefix := range []string{"GODWIT_", "LD_", "XDG_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// wholeEnvironment is what -genvall and -envall pass of an environment.
func wholeEnvironment(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return !variableName.MatchString(key) || ofThisMachine(key)
	})
}

// passedVariables are those that GODWIT_PASS names, as far as they are set.
func passedVariables() ([]string, error) {
	var env []string
	for _, key := range strings.Split(os.Getenv(passVariable), ",") {
		key = strings.TrimSpace(key)
		if key == "" {
			continue
		}
		if !variableName.MatchString(key) {
			return nil, usagef("%s: %q is no name of a variable; give names with commas between", passVariable, key)
		}
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	return env, nil
}

// envOf is the environment of a part: what is passed without a word of its own, what is for all, then the part's. Of a variable that is there twice the last counts.
func (l *launch) envOf(p *part) ([]string, error) {
	env, err := passedVariables()
	if err != nil {
		return nil, err
	}
	if p.envAll || l.envAll && !p.envNone {
		env = append(env, wholeEnvironment(os.Environ())...)
	}
	return environment(append(append(env, l.env...), p.env...))
}

// checkEnvironment checks what all parts get, before a cluster is looked for.
func (l *launch) checkEnvironment() error {
	bytes := 0
	for _, p := range l.parts {
		env, err := l.envOf(p)
		if err != nil {
			return err
		}
		for _, kv := range env {
			bytes += len(kv) + 1
		}
	}
	if bytes > fsm.MaxEnvBytes {
		return usagef("the variables that are passed have %d bytes, of all programs together; %d are possible: name those that are needed (-genvlist A,B in place of -genvall)",
			bytes, fsm.MaxEnvBytes)
	}
	return nil
}
