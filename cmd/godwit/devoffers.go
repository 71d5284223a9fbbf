package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/worker"
)

// checkOffers checks what the workers of a dev cluster are to offer, and finds out what nobody has said: they share one machine, so each has its part of its memory.
func (f *devFlags) checkOffers() error {
	if f.port < 0 || f.port > 65535 {
		return usagef("dev: --port %d: give 1 to 65535", f.port)
	}
	if n := len(f.speeds); n > 1 && n != f.workers {
		return usagef("dev: --speed %s: give one number, or one for each of the %d workers", strings.Join(f.speeds, ","), f.workers)
	}
	for _, text := range f.speeds {
		if x, err := strconv.ParseFloat(text, 64); err != nil || !(x >= fsm.MinSpeed && x <= fsm.MaxSpeed) {
			return usagef("dev: --speed %s: give numbers from %v to %v", text, fsm.MinSpeed, fsm.MaxSpeed)
		}
	}
	if f.memory != "" {
		_, err := parseMemory("--memory", f.memory, fsm.MaxHostMemory)
		return err
	}
	return nil
}

// offers are the flags of a worker, w1 being the first, by which it offers what it has beside slots.
func (f *devFlags) offers(name string) (args []string) {
	memory := f.memory
	if all, err := worker.DefaultMemory(); memory == "" && f.workers > 1 && err == nil {
		memory = fmt.Sprintf("%dM", max(1, all/int64(f.workers)>>20))
	}
	if memory != "" {
		args = append(args, "--memory", memory)
	}
	if len(f.speeds) == 0 {
		return args
	}
	i, _ := strconv.Atoi(strings.TrimPrefix(name, "w"))
	return append(args, "--speed", f.speeds[min(i, len(f.speeds))-1])
}
