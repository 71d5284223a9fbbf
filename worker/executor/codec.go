package executor

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// batch is one gRPC message between executors: whole frames, each after its length. It passes buffers as they are.
type batch struct {
	out mem.BufferSlice // to send; gRPC frees it
	in  mem.BufferSlice // received; freed by the receiver
}

// frameCodec puts batches on the wire without encoding them.
type frameCodec struct{}

var _ encoding.CodecV2 = frameCodec{}

// Name is the codec's name on the wire.
func (frameCodec) Name() string { return "godwit-frames" }

// Marshal passes the batch's bytes on.
func (frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*batch)
	if !ok {
		return nil, fmt.Errorf("executor: cannot send a %T between executors", v)
	}
	return b.out, nil
}

// Unmarshal keeps a reference to the received buffers.
func (frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*batch)
	if !ok {
		return fmt.Errorf("executor: cannot receive a %T between executors", v)
	}
	data.Ref()
	b.in = data
	return nil
}
