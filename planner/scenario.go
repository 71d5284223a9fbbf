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

// RunScenarios answers one JSON request a line of r with one JSON plan a line on
// w; blank lines are passed over. It stops at the first line that is not a valid
// request, with an error that names the line; the plans before it are written.
func RunScenarios(r io.Reader, w io.Writer) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxScenarioBytes)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		plan, err := runScenario(lines.Bytes())
		if err != nil {
			return errors.Join(fmt.Errorf("line %d: %w", n, err), out.Flush())
		}
		if err := enc.Encode(plan); err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Join(fmt.Errorf("line %d: %w", n+1, err), out.Flush())
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
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
