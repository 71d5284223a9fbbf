package wasm

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/godwit-run/godwit/internal/files"
)

// maxTransfer bounds what one call moves as one when it has many parts: as much as a file of another host takes so.
const maxTransfer = files.MaxWhole

// buffers are the parts of memory that an array of iovecs at arguments i and i+1 names.
func (c wasiCall) buffers(i int) ([][]byte, errno) {
	n := c.u(i + 1)
	if n > 1024 { // IOV_MAX
		return nil, errnoInvalid
	}
	vec, ok := c.memory.read(c.u(i), n*iovecBytes)
	if !ok {
		return nil, errnoFault
	}
	parts := make([][]byte, 0, n)
	total := uint64(0)
	for ; len(vec) > 0; vec = vec[iovecBytes:] {
		size := binary.LittleEndian.Uint32(vec[4:])
		part, ok := c.memory.read(binary.LittleEndian.Uint32(vec), size)
		if !ok {
			return nil, errnoFault
		}
		if total += uint64(size); total > math.MaxInt32 {
			return nil, errnoInvalid
		}
		if size > 0 {
			parts = append(parts, part)
		}
	}
	return parts, errnoSuccess
}

// joined is what parts hold, as one, if that is not too much.
func joined(parts [][]byte) [][]byte {
	size := total(parts)
	if len(parts) < 2 || size > maxTransfer {
		return parts
	}
	one := make([]byte, 0, size)
	for _, p := range parts {
		one = append(one, p...)
	}
	return [][]byte{one}
}

// regular is a descriptor of a file that data moves to or from.
func (c wasiCall) regular(write bool) (*descriptor, errno) {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return nil, why
	case d.kind == files.Directory && !write:
		return nil, errnoIsDir
	case write && !d.write, !write && !d.read:
		return nil, errnoBadf
	}
	return d, errnoSuccess
}

// readAt fills parts from a place of a file, and returns how much of them.
func (c wasiCall) readAt(d *descriptor, parts [][]byte, at int64) (n int, why errno) {
	var err error
	if c.guest.readsAhead(d, at) {
		n, err = c.readFar(d, parts, at)
	} else {
		c.guest.meets()
		err = c.blocking(func() (err error) { n, err = fill(parts, at, d.file.ReadAt); return err })
	}
	if errors.Is(err, io.EOF) || n > 0 {
		err = nil
	}
	return n, errnoOf(err)
}

// fill reads one part after the other.
func fill(parts [][]byte, at int64, read func(p []byte, at int64) (int, error)) (n int, err error) {
	for _, p := range parts {
		got, err := read(p, at+int64(n))
		n += got
		if err != nil || got < len(p) {
			return n, err
		}
	}
	return n, nil
}

// writeAt writes parts to a place of a file, and returns how much of them.
func (c wasiCall) writeAt(d *descriptor, parts [][]byte, at int64) (n int, why errno) {
	if n, ok := c.ahead(d, parts, at); ok {
		return n, errnoSuccess
	}
	err := c.blocking(func() error {
		for _, p := range joined(parts) {
			done, err := d.file.WriteAt(p, at+int64(n))
			n += done
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, c.written(d, n, err)
}

// written is what a write of n bytes to d that was waited for tells the program.
func (c wasiCall) written(d *descriptor, n int, err error) errno {
	if d.distant != nil && err == nil {
		c.guest.files.behind.knowsRoom(d.mount) // where the host has said that there is room, the next ones may go ahead
	}
	if n > 0 {
		return errnoSuccess // the next write says what is wrong
	}
	return errnoOf(err)
}

func fdRead(c wasiCall) errno {
	d, why := c.regular(false)
	if why != errnoSuccess {
		return why
	}
	parts, why := c.buffers(1)
	if why != errnoSuccess {
		return why
	}
	n := 0
	if d.stream != 0 {
		c.guest.meets()
		if len(parts) > 0 { // a stream gives what it has: to wait for more is the program's business
			var err error
			if n, err = c.readStream(parts[0]); err != nil {
				return errnoOf(err)
			}
		}
		return c.put32(3, uint32(n))
	}
	at := c.place(d)
	if n, why = c.readAt(d, parts, at); why != errnoSuccess {
		return why
	}
	d.at = at + int64(n)
	return c.put32(3, uint32(n))
}

func fdWrite(c wasiCall) errno {
	c.guest.files.dropAhead(nil)
	d, why := c.regular(true)
	if why != errnoSuccess {
		return why
	}
	parts, why := c.buffers(1)
	if why != errnoSuccess {
		return why
	}
	n := 0
	switch {
	case d.stream != 0:
		c.guest.files.behind.knowsNoRoom()
		for _, p := range parts {
			done, err := c.writeStream(d, p)
			n += done
			if err != nil {
				return errnoOf(err)
			}
		}
	case d.flags&flagAppend != 0:
		if n, why = c.appendTo(d, parts); why != errnoSuccess {
			return why
		}
	default:
		at := c.place(d)
		if n, why = c.writeAt(d, parts, at); why != errnoSuccess {
			return why
		}
		d.at = at + int64(n)
	}
	return c.put32(3, uint32(n))
}

// appendTo writes parts at the end of a file.
func (c wasiCall) appendTo(d *descriptor, parts [][]byte) (n int, why errno) {
	if n, ok := c.ahead(d, parts, atEnd); ok {
		return n, errnoSuccess
	}
	err := c.blocking(func() error {
		for _, p := range joined(parts) {
			done, end, err := d.file.Append(p)
			if done > 0 {
				n, d.at, d.trails = n+done, end, false
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, c.written(d, n, err)
}

// placed is a descriptor of something that has places.
func (c wasiCall) placed(write bool) (*descriptor, errno) {
	d, why := c.regular(write)
	if why == errnoSuccess && d.stream != 0 {
		return nil, errnoNoSeek
	}
	return d, why
}

func fdPread(c wasiCall) errno {
	d, why := c.placed(false)
	if why != errnoSuccess {
		return why
	}
	parts, why := c.buffers(1)
	if why != errnoSuccess {
		return why
	}
	if int64(c.args[3]) < 0 {
		return errnoInvalid
	}
	n, why := c.readAt(d, parts, int64(c.args[3]))
	if why != errnoSuccess {
		return why
	}
	return c.put32(4, uint32(n))
}

func fdPwrite(c wasiCall) errno {
	c.guest.files.dropAhead(nil)
	d, why := c.placed(true)
	if why != errnoSuccess {
		return why
	}
	parts, why := c.buffers(1)
	if why != errnoSuccess {
		return why
	}
	if int64(c.args[3]) < 0 {
		return errnoInvalid
	}
	n, why := c.writeAt(d, parts, int64(c.args[3]))
	if why != errnoSuccess {
		return why
	}
	return c.put32(4, uint32(n))
}
