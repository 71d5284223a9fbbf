package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/transport"
)

// A part of a checkpoint goes from the host that has made it to the second one that holds it, and from either to where ranks begin from it.

const (
	// blobSilence is for how long nothing of a blob may come, or be taken.
	blobSilence = 20 * time.Second
	// holdPause is how long is waited before a part is offered, or a blob is asked for, again, at first, and at the most.
	holdPause, maxHoldPause = 50 * time.Millisecond, 2 * time.Second
	// maxSpoilt is how often in a row a blob that is whole here may come damaged at another host, before it is not sent again.
	maxSpoilt = 8
)

// fieldBlob is what an answer names that says that a blob is not what it should be.
const fieldBlob = "blob"

func checkPart(checkpoint, host string) (partName, error) {
	if err := errors.Join(checkID("checkpoint", checkpoint), checkID("host", host)); err != nil {
		return partName{}, invalid("checkpoint", err.Error(), "")
	}
	return partName{checkpoint, host}, nil
}

// HoldCheckpoint implements the Data service.
func (s dataService) HoldCheckpoint(ctx context.Context, req *apiv1.HoldCheckpointRequest) (*apiv1.HoldCheckpointResponse, error) {
	transport.Yield(ctx) // what follows is the disk's
	name, err := checkPart(req.Checkpoint, req.Host)
	if err != nil {
		return nil, err
	}
	if err := s.w.checkpoints.expects(name, s.w.hostName()); err != nil {
		return nil, refusedTransfer(err)
	}
	m, err := parseManifest(req.Manifest, name)
	if err != nil {
		return nil, invalid("manifest", err.Error(), "")
	}
	if old := s.w.checkpoints.part(name); old != nil && bytes.Equal(old.digest, sumOf(req.Manifest)) {
		return &apiv1.HoldCheckpointResponse{}, nil
	} else if old != nil {
		return nil, refusedTransfer(fmt.Errorf("host %s holds another part of that name", s.w.hostName()))
	}
	if lacking := s.w.checkpoints.lacking(m); len(lacking) > 0 {
		return &apiv1.HoldCheckpointResponse{Lacking: lacking}, nil
	}
	if err := s.w.checkpoints.hold(name, req.Manifest, m); err != nil {
		return nil, s.notHeld(err)
	}
	return &apiv1.HoldCheckpointResponse{}, nil
}

// notHeld is the answer to who gives what this host could not store.
func (s dataService) notHeld(err error) error {
	s.w.suspectDisk()
	s.w.log.Error("a part of a checkpoint could not be stored", "err", err)
	return apierr.New(connect.CodeResourceExhausted, apierr.ReasonRefused, "", fmt.Sprintf("host %s could not store a part of a checkpoint (%s)", s.w.hostName(), reasonOf(err)), "")
}

// PushBlob implements the Data service.
func (s dataService) PushBlob(ctx context.Context, stream apiv1connect.DataPushBlobServerStream) (*apiv1.PushBlobResponse, error) {
	first, err := stream.Receive()
	transport.Yield(ctx) // what follows is the disk's
	if err != nil {
		return nil, err
	}
	part, err := checkPart(first.Checkpoint, first.Host)
	if err != nil {
		return nil, err
	}
	want := first.Blob
	if !name.Digest(want.GetDigest()) || want.GetSize() < 0 {
		return nil, invalid(fieldBlob, fmt.Sprintf("%.80q of %d bytes is no blob", want.GetDigest(), want.GetSize()), "")
	}
	if err := s.w.checkpoints.expects(part, s.w.hostName()); err != nil {
		return nil, refusedTransfer(err)
	}
	if why := s.w.checkpoints.room(want.Size, s.w.keepFree()); why != "" {
		return nil, apierr.New(connect.CodeResourceExhausted, apierr.ReasonRefused, "", fmt.Sprintf("host %s: %s", s.w.hostName(), why), "")
	}
	to, err := s.w.checkpoints.newBlob()
	if err != nil {
		return nil, s.notHeld(err)
	}
	for m := first; ; {
		if to.size+int64(len(m.Chunk)) > want.Size {
			to.drop()
			return nil, invalid("chunk", "more came than the blob has", "")
		}
		if _, err := to.Write(m.Chunk); err != nil {
			to.drop()
			return nil, s.notHeld(err)
		}
		if to.size == want.Size {
			break
		}
		if m, err = stream.Receive(); err != nil {
			to.drop()
			return nil, fmt.Errorf("worker: a blob broke off: %w", err)
		}
	}
	switch _, err := to.finish(part, want.Digest); {
	case errors.Is(err, errDamaged):
		return nil, invalid(fieldBlob, err.Error(), "")
	case err != nil:
		return nil, s.notHeld(err)
	}
	return &apiv1.PushBlobResponse{}, nil
}

// FetchBlob implements the Data service.
func (s dataService) FetchBlob(ctx context.Context, req *apiv1.FetchBlobRequest, stream apiv1connect.DataFetchBlobServerStream) error {
	transport.Yield(ctx) // what follows is the disk's
	name, err := checkPart(req.Checkpoint, req.Host)
	if err != nil {
		return err
	}
	if here := s.w.hostName(); req.Holder != "" && req.Holder != here { // an address is another's by now: what that has not says nothing
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonNotYet, "holder", fmt.Sprintf("this is host %s, not %s", here, req.Holder), "ask for its address again")
	}
	send := func(b []byte) error {
		transport.WriteWithin(ctx, blobSilence)
		defer transport.WriteAnytime(ctx)
		return stream.Send(&apiv1.FetchBlobResponse{Chunk: b})
	}
	missing := func(err error) error {
		if errors.Is(err, errDamaged) {
			return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "", fmt.Sprintf("host %s, the part of host %s of checkpoint %s: %s", s.w.hostName(), req.Host, req.Checkpoint, reasonOf(err)), "")
		}
		if errors.Is(err, errNotHeld) {
			return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "", fmt.Sprintf("host %s does not hold the part of host %s of checkpoint %s, or not this blob", s.w.hostName(), req.Host, req.Checkpoint), "")
		}
		s.w.log.Error("a blob of a checkpoint cannot be read", "err", err)
		return apierr.New(connect.CodeDataLoss, apierr.ReasonInternal, "", fmt.Sprintf("host %s cannot read a blob of checkpoint %s (%s)", s.w.hostName(), req.Checkpoint, reasonOf(err)), "")
	}
	if req.Digest == "" {
		b, err := s.w.checkpoints.manifestText(name)
		if errors.Is(err, errDamaged) {
			s.w.checkpoints.suspect(name)
		}
		if err != nil {
			return missing(err)
		}
		for len(b) > transport.ChunkBytes {
			if err := send(b[:transport.ChunkBytes]); err != nil {
				return err
			}
			b = b[transport.ChunkBytes:]
		}
		return send(b)
	}
	f, err := s.w.checkpoints.open(req.Digest)
	if err != nil {
		return missing(err)
	}
	defer f.Close() //nolint:errcheck // only read
	buf, sum := make([]byte, transport.ChunkBytes), sha256.New()
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 {
			sum.Write(buf[:n])
			if err := send(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if hex.EncodeToString(sum.Sum(nil)) == req.Digest {
				return nil
			}
			s.w.checkpoints.doubtFile(req.Digest, f)
			return missing(ownCopy(req.Digest, errAnother))
		case err != nil:
			s.w.checkpoints.doubtFile(req.Digest, f)
			return missing(err)
		}
	}
}

// peer is what other hosts are asked with.
func (w *Worker) peer(addr string) apiv1connect.DataClient {
	return apiv1connect.NewDataClient(transport.NewClient(w.http, addr))
}

// give has another host hold a part that is here: again and again, until it does, or refuses it, or ctx ends. progress hears of each byte once, however often it is sent.
func (w *Worker) give(ctx context.Context, name partName, manifest []byte, m *apiv1.CheckpointManifest, addr string, trouble func(string), progress func(int)) error {
	most := farthest{}
	for pause := holdPause; ; pause = min(2*pause, maxHoldPause) {
		err := w.giveOnce(ctx, name, manifest, m, addr, func(digest string, at int64) { progress(int(most.reach(digest, at))) })
		if err == nil || ctx.Err() != nil || errors.Is(err, errNotHeld) || errors.Is(err, errOwnCopy) || connect.CodeOf(err) == connect.CodeResourceExhausted || apierr.Info(err).GetReason() == apierr.ReasonInvalid {
			return err
		}
		trouble(reasonOf(err))
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// farthest is how far each blob of several has ever come.
type farthest map[string]int64

// reach notes how far a blob has come, and returns how much farther than ever that is.
func (f farthest) reach(digest string, at int64) (more int64) {
	more = max(0, at-f[digest])
	f[digest] += more
	return more
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Worker) giveOnce(ctx context.Context, name partName, manifest []byte, m *apiv1.CheckpointManifest, addr string, progress func(digest string, at int64)) error {
	sizes := map[string]int64{}
	for _, b := range m.Blobs() {
		sizes[b.Digest] = b.Size
	}
	req := &apiv1.HoldCheckpointRequest{Checkpoint: name.checkpoint, Host: name.host, Manifest: manifest}
	for {
		res, err := w.hold(ctx, addr, req)
		if err != nil {
			return err
		}
		if len(res.Lacking) == 0 {
			return nil
		}
		for _, digest := range res.Lacking {
			size, ours := sizes[digest]
			if !ours {
				return invalid("lacking", "the other host asks for what is not of the checkpoint", "")
			}
			if err := w.pushWhole(ctx, name, &apiv1.Blob{Digest: digest, Size: size}, addr, func(at int64) { progress(digest, at) }); err != nil {
				return err
			}
		}
	}
}

func (w *Worker) hold(ctx context.Context, addr string, req *apiv1.HoldCheckpointRequest) (*apiv1.HoldCheckpointResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, blobSilence)
	defer cancel()
	return w.peer(addr).HoldCheckpoint(ctx, req)
}

// pushWhole sends one blob, and again if it came damaged, though not for ever: what is whole here may become so on the way each time.
func (w *Worker) pushWhole(ctx context.Context, name partName, blob *apiv1.Blob, addr string, progress func(at int64)) error {
	pause := holdPause
	for n := 1; ; n++ {
		err := w.pushBlob(ctx, name, blob, addr, progress)
		if info := apierr.Info(err); info.GetReason() != apierr.ReasonInvalid || info.GetField() != fieldBlob {
			return err
		}
		if n == maxSpoilt {
			return fmt.Errorf("it is whole here, and became damaged on each of %d ways: %w", n, err)
		}
		w.log.Warn("a blob of a checkpoint is whole here, and came damaged at another host: it is sent again", "checkpoint", name.checkpoint, "part", name.host, "blob", blob.Digest, "to", addr, "err", err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxHoldPause)
	}
}

// pushBlob sends one blob. It is given up when nothing of it is taken for long. progress hears how much of it is sent.
func (w *Worker) pushBlob(ctx context.Context, name partName, blob *apiv1.Blob, addr string, progress func(at int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := w.checkpoints.open(blob.Digest)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	silent := time.AfterFunc(blobSilence, cancel)
	defer silent.Stop()
	stream, err := w.peer(addr).PushBlob(ctx)
	if err != nil {
		return err
	}
	buf, first, at, sum := make([]byte, transport.ChunkBytes), true, int64(0), sha256.New()
	for {
		n, rerr := io.ReadFull(f, buf)
		if n > 0 || first {
			m := &apiv1.PushBlobRequest{Chunk: buf[:n]}
			if first {
				m.Checkpoint, m.Host, m.Blob, first = name.checkpoint, name.host, blob, false
			}
			sum.Write(buf[:n])
			if err = stream.Send(m); err != nil {
				break // the answer says why
			}
			silent.Reset(blobSilence)
			at += int64(n)
			progress(at)
		}
		if errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF) {
			break
		}
		if rerr != nil {
			w.checkpoints.doubtFile(blob.Digest, f)
			return ownCopy(blob.Digest, rerr)
		}
	}
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != blob.Digest {
		w.checkpoints.doubtFile(blob.Digest, f)
		return ownCopy(blob.Digest, errAnother)
	}
	silent.Reset(2 * blobSilence)                         // for the other's disk
	if _, rerr := stream.CloseAndReceive(); rerr != nil { // also that it came damaged, which it became on the way: here it is whole
		return rerr
	}
	return err
}

// holder is a host that may hold a part.
type holder struct{ host, addr string }

// wanted is a blob of a part, or its manifest where the digest is "".
type wanted struct {
	name   partName
	digest string
	size   int64 // at the most
	own    error // why what this host has of it cannot be read; nil: it has none, or that is damaged
}

// obtainFrom writes a blob, or a manifest, to w.
func (w *Worker) obtainFrom(ctx context.Context, x wanted, h holder, to io.Writer, progress func(int)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(blobSilence, cancel)
	defer silent.Stop()
	stream, err := w.peer(h.addr).FetchBlob(ctx, &apiv1.FetchBlobRequest{Checkpoint: x.name.checkpoint, Host: x.name.host, Digest: x.digest, Holder: h.host})
	if err != nil {
		return err
	}
	for got := int64(0); ; {
		silent.Reset(blobSilence)
		m, err := stream.Receive()
		silent.Stop() // the disk may take its time
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if got += int64(len(m.Chunk)); got > x.size {
			return fmt.Errorf("it is longer than %d bytes", x.size)
		}
		if _, err := to.Write(m.Chunk); err != nil {
			return err
		}
		progress(len(m.Chunk))
	}
}

// sumOf is a SHA-256 in bytes.
func sumOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
