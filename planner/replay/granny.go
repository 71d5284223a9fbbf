package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// inputError says what is wrong with a file, and where.
type inputError struct {
	line  int
	field string
	err   error
}

func (e *inputError) Error() string {
	at := fmt.Sprintf("line %d", e.line)
	if e.field != "" {
		at += ": " + e.field
	}
	return at + ": " + e.err.Error()
}

func (e *inputError) Unwrap() error { return e.err }

// tokens reads JSON piece by piece, and knows where it is.
type tokens struct {
	data []byte
	dec  *json.Decoder
	path []string
}

func (t *tokens) wrong(format string, args ...any) error {
	before := t.data[:min(int(t.dec.InputOffset()), len(t.data))]
	return &inputError{1 + bytes.Count(before, []byte("\n")), strings.Join(t.path, "."), fmt.Errorf(format, args...)}
}

func (t *tokens) next() (json.Token, error) {
	tok, err := t.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, t.wrong("not JSON: %w", err)
	}
	return tok, nil
}

func (t *tokens) delim(want json.Delim) error {
	tok, err := t.next()
	if err == nil && tok != want {
		err = t.wrong("%v is not the %v that is wanted here", tok, want)
	}
	return err
}

// object calls field for each member, which reads its value.
func (t *tokens) object(field func(name string) error) error {
	if err := t.delim('{'); err != nil {
		return err
	}
	for t.dec.More() {
		tok, err := t.next()
		if err != nil {
			return err
		}
		name, _ := tok.(string) // the decoder has no other keys
		t.path = append(t.path, name)
		if err := field(name); err != nil {
			return err
		}
		t.path = t.path[:len(t.path)-1]
	}
	return t.delim('}')
}

// number reads a whole number from 1 to most.
func (t *tokens) number(most int) (int, error) {
	tok, err := t.next()
	if err != nil {
		return 0, err
	}
	n, ok := tok.(float64)
	if !ok || n != float64(int(n)) || n < 1 || n > float64(most) {
		return 0, t.wrong("%v is no whole number from 1 to %d", tok, most)
	}
	return int(n), nil
}

// readGranny reads sizes of jobs that are submitted in a closed loop: {"about": "...", "traces": {NAME: {"vms": V, "vcpus_per_vm": S,
// "sizes": [N, ...]}}}. Nothing else may be in it.
func readGranny(data []byte, shape Shape) ([]*Trace, error) {
	t := &tokens{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	var traces []*Trace
	err := t.object(func(name string) error {
		switch name {
		case "about":
			_, err := t.next()
			return err
		case "traces":
			return t.object(func(name string) error {
				trace, err := t.trace(name, shape)
				traces = append(traces, trace)
				return err
			})
		}
		return t.wrong("no such field; about and traces are known")
	})
	if err == nil {
		if _, end := t.dec.Token(); !errors.Is(end, io.EOF) {
			err = t.wrong("there is more behind the end")
		}
	}
	if err == nil && len(traces) == 0 {
		err = t.wrong("traces: there are none")
	}
	return traces, err
}

func (t *tokens) trace(name string, shape Shape) (*Trace, error) {
	trace, sizes := &Trace{Name: name, Closed: true}, []int(nil)
	workload := shape.Workload
	if workload == "" {
		workload = Locality
		if strings.Contains(name, "spot") || strings.Contains(name, "compute") {
			workload = Compute
		}
	}
	err := t.object(func(name string) (err error) {
		switch name {
		case "vms":
			trace.Hosts, err = t.number(1 << 20)
		case "vcpus_per_vm":
			trace.Slots, err = t.number(1 << 20)
		case "sizes":
			sizes, err = t.sizes(workload)
		default:
			err = t.wrong("no such field; vms, vcpus_per_vm and sizes are known")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if shape.Hosts > 0 {
		trace.Hosts = shape.Hosts
	}
	if shape.Slots > 0 {
		trace.Slots = shape.Slots
	}
	for _, n := range sizes {
		if !trace.fits(n) {
			trace.TooLarge++
			continue
		}
		j, _ := workload.job(n)
		trace.Jobs = append(trace.Jobs, j)
	}
	if err := trace.check(); err != nil {
		return nil, t.wrong("%w", err)
	}
	return trace, nil
}

// sizes reads how many ranks each job has.
func (t *tokens) sizes(w Workload) (sizes []int, err error) {
	if err := t.delim('['); err != nil {
		return nil, err
	}
	name := t.path[len(t.path)-1]
	for t.dec.More() {
		t.path[len(t.path)-1] = fmt.Sprintf("%s[%d]", name, len(sizes))
		n, err := t.number(1 << 20)
		if err != nil {
			return nil, err
		}
		if _, ok := w.job(n); !ok {
			first, seconds := w.measured()
			return nil, t.wrong("%d ranks; of the workload %s the times of %d to %d are known", n, w, first, first+len(seconds)-1)
		}
		sizes = append(sizes, n)
	}
	t.path[len(t.path)-1] = name
	return sizes, t.delim(']')
}
