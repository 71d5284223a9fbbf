package worker

import (
	"fmt"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/name"
)

// Ids come from other machines and become names of files here. Whatever is asked of this worker, and whatever record it follows,
// passes these checks before anything else is done with it.

// checkID says what is wrong with the id of an app or of a migration.
func checkID(kind, id string) error {
	if name.Valid(id) {
		return nil
	}
	return invalid(kind, fmt.Sprintf("%.80q is not the id of %s", id, article(kind)), name.Rule)
}

// checkRecord says what is wrong with the ids in a record.
func checkRecord(rec *apiv1.AppRecord) error {
	if err := checkID("app", rec.GetApp().GetId()); err != nil {
		return err
	}
	if m := rec.GetMigration(); m != nil {
		if err := checkID("migration", m.GetId()); err != nil {
			return err
		}
	}
	for _, c := range []*apiv1.Checkpoint{rec.GetCheckpoint(), rec.GetRestore()} {
		if c == nil {
			continue
		}
		if err := checkID("checkpoint", c.GetId()); err != nil {
			return err
		}
		for _, p := range c.GetParts() {
			if err := checkID("host", p.GetHost()); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRank says what is wrong with the number of a rank.
func checkRank(rank int32) error {
	if rank >= 0 {
		return nil
	}
	return invalid("rank", fmt.Sprintf("there is no rank %d", rank), "ranks are numbered from 0")
}

func invalid(field, wrong, fix string) error {
	return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, field, wrong, fix)
}

func article(kind string) string {
	if kind == "app" {
		return "an app"
	}
	return "a " + kind
}
