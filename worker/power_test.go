package worker

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/synctrace"
)

// TestArrivedOutputSurvivesAPowerCut: when an arrived rank may be staged, the log that came with it is on the disk, and so are its names:
// with the commit its source forgets all that the rank has printed.
func TestArrivedOutputSurvivesAPowerCut(t *testing.T) {
	var b *bench
	prepare := func(dir string) error {
		b = newBench(t)
		b.a.host.cfg.DataDir = dir
		b.migration(apiv1.MigrationAnnounced, 1, "h2", "h1")
		return nil
	}
	lost := synctrace.Lost(t, prepare, func(dir string) (err error) {
		logs, err := newLogStore(filepath.Join(dir, "logs"), DefaultConfig().LogBytes, b.a.host.log)
		if err != nil {
			return err
		}
		if b.a.output, err = logs.app("a"); err != nil {
			return err
		}
		r, err := b.a.host.newArrival(&apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1, From: "h2"})
		if err != nil {
			return err
		}
		log := records(t, line(1, 0), line(1, 1))
		err = errors.Join(
			r.add(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: log}}),
			r.add(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_End{End: &apiv1.TransferEnd{LogBytes: int64(len(log))}}}),
		)
		if err != nil {
			return err
		}
		end := make(chan error, 1)
		go func() { end <- r.finish(b.a) }()
		for _, what := range []func(func()){
			func(take func()) { take() },
			func(func()) {}, // that the log is kept: the power goes just before
		} {
			select {
			case f := <-b.a.inbox:
				what(f)
			case err := <-end:
				return errors.Join(errors.New("it arrived without a word to the app"), err)
			}
		}
		if err := b.a.part.Expects(r.header); err == nil || !strings.Contains(err.Error(), "it has it") {
			return fmt.Errorf("the log is not the app's: %w", err)
		}
		b.a.part.Staged(b.hands(), &apiv1.ExecStaged{Migration: "m1", Rank: 1})
		if b.a.part.Rank(1) != nil {
			return errors.New("the log counts as kept already")
		}
		return nil
	})
	for _, what := range lost {
		require.False(t, strings.HasPrefix(what, "bytes of logs") || strings.HasPrefix(what, "the name of logs"), "%q", lost)
	}
	require.Contains(t, strings.Join(lost, "\n"), "arrivals", "it has been watched")
}
