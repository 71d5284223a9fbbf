package control

import (
	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// filesNews are the commands that follow from what a host says of an app's directory, and the log does not have.
func filesNews(app *apiv1.App, host fsm.HostID, st *apiv1.FilesStatus) []proposal {
	if st == nil {
		return nil
	}
	files, here := app.Files, string(host)
	op := &apiv1.ChangeFiles{App: app.Id, Host: here}
	switch {
	case files == nil && st.Wanted:
		op.What = apiv1.ChangeFiles_WHAT_OPENED
	case files == nil || files.Stored:
		return nil
	case files.To == here && st.Held:
		op.What = apiv1.ChangeFiles_WHAT_MOVED
	case files.To == here && st.Fault != "":
		op.What, op.Reason = apiv1.ChangeFiles_WHAT_STAYS, text.Clean(st.Fault, maxReasonBytes)
	case files.Host == here && fsm.Storing(app) && (st.Stored != nil || st.Fault != ""):
		op.What, op.Tree, op.Reason = apiv1.ChangeFiles_WHAT_STORED, st.Stored, text.Clean(st.Fault, maxReasonBytes)
	default:
		return nil
	}
	return []proposal{{"files of " + app.Id + " on " + here, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_ChangeFiles{ChangeFiles: op}
	}}}
}
