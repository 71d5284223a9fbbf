package objects

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	// wholeBytes is how large an object may be that is sent in one piece, and how large pieces of others are at least.
	wholeBytes = 64 << 20
	// mostPieces is how many pieces an object may have.
	mostPieces = 10_000
)

// bucket is a store in a bucket.
type bucket struct {
	client *s3.Client
	name   string
	prefix string // empty, or with a slash at its end
	whole  int64  // wholeBytes; tests have less

	silence time.Duration // silence; tests have less
}

// openS3 takes credentials, region and endpoint from where all of Amazon's tools do: AWS_* variables, their files, and the machine's role.
func openS3(ctx context.Context, place apiv1.StorePlace) (*bucket, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("the AWS_* variables, or Amazon's files of settings: %w", err)
	}
	prefix := place.Path
	if prefix != "" {
		prefix += "/"
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil // other servers have no name for each bucket
		if o.Region == "" && o.BaseEndpoint != nil {
			o.Region = "us-east-1" // what they call theirs, if they ask at all
		}
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired // we give SHA-256 ourselves, and look at it ourselves
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.Logger = logging.Nop{} // what is wrong is in errors
	})
	if client.Options().Region == "" {
		return nil, errors.New("the region of the bucket is not known: set AWS_REGION, such as eu-central-1, or, of another server than Amazon's, its AWS_ENDPOINT_URL")
	}
	return &bucket{client: client, name: place.Bucket, prefix: prefix, whole: wholeBytes, silence: silence}, nil
}

func (b *bucket) key(key string) *string { return aws.String(b.prefix + key) }

// asked bounds a request that has a short answer.
func (b *bucket) asked(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, b.silence, errSilent)
}

// errSilent is returned when a store does not go on.
var errSilent = fmt.Errorf("nothing of it came, or was taken, for %s", silence)

// because is err, or why its context has ended where that says more.
func because(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// Put implements Store.
func (b *bucket) Put(ctx context.Context, key string, o Object) (bool, error) {
	there, err := b.there(ctx, key, o.Size)
	if there || err != nil {
		return false, err
	}
	if o.Size > b.whole {
		return true, b.putPieces(ctx, key, o)
	}
	return true, b.send(ctx, key, io.NewSectionReader(o.Body, 0, o.Size), o.Progress, func(ctx context.Context, body io.ReadSeeker) error {
		sum, err := hex.DecodeString(o.Digest)
		if err != nil {
			return err
		}
		_, err = b.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &b.name, Key: b.key(key), Body: body, ContentLength: &o.Size, ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum)),
		})
		return err
	})
}

// there says whether an object of that size is there.
func (b *bucket) there(ctx context.Context, key string, size int64) (bool, error) {
	ctx, cancel := b.asked(ctx)
	defer cancel()
	head, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: b.key(key)})
	if err = b.explain("look for", key, because(ctx, err)); errors.Is(err, ErrAbsent) {
		return false, nil
	}
	return err == nil && aws.ToInt64(head.ContentLength) == size, err
}

// send sends a body, and gives up when nothing of it is taken for long.
func (b *bucket) send(ctx context.Context, key string, body Body, progress func(int), do func(context.Context, io.ReadSeeker) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alive := time.AfterFunc(b.silence, func() { cancel(errSilent) })
	defer alive.Stop()
	err := do(ctx, watched{Body: body, alive: func() { alive.Reset(b.silence) }, progress: progress})
	return b.explain("store", key, because(ctx, err))
}

// putPieces sends a large object. The store checks each piece; that all of them are the object is checked here.
func (b *bucket) putPieces(ctx context.Context, key string, o Object) error {
	short, cancel := b.asked(ctx)
	defer cancel()
	up, err := b.client.CreateMultipartUpload(short, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: b.key(key), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
	if err != nil {
		return b.explain("store", key, because(short, err))
	}
	pieces, err := b.sendPieces(ctx, key, *up.UploadId, o)
	if err == nil {
		short, cancel := context.WithTimeoutCause(ctx, 5*b.silence, errSilent) // it may have to put them together
		defer cancel()
		_, err = b.client.CompleteMultipartUpload(short, &s3.CompleteMultipartUploadInput{
			Bucket: &b.name, Key: b.key(key), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: pieces},
		})
		err = b.explain("store", key, because(short, err))
	}
	if err != nil {
		_ = b.abort(context.WithoutCancel(ctx), *b.key(key), up.UploadId) // else Tidy does
	}
	return err
}

func (b *bucket) sendPieces(ctx context.Context, key, upload string, o Object) (pieces []types.CompletedPart, err error) {
	step := max(b.whole, (o.Size+mostPieces-1)/mostPieces)
	all := sha256.New()
	for at := int64(0); at < o.Size; at += step {
		size, sum := min(step, o.Size-at), sha256.New()
		if _, err := io.Copy(io.MultiWriter(all, sum), io.NewSectionReader(o.Body, at, size)); err != nil {
			return nil, err
		}
		part := types.CompletedPart{
			PartNumber: aws.Int32(int32(len(pieces) + 1)), ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum.Sum(nil))),
		}
		err := b.send(ctx, key, io.NewSectionReader(o.Body, at, size), o.Progress, func(ctx context.Context, body io.ReadSeeker) error {
			res, err := b.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &b.name, Key: b.key(key), UploadId: &upload, PartNumber: part.PartNumber, Body: body, ContentLength: &size, ChecksumSHA256: part.ChecksumSHA256,
			})
			if err == nil {
				part.ETag = res.ETag
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, part)
	}
	return pieces, (&checked{sum: all, n: o.Size}).is(o)
}

// Get implements Store.
func (b *bucket) Get(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	alive := time.AfterFunc(b.silence, func() { cancel(errSilent) })
	res, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: b.key(key)})
	alive.Stop() // whoever reads may take its time
	if err != nil {
		err = b.explain("read", key, because(ctx, err))
		cancel(nil)
		return nil, 0, err
	}
	return &coming{ctx: ctx, body: res.Body, alive: alive, silence: b.silence, cancel: cancel}, aws.ToInt64(res.ContentLength), nil
}

// coming is an object on its way here: it ends when nothing of it comes for long.
type coming struct {
	ctx     context.Context //nolint:containedctx // of the request: over with it
	body    io.ReadCloser
	alive   *time.Timer
	silence time.Duration
	cancel  context.CancelCauseFunc
}

func (c *coming) Read(p []byte) (int, error) {
	c.alive.Reset(c.silence)
	n, err := c.body.Read(p)
	c.alive.Stop() // whoever reads may take its time
	return n, because(c.ctx, err)
}

func (c *coming) Close() error {
	c.alive.Stop()
	c.cancel(nil)
	return c.body.Close()
}

// List implements Store.
func (b *bucket) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: b.key(prefix)})
	for pages.HasMorePages() {
		short, cancel := b.asked(ctx)
		page, err := pages.NextPage(short)
		cancel()
		if err != nil {
			return b.explain("list", prefix, because(short, err))
		}
		for _, o := range page.Contents {
			key, ours := strings.CutPrefix(aws.ToString(o.Key), b.prefix)
			if !ours || key != path.Clean(key) {
				continue
			}
			if err := each(key, aws.ToInt64(o.Size)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Tidy implements Store. A store that has no such list, or does not show it to this process, keeps what there is.
func (b *bucket) Tidy(ctx context.Context, prefix string) error {
	in := &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: b.key(prefix)}
	for {
		short, cancel := b.asked(ctx)
		page, err := b.client.ListMultipartUploads(short, in)
		cancel()
		if unlisted(err) {
			return nil
		}
		if err != nil {
			return b.explain("list what is left of uploads of", prefix, because(short, err))
		}
		for _, up := range page.Uploads {
			if key := aws.ToString(up.Key); strings.HasPrefix(key, *in.Prefix) {
				if err := b.abort(ctx, key, up.UploadId); err != nil {
					return err
				}
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// unlisted says whether a store has answered that it has no list of uploads, or does not show it.
func unlisted(err error) bool {
	var res *smithyhttp.ResponseError
	if !errors.As(err, &res) {
		return false
	}
	switch res.HTTPStatusCode() {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// abort has the store forget the pieces that have come of an upload. key is the bucket's. One that is over is no error.
func (b *bucket) abort(ctx context.Context, key string, upload *string) error {
	short, cancel := b.asked(ctx)
	defer cancel()
	_, err := b.client.AbortMultipartUpload(short, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: upload})
	var said smithy.APIError
	if errors.As(err, &said) && said.ErrorCode() == "NoSuchUpload" {
		return nil
	}
	return b.explain("remove what is left of an upload of", strings.TrimPrefix(key, b.prefix), because(short, err))
}

// Remove implements Store.
func (b *bucket) Remove(ctx context.Context, key string) error {
	ctx, cancel := b.asked(ctx)
	defer cancel()
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: b.key(key)})
	if err = b.explain("remove", key, because(ctx, err)); errors.Is(err, ErrAbsent) {
		return nil
	}
	return err
}

// explain says what the store has answered. Nothing in it is secret: neither keys nor signatures are in what it answers.
func (b *bucket) explain(what, key string, err error) error {
	if err == nil {
		return nil
	}
	var said smithy.APIError
	if !errors.As(err, &said) {
		var op *smithy.OperationError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("%s %s%s in bucket %s: %w", what, b.prefix, key, b.name, err)
	}
	status := 0
	var res *smithyhttp.ResponseError
	if errors.As(err, &res) {
		status = res.HTTPStatusCode()
	}
	switch code := said.ErrorCode(); {
	case code == "NoSuchBucket":
		return fmt.Errorf("there is no bucket %s", b.name)
	case code == "BadDigest", code == "XAmzContentChecksumMismatch", code == "XAmzContentSHA256Mismatch":
		return fmt.Errorf("%s %s%s in bucket %s: %w, or became so on the way: %s", what, b.prefix, key, b.name, ErrDamagedHere, code)
	case code == "NoSuchKey", code == "NotFound":
		return fmt.Errorf("%s: %w", key, ErrAbsent)
	case status == http.StatusForbidden, status == http.StatusUnauthorized, code == "ExpiredToken", code == "XAdminUserNotFound": // the last of versitygw, with another status
		return fmt.Errorf("%s %s%s in bucket %s is not allowed (%s): look at the AWS_* variables and files of this process, and the bucket's policy", what, b.prefix, key, b.name, said.ErrorCode())
	}
	return fmt.Errorf("%s %s%s in bucket %s: %s: %s", what, b.prefix, key, b.name, said.ErrorCode(), said.ErrorMessage())
}
