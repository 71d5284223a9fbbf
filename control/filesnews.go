package control

import (
	"fmt"

	"google.golang.org/protobuf/proto"

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

// filesTrouble is why an app's files are not where they are to be yet, by what their home has told the leader last; another server knows nothing of it.
func (c *Control) filesTrouble(app *apiv1.App) string {
	l, files := c.current(), app.GetFiles()
	if l == nil || files == nil || files.Stored {
		return ""
	}
	return text.Line(l.inbox.report(fsm.HostID(files.Host), fsm.AppID(app.Id)).GetFiles().GetTrouble(), maxWhyShown)
}

// withTrouble is the app with that.
func (c *Control) withTrouble(app *apiv1.App) *apiv1.App {
	trouble := c.filesTrouble(app)
	if trouble == "" {
		return app
	}
	out := proto.CloneOf(app)
	out.Files.Trouble = trouble
	return out
}

// storingText says what an app waits for whose ranks have all ended.
func storingText(app *apiv1.App, trouble string) string {
	if trouble == "" {
		return fmt.Sprintf("all ranks have ended; the servers are given its files by %s", app.Files.Host)
	}
	return fmt.Sprintf("all ranks have ended; the servers do not take its files, which are on %s: %s; it waits until they do, and godwit cancel ends it without them", app.Files.Host, trouble)
}
