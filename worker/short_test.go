package worker

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
)

// errNoMore ends a stream of the test's.
var errNoMore = errors.New("no more")

// recordStream is a leader that sends records.
type recordStream struct{ records []*apiv1.AppRecord }

func (s *recordStream) Send(*apiv1.SessionRequest) error { return nil }

func (s *recordStream) Receive() (*apiv1.SessionResponse, error) {
	if len(s.records) == 0 {
		return nil, errNoMore
	}
	rec := s.records[0]
	s.records = s.records[1:]
	return &apiv1.SessionResponse{Msg: &apiv1.SessionResponse_Record{Record: rec}}, nil
}

// TestShortRecords: the app follows whole records, made of short ones too; a short one of a record that this session did not
// bring, though an earlier one did, ends the session.
func TestShortRecords(t *testing.T) {
	w := &Worker{
		log: slog.New(slog.DiscardHandler), tasks: new(errgroup.Group), apps: map[string]*app{}, records: map[string]*apiv1.AppRecord{},
		statuses: map[string]*apiv1.AppStatus{}, dirty: map[string]bool{}, dirtyCh: notify.NewSignal(), cfg: Config{Name: "h1"},
	}
	w.apps["a"] = newApp("a", w)
	whole := &apiv1.AppRecord{
		Index: 10, Term: 2, App: &apiv1.App{Id: "a", Phase: "running", Size: 2, Placement: []string{"h1", "h2"}},
		Addrs: map[string]string{"h2": "a:1"},
	}
	short := &apiv1.AppRecord{Index: 12, Term: 2, Amends: 10, App: &apiv1.App{Id: "a", Phase: "running", Ended: []byte{2}}}
	s := &session{w: w, stream: &recordStream{[]*apiv1.AppRecord{whole, short}}}
	require.ErrorIs(t, s.receive(t.Context()), errNoMore)
	got := w.record("a")
	require.EqualValues(t, 12, got.Index)
	require.Equal(t, whole.App.Placement, got.App.Placement)
	require.Equal(t, whole.Addrs, got.Addrs)
	require.True(t, got.App.HasEnded(1))

	s = &session{w: w, stream: &recordStream{[]*apiv1.AppRecord{short}}}
	require.ErrorContains(t, s.receive(t.Context()), "open another session")
	require.Same(t, got, w.record("a"))
}
