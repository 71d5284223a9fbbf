package objects

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeS3 answers what a bucket does of S3, and checks what it is given by its checksum. Pages are short.
type fakeS3 struct {
	mu      sync.Mutex // guards the fields below
	objects map[string][]byte
	pieces  map[string]map[int][]byte // of uploads under way
	hangs   bool                      // it answers nothing
	breaks  bool                      // it is gone after the first piece of an upload
}

const fakeBucket, fakePage = "bucket", 2

func newFakeS3(t *testing.T) (*fakeS3, string) {
	f := &fakeS3{objects: map[string][]byte{}, pieces: map[string]map[int][]byte{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, s.URL
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>refused</Message></Error>", code)
}

// ServeHTTP implements http.Handler.
func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hangs {
		<-r.Context().Done()
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	sum := sha256.Sum256(body)
	given := r.Header.Get("X-Amz-Checksum-Sha256")
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "Credential=key/"):
		refuse(w, http.StatusForbidden, "InvalidAccessKeyId")
	case bucket != fakeBucket:
		refuse(w, http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodPut && given != base64.StdEncoding.EncodeToString(sum[:]):
		refuse(w, http.StatusBadRequest, "BadDigest")
	case r.Method == http.MethodGet && q.Has("uploads"):
		f.uploads(w, q.Get("prefix"), q.Get("key-marker"))
	case r.Method == http.MethodGet && key == "":
		f.list(w, q.Get("prefix"), q.Get("continuation-token"))
	case q.Has("uploads"):
		f.pieces[key] = map[int][]byte{}
		_, _ = fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
	case f.breaks && q.Has("partNumber") && q.Get("partNumber") != "1":
		panic(http.ErrAbortHandler)
	case f.breaks && q.Has("uploadId") && r.Method == http.MethodDelete:
		panic(http.ErrAbortHandler)
	case q.Has("partNumber"):
		n, _ := strconv.Atoi(q.Get("partNumber"))
		f.pieces[key][n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, n))
	case r.Method == http.MethodPost:
		f.join(w, key, body)
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		delete(f.pieces, key)
	case r.Method == http.MethodPut:
		f.objects[key] = body
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case f.objects[key] == nil:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(f.objects[key])))
		_, _ = w.Write(f.objects[key])
	}
}

func (f *fakeS3) join(w http.ResponseWriter, key string, body []byte) {
	var said struct {
		Part []struct {
			PartNumber     int
			ChecksumSHA256 string
		}
	}
	if err := xml.Unmarshal(body, &said); err != nil {
		refuse(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	var all []byte
	for _, p := range said.Part {
		sum := sha256.Sum256(f.pieces[key][p.PartNumber])
		if p.ChecksumSHA256 != base64.StdEncoding.EncodeToString(sum[:]) {
			refuse(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		all = append(all, f.pieces[key][p.PartNumber]...)
	}
	f.objects[key] = all
	delete(f.pieces, key)
	_, _ = fmt.Fprint(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
}

// uploads answers which are under way.
func (f *fakeS3) uploads(w http.ResponseWriter, prefix, after string) {
	var keys []string
	for key := range f.pieces {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	_, _ = fmt.Fprint(w, "<ListMultipartUploadsResult>")
	if len(keys) > fakePage {
		keys = keys[:fakePage]
		_, _ = fmt.Fprintf(w, "<IsTruncated>true</IsTruncated><NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>", keys[fakePage-1])
	}
	for _, key := range keys {
		_, _ = fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>u</UploadId></Upload>", key)
	}
	_, _ = fmt.Fprint(w, "</ListMultipartUploadsResult>")
}

func (f *fakeS3) list(w http.ResponseWriter, prefix, after string) {
	var keys []string
	for key := range f.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	_, _ = fmt.Fprint(w, "<ListBucketResult>")
	if len(keys) > fakePage {
		keys = keys[:fakePage]
		_, _ = fmt.Fprintf(w, "<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", keys[fakePage-1])
	}
	for _, key := range keys {
		_, _ = fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size></Contents>", key, len(f.objects[key]))
	}
	_, _ = fmt.Fprint(w, "</ListBucketResult>")
}
