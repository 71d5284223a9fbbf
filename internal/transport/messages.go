package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
)

// headBytes is the length of what stands before each message of gRPC, and of a stream of Connect: a byte of flags, and the message's length.
const headBytes = 5

// message is the one of a body that is under way.
type message struct {
	framed bool
	most   int // bytes that it may have
	head   [headBytes]byte
	got    int // bytes that have come, with its head
	left   int // of those behind its head, once that has come
}

func (b *body) message(most int) message { return message{framed: b.framed, most: most} }

// next is the message that follows.
func (m *message) next() message { return message{framed: m.framed, most: MaxMessageBytes} }

// whole says whether all of it has come, if that can be known before the body ends.
func (m *message) whole() bool { return m.framed && m.got >= headBytes && m.left == 0 }

// add adds what has come, and returns how much of it belongs to this message.
func (m *message) add(p []byte) (int, error) {
	n := len(p)
	if m.framed {
		n = 0
		if m.got < headBytes {
			if n = copy(m.head[m.got:], p); m.got+n == headBytes {
				m.left = int(binary.BigEndian.Uint32(m.head[1:]))
			}
		}
		behind := min(len(p)-n, m.left)
		m.left -= behind
		n += behind
	}
	m.got += n
	if size := m.got + m.left; size > m.most+headBytes {
		return n, apierr.New(connect.CodeResourceExhausted, apierr.ReasonInvalid, "",
			fmt.Sprintf("a message of %d bytes or more where at most %d are taken", size-headBytes, m.most), "send less at a time")
	}
	return n, nil
}

// singleMessage is a body that is to have one message. Work on it begins when the body has ended: until then its last byte is kept, so that
// its reader does not take it for whole.
type singleMessage struct {
	*body
	message

	kept  byte // the last one that has come
	keeps bool
	begun bool // the body has ended, and work on it has its turn
}

func (m *singleMessage) read(p []byte) (int, error) {
	for !m.begun && m.end == nil {
		n, err := m.receive(p)
		if why := m.note(p[:n]); why != nil {
			return 0, why
		}
		if errors.Is(err, io.EOF) {
			m.begun = true
			if err = m.waitTurn(); err == nil {
				err = m.half.arrived()
			}
		}
		if err != nil {
			return 0, err
		}
		if n = m.keepLast(p[:n]); n > 0 {
			return n, nil
		}
	}
	switch {
	case m.end != nil:
		return 0, m.end
	case m.keeps:
		m.keeps = false
		return copy(p, []byte{m.kept}), nil
	}
	return 0, io.EOF
}

// note counts what has come, all of it until the body ends.
func (m *singleMessage) note(p []byte) error {
	n, err := m.add(p)
	if err != nil {
		return err
	}
	if n < len(p) {
		return apierr.New(connect.CodeUnimplemented, apierr.ReasonInvalid, "", "multiple messages in a request that is to have one", "send one")
	}
	return m.half.has(halfGrowth*int64(m.got), n)
}

// keepLast puts the byte that was kept in front of those in p and keeps the last one, and returns how many are in p then.
func (m *singleMessage) keepLast(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	last, before := p[len(p)-1], m.kept
	m.kept = last
	if !m.keeps {
		m.keeps = true
		return len(p) - 1
	}
	copy(p[1:], p)
	p[0] = before
	return len(p)
}

// messageStream is a body of any number of messages, which are handed over as they come. The first one is counted until work on it has its
// turn, which ends when more is asked for; each later one until it is whole.
type messageStream struct {
	*body
	message
	stage stage
}

// stage is how far a stream is with its turn.
type stage int

const (
	firstComes stage = iota // the first message is not whole
	hasTurn                 // it is worked on
	noTurn                  // there is no turn any more, or never was to be one
)

func (m *messageStream) read(p []byte) (int, error) {
	if m.stage == hasTurn {
		m.stage = noTurn
		m.leave()
	}
	if m.end != nil {
		return 0, m.end
	}
	n, err := m.receive(p)
	if why := m.note(p[:n]); why != nil {
		return 0, why
	}
	return n, err
}

// note counts what has come. If the first message is whole with it, it waits for its turn.
func (m *messageStream) note(p []byte) error {
	came, whole := 0, 0 // bytes of messages that are whole now
	for came < len(p) {
		n, err := m.add(p[came:])
		if err != nil {
			return err
		}
		came += n
		if m.whole() {
			whole += m.got
			m.message = m.next()
		}
	}
	if whole > 0 && m.stage == firstComes {
		m.stage = hasTurn
		if why := m.half.has(halfGrowth*int64(whole+m.got), came); why != nil {
			return why
		}
		if why := m.waitTurn(); why != nil {
			return why
		}
	}
	if whole > 0 {
		if why := m.half.arrived(); why != nil {
			return why
		}
	}
	if m.got > 0 {
		return m.half.has(halfGrowth*int64(m.got), came)
	}
	return nil
}
