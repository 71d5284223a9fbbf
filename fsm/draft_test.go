package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestDraftsAreWhole: a draft has every field of what it was made of, those too
// that somebody adds one day.
func TestDraftsAreWhole(t *testing.T) {
	for _, tt := range []struct {
		full  proto.Message
		draft func(proto.Message) proto.Message
	}{
		{new(apiv1.Host), func(m proto.Message) proto.Message {
			draft := draftHost(m.(*apiv1.Host))
			require.Empty(t, draft.GetLeaving(), "it is not of the state")
			require.False(t, draft.GetInUse(), "it is not of the state")
			draft.Leaving, draft.InUse = m.(*apiv1.Host).GetLeaving(), m.(*apiv1.Host).GetInUse()
			return draft
		}},
		{new(apiv1.App), func(m proto.Message) proto.Message { return draftApp(m.(*apiv1.App)) }},
		{new(apiv1.Migration), func(m proto.Message) proto.Message { return draftMigration(m.(*apiv1.Migration)) }},
		{new(apiv1.Move), func(m proto.Message) proto.Message { return draftMove(m.(*apiv1.Move)) }},
		{new(apiv1.CheckpointPart), func(m proto.Message) proto.Message { return draftPart(m.(*apiv1.CheckpointPart)) }},
		{new(apiv1.Checkpoint), func(m proto.Message) proto.Message {
			draft := draftCheckpoint(m.(*apiv1.Checkpoint))
			require.Empty(t, draft.GetProgress(), "it is not of the state")
			draft.Progress = m.(*apiv1.Checkpoint).GetProgress()
			return draft
		}},
		{new(apiv1.Module), func(m proto.Message) proto.Message { return draftModule(m.(*apiv1.Module)) }},
	} {
		fill(tt.full.ProtoReflect())
		require.True(t, proto.Equal(tt.full, tt.draft(tt.full)), "%T", tt.full)
	}
	old := &apiv1.App{Ended: []byte{1}, Ends: []*apiv1.RankEnds{{Count: 1}}}
	draft := draftApp(old)
	draft.Ended[0], draft.Ends[0] = 2, nil
	require.Equal(t, []byte{1}, old.GetEnded())
	require.NotNil(t, old.GetEnds()[0])
}

// fill sets every field of m to something.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case fd.IsMap():
			m.Mutable(fd).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfString("v"))
		case fd.IsList() && fd.Message() != nil:
			m.Mutable(fd).List().AppendMutable()
		case fd.IsList():
			m.Mutable(fd).List().Append(something(fd))
		case fd.Message() != nil:
			m.Mutable(fd)
		default:
			m.Set(fd, something(fd))
		}
	}
}

func something(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(3)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(3)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(3)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(3)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(3)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{3})
	default:
		return protoreflect.ValueOfString("3")
	}
}
