package apierr

import (
	"fmt"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/name"
)

// CheckDigest says what is wrong with a module's digest in this field of a request; nil: nothing.
func CheckDigest(field, digest string) error {
	if name.Digest(digest) {
		return nil
	}
	return New(connect.CodeInvalidArgument, ReasonInvalid, field, fmt.Sprintf("%s: %.80q is not the digest of a module", field, digest), name.DigestRule)
}
