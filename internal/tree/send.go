package tree

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// Send has the servers have all blobs of a scan; what the one that is asked has is not sent again.
func (s *Scan) Send(ctx context.Context, control apiv1connect.ControlClient) error {
	return SendBlobs(ctx, control, s.Blobs(ctx))
}

// SendBlobs has the servers have blobs; what the one that is asked has is not sent again.
func SendBlobs(ctx context.Context, control apiv1connect.ControlClient, blobs []Blob) error {
	req := &apiv1.FindBlobsRequest{}
	for _, b := range blobs {
		req.Digests = append(req.Digests, b.Digest)
	}
	res, err := control.FindBlobs(ctx, req)
	if err != nil {
		return err
	}
	lacking := map[string]bool{}
	for _, digest := range res.Lacking {
		lacking[digest] = true
	}
	for _, b := range blobs {
		if !lacking[b.Digest] {
			continue
		}
		if err := b.send(ctx, control); err != nil {
			return err
		}
		delete(lacking, b.Digest) // two packs may be one blob
	}
	return nil
}

// send uploads one blob.
func (b Blob) send(ctx context.Context, control apiv1connect.ControlClient) error {
	stream, err := control.UploadBlob(ctx)
	if err != nil {
		return err
	}
	w := &uploader{stream: stream, digest: b.Digest}
	werr := b.Write(w)
	if werr == nil {
		werr = w.flush(true)
	}
	_, err = stream.CloseAndReceive()
	switch {
	case werr != nil && !errors.Is(werr, errStream):
		return werr // a file could not be read
	case err != nil:
		return err
	}
	return werr
}

var errStream = errors.New("the server takes no more")

// uploader cuts what is written into chunks.
type uploader struct {
	stream apiv1connect.ControlUploadBlobClientStream
	digest string
	buf    []byte
	begun  bool
}

func (u *uploader) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		take := min(len(p), transport.ChunkBytes-len(u.buf))
		u.buf = append(u.buf, p[:take]...)
		p = p[take:]
		if len(u.buf) == transport.ChunkBytes {
			if err := u.flush(false); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush sends what has gathered; the first message is sent even if it is empty.
func (u *uploader) flush(last bool) error {
	if len(u.buf) == 0 && (!last || u.begun) {
		return nil
	}
	m := &apiv1.UploadBlobRequest{Chunk: u.buf}
	if !u.begun {
		m.Digest, u.begun = u.digest, true
	}
	if err := u.stream.Send(proto.CloneOf(m)); err != nil {
		return fmt.Errorf("%w: %w", errStream, err)
	}
	u.buf = u.buf[:0]
	return nil
}

var _ io.Writer = (*uploader)(nil)
