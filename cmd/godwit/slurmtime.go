package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/godwit-run/godwit/fsm"
)

// parseSlurmTime reads a time limit as Slurm has it: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or
// days-hours:minutes:seconds. None at all is 0.
func parseSlurmTime(flag, v string) (time.Duration, error) {
	bad := usagef("%s %s: give minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or days-hours:minutes:seconds, up to a year; or UNLIMITED", flag, v)
	switch strings.ToUpper(v) {
	case "INFINITE", "UNLIMITED":
		return 0, nil
	}
	units := []time.Duration{time.Minute, time.Second}
	days, rest, withDays := strings.Cut(v, "-")
	fields := strings.Split(rest, ":")
	if withDays {
		units = []time.Duration{time.Hour, time.Minute, time.Second}
		fields = append([]string{days}, fields...)
		units = append([]time.Duration{24 * time.Hour}, units...)
	} else {
		fields = strings.Split(v, ":")
		if len(fields) == 3 {
			units = []time.Duration{time.Hour, time.Minute, time.Second}
		}
	}
	if len(fields) > len(units) {
		return 0, bad
	}
	const longest = fsm.MaxTimeLimitMs * time.Millisecond
	sum := time.Duration(0)
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil || time.Duration(n) > longest/units[i] {
			return 0, bad
		}
		sum += time.Duration(n) * units[i]
	}
	if sum > longest {
		return 0, bad
	}
	return sum, nil
}

// slurmElapsed shows a time as squeue does: minutes:seconds, hours:minutes:seconds or days-hours:minutes:seconds.
func slurmElapsed(d time.Duration) string {
	s := int64(max(0, d) / time.Second)
	days, hours, minutes, seconds := s/86400, s/3600%24, s/60%60, s%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d-%02d:%02d:%02d", days, hours, minutes, seconds)
	case hours > 0:
		return fmt.Sprintf("%d:%02d:%02d", hours, minutes, seconds)
	default:
		return fmt.Sprintf("%d:%02d", minutes, seconds)
	}
}
