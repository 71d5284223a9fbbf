package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The Standard Workload Format: a job a line, in 18 numbers, of which -1 is not known; lines that begin with ; are about all
// of it, as "; MaxNodes: 128".

// Fields of a line, from 0, as the format numbers them from 1.
const (
	swfSubmit    = 1
	swfRunTime   = 3
	swfAllocated = 4 // processors
	swfRequested = 7 // processors
	swfFields    = 18
)

// swfName is what the format calls a field.
func swfName(i int) string {
	return [swfFields]string{
		"job number", "submit time", "wait time", "run time", "allocated processors", "average CPU time", "used memory", "requested processors",
		"requested time", "requested memory", "status", "user", "group", "executable", "queue", "partition", "preceding job", "think time",
	}[i]
}

const maxLineBytes = 64 << 10

// readSWF reads a log: jobs of the size and time that they had there, submitted when they were. The time is taken as that of
// the best placement on the cluster.
func readSWF(data []byte, shape Shape) (*Trace, error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxLineBytes)
	header := map[string]int{}
	trace, n := &Trace{}, 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if comment, ok := strings.CutPrefix(line, ";"); ok {
			if err := swfHeader(header, comment); err != nil {
				return nil, &inputError{line: n, err: err}
			}
			continue
		}
		if line == "" {
			continue
		}
		fields, err := swfLine(line, n)
		if err != nil {
			return nil, err
		}
		if len(trace.Jobs) == maxJobs {
			return nil, &inputError{line: n, err: fmt.Errorf("more than %d jobs", maxJobs)}
		}
		ranks := fields[swfAllocated]
		if ranks <= 0 {
			ranks = fields[swfRequested]
		}
		if ranks <= 0 || fields[swfRunTime] <= 0 || fields[swfSubmit] < 0 {
			trace.Unusable++
			continue
		}
		trace.Jobs = append(trace.Jobs, Job{Submit: secondsToTime(fields[swfSubmit]), Ranks: int(ranks), Alone: fields[swfRunTime]})
	}
	if err := lines.Err(); err != nil {
		return nil, &inputError{line: n + 1, err: err}
	}
	if err := trace.shapeLog(header, shape); err != nil {
		return nil, &inputError{line: n, err: err}
	}
	return trace, nil
}

// swfHeader notes a number that the header says.
func swfHeader(header map[string]int, comment string) error {
	name, value, ok := strings.Cut(comment, ":")
	name = strings.TrimSpace(name)
	if !ok || name != "MaxNodes" && name != "MaxProcs" {
		return nil
	}
	words := strings.Fields(value)
	if len(words) == 0 {
		return nil
	}
	v, err := strconv.Atoi(words[0]) // some say more behind it
	if err != nil || v < 1 {
		return fmt.Errorf("%s: %q is no whole number from 1 on", name, strings.TrimSpace(value))
	}
	header[name] = v
	return nil
}

func swfLine(line string, n int) (fields [swfFields]float64, err error) {
	words := strings.Fields(line)
	if len(words) != swfFields {
		return fields, &inputError{line: n, err: fmt.Errorf("%d fields; a job has %d", len(words), swfFields)}
	}
	for i, word := range words {
		v, err := strconv.ParseFloat(word, 64)
		whole := i == swfAllocated || i == swfRequested
		switch {
		case err != nil:
			err = fmt.Errorf("%.80q is no number", word)
		case !(v >= -1) || v > maxSeconds && i <= swfRequested:
			err = fmt.Errorf("%s; -1 to %d are possible", word, int64(maxSeconds))
		case whole && v != float64(int64(v)):
			err = fmt.Errorf("%s is no whole number", word)
		}
		if err != nil {
			return fields, &inputError{n, fmt.Sprintf("field %d (%s)", i+1, swfName(i)), err}
		}
		fields[i] = v
	}
	return fields, nil
}

// shapeLog gives a log its cluster, and leaves out the jobs that are larger than that.
func (t *Trace) shapeLog(header map[string]int, shape Shape) error {
	nodes, procs := header["MaxNodes"], header["MaxProcs"]
	t.Hosts, t.Slots = cmp.Or(shape.Hosts, nodes), shape.Slots
	if t.Hosts == 0 {
		return errors.New("the log has no MaxNodes: give --hosts, and --slots of each")
	}
	if t.Slots == 0 {
		t.Slots = max(1, procs/t.Hosts)
		if procs == 0 && shape.Hosts > 0 {
			return errors.New("the log has no MaxProcs: give --slots of each host")
		}
	}
	t.Jobs = slices.DeleteFunc(t.Jobs, func(j Job) bool {
		if !t.fits(j.Ranks) {
			t.TooLarge++
			return true
		}
		return false
	})
	if err := t.check(); err != nil {
		return err
	}
	slices.SortStableFunc(t.Jobs, func(a, b Job) int { return cmp.Compare(a.Submit, b.Submit) })
	first := t.Jobs[0].Submit
	for i := range t.Jobs {
		j := &t.Jobs[i]
		j.Submit -= first
		t.tightest(j, j.Alone, shape.penalty())
	}
	return nil
}

// tightest has a job take so many seconds on hosts that are empty.
func (t *Trace) tightest(j *Job, seconds, penalty float64) {
	j.Penalty, j.Alone = penalty, seconds
	j.Alone = seconds / j.factor(leastLinks(j.Ranks, t.Slots))
}
