package worker

import (
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// maxStatusBytes bounds what a worker says of one app at a time, far below what a message may hold: one app must not cost
	// the session that all share.
	maxStatusBytes = 512 << 10
	// maxHelloBytes bounds the statuses in a hello; the others follow.
	maxHelloBytes = 256 << 10
	minReason     = 64
)

// boundStatus shortens the reasons in a status that is too long, all to the same length.
func boundStatus(s *apiv1.AppStatus) *apiv1.AppStatus {
	if proto.Size(s) <= maxStatusBytes {
		return s
	}
	s = proto.CloneOf(s)
	limit := max(minReason, maxStatusBytes/4/(len(s.Ranks)+2))
	s.Reason, s.FailedReason = text.Cut(s.Reason, limit), text.Cut(s.FailedReason, limit)
	for _, r := range s.Ranks {
		r.Reason = text.Cut(r.Reason, limit)
	}
	return s
}
