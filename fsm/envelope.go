package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

var (
	// ErrTooLarge is returned when an encoded entry would exceed MaxEntryBytes.
	ErrTooLarge = errors.New("entry too large")
	// ErrCorrupt is returned when bytes are not what was once written.
	ErrCorrupt = errors.New("corrupt")
	// ErrVersion is returned when bytes were written by a newer Godwit, and hold
	// what this one does not know: to pass it over would part the replicas.
	ErrVersion = errors.New("unknown format version")
	// ErrUnknownCommand is returned when a command holds no operation.
	ErrUnknownCommand = errors.New("unknown command")
)

// An envelope is a version byte, the CRC32C of the payload (big endian), the payload.
const (
	envelopeVersion = 1
	envelopeHeader  = 5
)

// castagnoli has the polynomial that processors compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // an immutable lookup table

// Encode makes the bytes of a log entry. It fails with ErrTooLarge when the
// entry must be split, and refuses commands without an operation, and what this
// build would not apply: fields that it does not know, as a client or a worker of
// a newer one sends.
func Encode(entry *apiv1.Entry) ([]byte, error) {
	for i, cmd := range entry.GetCommands() {
		if cmd.GetOp() == nil {
			return nil, fmt.Errorf("encode command %d: %w", i, ErrUnknownCommand)
		}
		if in := UnknownField(cmd); in != "" {
			return nil, fmt.Errorf("encode command %d: unknown field in %s: %w", i, in, ErrVersion)
		}
	}
	data, err := seal(entry)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	if len(data) > MaxEntryBytes {
		return nil, fmt.Errorf("encode entry of %d commands, %d bytes: %w", len(entry.GetCommands()), len(data), ErrTooLarge)
	}
	return data, nil
}

func seal(msg proto.Message) ([]byte, error) {
	opts := proto.MarshalOptions{Deterministic: true}
	data, err := opts.MarshalAppend(make([]byte, envelopeHeader, envelopeHeader+opts.Size(msg)), msg)
	if err != nil {
		return nil, fmt.Errorf("marshal: %w", err)
	}
	data[0] = envelopeVersion
	binary.BigEndian.PutUint32(data[1:], crc32.Checksum(data[envelopeHeader:], castagnoli))
	return data, nil
}

func open(data []byte, msg proto.Message) error {
	if len(data) < envelopeHeader {
		return fmt.Errorf("%d bytes, fewer than a header: %w", len(data), ErrCorrupt)
	}
	if data[0] != envelopeVersion {
		return fmt.Errorf("version %d, this godwit knows %d: %w", data[0], envelopeVersion, ErrVersion)
	}
	payload := data[envelopeHeader:]
	if want, got := binary.BigEndian.Uint32(data[1:]), crc32.Checksum(payload, castagnoli); want != got {
		return fmt.Errorf("crc32c %08x, want %08x: %w", got, want, ErrCorrupt)
	}
	return unmarshal(payload, msg)
}

func unmarshal(payload []byte, msg proto.Message) error {
	if err := proto.Unmarshal(payload, msg); err != nil {
		return fmt.Errorf("unmarshal: %w: %w", err, ErrCorrupt)
	}
	if path := UnknownField(msg); path != "" {
		return fmt.Errorf("unknown field in %s: %w", path, ErrVersion)
	}
	return nil
}

func decode(data []byte) (*apiv1.Entry, error) {
	entry := new(apiv1.Entry)
	if err := open(data, entry); err != nil {
		return nil, fmt.Errorf("decode entry: %w", err)
	}
	return entry, nil
}

// UnknownField names a message within msg that carries fields this build does not
// know, or "".
func UnknownField(msg proto.Message) string { return unknownField(msg.ProtoReflect()) }

func unknownField(m protoreflect.Message) string {
	if len(m.GetUnknown()) > 0 {
		return string(m.Descriptor().Name())
	}
	found := ""
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() == nil || fd.IsMap(): // maps hold strings only
		case fd.IsList():
			for i := 0; i < v.List().Len() && found == ""; i++ {
				found = unknownField(v.List().Get(i).Message())
			}
		default:
			found = unknownField(v.Message())
		}
		return found == ""
	})
	return found
}

// Decode reads the bytes that Encode made, for tools that show a log.
func Decode(data []byte) (*apiv1.Entry, error) { return decode(data) }
