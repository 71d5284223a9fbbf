package worker

import (
	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// wishCode wants the machine code of what the app's ranks run; nil: this host runs none.
func (a *app) wishCode() *codeWish {
	if a.host.codes == nil {
		return nil
	}
	app := a.part.Record().App
	return a.host.codes.wish(app.Spec.Modules())
}

// codeRefused has code be looked for anew that an executor cannot use.
func (a *app) codeRefused(r *apiv1.ExecCodeRefused) {
	a.log.Warn("an executor cannot use code that it was told of", "file", r.File, "why", clean(r.Reason))
	if a.host.codes != nil {
		a.host.codes.doubt(r.File)
	}
}

// followCode has an executor that was adopted hear of code.
func (a *app) followCode() {
	c := a.child
	if c == nil || c.entry == nil || !c.entry.Code {
		return
	}
	w := a.wishCode()
	c.code.Store(w)
	w.follow(c.sayCode)
	select {
	case <-c.exited: // whoever told that may have found no wish
		w.end()
	default:
	}
}

// sayCode tells the executor how it stands with a module's code.
func (c *child) sayCode(code *apiv1.ExecCode) {
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Code{Code: code}})
}
