package control

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// filesTrouble is why an app's files are not where they are to be yet, by what their home has told the leader last; another server knows nothing of it.
func (c *Control) filesTrouble(app *apiv1.App) string {
	l, files := c.current(), app.GetFiles()
	if l == nil || files == nil || files.Stored {
		return ""
	}
	return text.Line(l.inbox.report(fsm.HostID(files.Host), fsm.AppID(app.Id)).GetFiles().GetTrouble(), maxWhyShown)
}

// filesProgress is how far a move of an app's files, or what they begin with, has come, or why it does not begin, by what the leader knows; another server knows nothing of it.
func (c *Control) filesProgress(app *apiv1.App) string {
	l, files := c.current(), app.GetFiles()
	switch {
	case l == nil || files == nil || files.Stored:
		return ""
	case files.To == "" && fsm.PhaseOf(app) == fsm.Starting:
		return text.Line(l.inbox.report(fsm.HostID(files.Host), fsm.AppID(app.Id)).GetFiles().GetProgress(), maxWhyShown)
	case files.To == "":
		return l.homes.said(fsm.AppID(app.Id))
	}
	if st := l.inbox.report(fsm.HostID(files.To), fsm.AppID(app.Id)).GetFiles(); st.GetMove() == files.Move {
		return text.Line(st.GetProgress(), maxWhyShown)
	}
	return ""
}

// withTrouble is the app with that, and with what its home has trouble with.
func (c *Control) withTrouble(app *apiv1.App) *apiv1.App {
	trouble, progress := c.filesTrouble(app), c.filesProgress(app)
	moves := app.GetFiles().GetTo() != "" && !apiv1.AppOver(app.Phase)
	if trouble == "" && progress == "" && !moves {
		return app
	}
	out := proto.CloneOf(app)
	out.Files.Trouble, out.Files.Progress = trouble, progress
	if moves && out.Reason == "" {
		out.Reason = c.movingText(app)
	}
	return out
}

// movingText says where an app's files move.
func (c *Control) movingText(app *apiv1.App) string {
	return strings.TrimSuffix(fmt.Sprintf("its files move from %s to %s: %s", app.Files.Host, app.Files.To, c.filesProgress(app)), ": ")
}

// homesText says which apps a host that is to be left is the home of; empty: of none.
func homesText(v *fsm.View, host *apiv1.Host) string {
	if !fsm.ToBeLeft(host) {
		return ""
	}
	first, n := "", 0
	for app, share := range v.AppsOn(fsm.HostID(host.Id)) {
		if share.Files > 0 && app.GetFiles().GetHost() == host.Id {
			if n++; n == 1 {
				first = app.Id
			}
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "it has the files of app " + first
	}
	return fmt.Sprintf("it has the files of %d apps, such as %s", n, first)
}

// storingText says what an app waits for whose ranks have all ended.
func storingText(app *apiv1.App, trouble string) string {
	if trouble == "" {
		return fmt.Sprintf("all ranks have ended; the servers are given its files by %s", app.Files.Host)
	}
	return fmt.Sprintf("all ranks have ended; the servers do not take its files, which are on %s: %s; it waits until they do, and godwit cancel ends it without them", app.Files.Host, trouble)
}
