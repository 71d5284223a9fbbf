package planner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxScenarioBytes bounds a line of a plan file.
const maxScenarioBytes = 16 << 20

// maxBadLines bounds the lines that are no scenarios of which an error tells; of more it tells how many.
const maxBadLines = 100

// RunScenarios answers one JSON request a line of r with one JSON plan a line on
// w; blank lines are passed over. The error names each line that is not a valid
// request, as name:line; the other lines are answered.
func RunScenarios(name string, r io.Reader, w io.Writer) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxScenarioBytes)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var bad []error
	n, more := 0, 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		plan, err := runScenario(lines.Bytes())
		switch {
		case err == nil:
			err := enc.Encode(plan)
			if err != nil {
				return fmt.Errorf("write plan: %w", err)
			}
		case len(bad) == maxBadLines:
			more++
		default:
			bad = append(bad, fmt.Errorf("%s:%d: %w", name, n, err))
		}
	}
	if more > 0 {
		bad = append(bad, fmt.Errorf("%s: %d more lines are no scenarios", name, more))
	}
	if err := lines.Err(); err != nil {
		bad = append(bad, fmt.Errorf("%s:%d: %w", name, n+1, err))
	}
	if err := out.Flush(); err != nil {
		bad = append(bad, fmt.Errorf("write plan: %w", err))
	}
	return errors.Join(bad...)
}

func runScenario(line []byte) (Plan, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	var req Request
	if err := dec.Decode(&req); err != nil {
		return Plan{}, fmt.Errorf("not a scenario: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Plan{}, errors.New("not a scenario: more than one JSON value on the line")
	}
	return Decide(req)
}
