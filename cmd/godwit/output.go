package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/godwit-run/godwit/internal/text"
)

// jsonValue renders a message for scripts: all fields, under their protobuf names, numbers as numbers, times as RFC 3339.
func jsonValue(m protoreflect.Message) any {
	if ts, ok := m.Interface().(*timestamppb.Timestamp); ok {
		return ts.AsTime().Format(time.RFC3339Nano)
	}
	out := orderedObject{}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() != nil && !m.Has(f) {
			continue
		}
		out = append(out, member{string(f.Name()), fieldValue(m, f)})
	}
	return out
}

func fieldValue(m protoreflect.Message, f protoreflect.FieldDescriptor) any {
	v := m.Get(f)
	switch {
	case f.IsMap():
		obj := map[string]any{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			obj[k.String()] = scalar(f.MapValue(), v)
			return true
		})
		return obj
	case f.IsList():
		list := make([]any, 0, v.List().Len())
		for i := range v.List().Len() {
			list = append(list, scalar(f, v.List().Get(i)))
		}
		return list
	case f.Message() != nil && !m.Has(f):
		return nil
	default:
		return scalar(f, v)
	}
}

func scalar(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	if f.Message() != nil {
		return jsonValue(v.Message())
	}
	return v.Interface()
}

// member and orderedObject keep a message's fields in its order.
type member struct {
	name  string
	value any
}

type orderedObject []member

// MarshalJSON implements json.Marshaler.
func (o orderedObject) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		v, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", m.name, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// printJSON writes a value, indented.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonList renders messages as a list; none is an empty list.
func jsonList[M proto.Message](ms []M) []any {
	out := make([]any, 0, len(ms))
	for _, m := range ms {
		out = append(out, jsonValue(m.ProtoReflect()))
	}
	return out
}

// printList writes messages as the flags ask for.
func printList[M proto.Message](o *options, ms []M, header string, row func(M) []string) error {
	if o.output == "json" {
		return printJSON(os.Stdout, jsonList(ms))
	}
	return printTable(header, ms, row)
}

// printTable writes values one a line, below the header's words.
func printTable[M any](header string, ms []M, row func(M) []string) error {
	return writeTable(os.Stdout, header, ms, row)
}

func writeTable[M any](out io.Writer, header string, ms []M, row func(M) []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(header, " ", "\t"))
	for _, m := range ms {
		cells := row(m)
		for i, cell := range cells {
			first, _, more := strings.Cut(cell, "\n") // the rest is for show
			if cells[i] = text.Line(first, maxShown); more {
				cells[i] += " ..."
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// maxShown bounds what is printed at a time of what a server says.
const maxShown = 1 << 20

// byHost shows a placement as host:ranks, in order of the hosts' names.
func byHost(placement []string) string {
	if len(placement) == 0 {
		return "-"
	}
	n := map[string]int{}
	for _, h := range placement {
		n[h]++
	}
	var parts []string
	for h, k := range n {
		parts = append(parts, fmt.Sprintf("%s:%d", h, k))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func ago(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return time.Since(t.AsTime()).Round(time.Second).String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
