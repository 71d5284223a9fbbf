package replay

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
)

// maxTraceBytes bounds a trace, unpacked.
const maxTraceBytes = 1 << 30

// Formats of traces. The empty one is guessed.
const (
	FormatGranny = "granny"
	FormatSWF    = "swf"
)

// Read reads the traces of a file, packed by gzip or not. An error says in which line and field the file is wrong.
func Read(r io.Reader, format string, shape Shape) ([]*Trace, error) {
	data, err := unpacked(r)
	if err != nil {
		return nil, err
	}
	if format == "" {
		format = FormatSWF
		if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
			format = FormatGranny
		}
	}
	switch format {
	case FormatGranny:
		return readGranny(data, shape)
	case FormatSWF:
		trace, err := readSWF(data, shape)
		return []*Trace{trace}, err
	}
	return nil, fmt.Errorf("format %q is not one of %s, %s", format, FormatGranny, FormatSWF)
}

func unpacked(r io.Reader) ([]byte, error) {
	data, err := readAtMost(r)
	if err != nil || !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not what gzip has packed: %w", err)
	}
	if data, err = readAtMost(z); err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return data, nil
}

func readAtMost(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxTraceBytes+1))
	if err == nil && len(data) > maxTraceBytes {
		err = fmt.Errorf("more than %d bytes", maxTraceBytes)
	}
	return data, err
}
