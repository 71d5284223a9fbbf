package fsm

import (
	"fmt"
	"iter"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// MayPlace tells whether a queued app waits for nothing but hosts: it depends on no app that goes on, and its array does not hold it.
func MayPlace(app *apiv1.App) bool { return len(app.GetWaitsFor()) == 0 && !app.GetHeld() }

// checkDependencies notes what an app that is being submitted waits for.
func (t *tx) checkDependencies(app *apiv1.App) outcome {
	for _, d := range app.GetSpec().GetDependsOn() {
		on, ok := t.App(AppID(d.GetApp()))
		switch {
		case !ok:
			return refuse(CodeInvalid, "there is no app %s, on which it is to depend, or it is forgotten", d.GetApp())
		case !PhaseOf(on).Terminal():
			app.WaitsFor = append(app.WaitsFor, d.GetApp())
		case !d.GetAnyEnd() && PhaseOf(on) != Succeeded:
			return refuse(CodeInvalid, "app %s, on whose success it is to depend, %s", d.GetApp(), apiv1.AppStands(on.GetPhase(), true))
		}
	}
	return applied("")
}

// holdForArray holds an app that is being submitted if so many of its array are in flight as may be.
func (t *tx) holdForArray(app *apiv1.App) {
	place := app.GetSpec().GetArray()
	app.Held = place.GetAtOnce() > 0 && t.ArrayInFlight(place.GetId()) >= int(place.GetAtOnce())
}

// ArrayInFlight is how many apps of an array hold hosts, or wait for them, and are not held.
func (v *View) ArrayInFlight(array string) int {
	n, _ := v.arrays.Get([]byte(array))
	return n
}

// HeldOf iterates over the apps that an array holds, in order of submission.
func (v *View) HeldOf(array string) iter.Seq[*apiv1.App] {
	return func(yield func(*apiv1.App) bool) {
		it := v.held.Root().Iterator()
		it.SeekPrefix(pairKey(array, ""))
		for _, id, ok := it.Next(); ok; _, id, ok = it.Next() {
			if app, ok := v.App(id); ok && !yield(app) {
				return
			}
		}
	}
}

// waitersFor are the apps that wait for the end of one, in order of id.
func (v *View) waitersFor(id AppID) []*apiv1.App {
	var out []*apiv1.App
	it := v.waiters.Root().Iterator()
	it.SeekPrefix(pairKey(string(id), ""))
	for _, waiter, ok := it.Next(); ok; _, waiter, ok = it.Next() {
		if app, ok := v.App(waiter); ok {
			out = append(out, app)
		}
	}
	return out
}

// indexWaiting keeps in step with an app who waits for it to end, or is held.
func (v *View) indexWaiting(app *apiv1.App) {
	id, queued := AppID(app.GetId()), PhaseOf(app) == Queued
	for _, d := range app.GetSpec().GetDependsOn() {
		v.waiters = keep(v.waiters, queued && slices.Contains(app.GetWaitsFor(), d.GetApp()), pairKey(d.GetApp(), app.GetId()), id)
	}
	array := app.GetSpec().GetArray().GetId()
	if array == "" {
		return
	}
	v.held = keep(v.held, app.GetHeld(), pairKey(array, string(submissionKey(app))), id)
	key, inFlight := pairKey(array, app.GetId()), !PhaseOf(app).Terminal() && !app.GetHeld()
	if _, was := v.inArray.Get(key); was != inFlight {
		v.inArray = keep(v.inArray, inFlight, key, id)
		v.arrays = putOrDrop(v.arrays, []byte(array), v.ArrayInFlight(array)+sign(inFlight))
	}
}

// release has those go on that waited for the end of an app: the next of its array, and the apps that depend on it. Where they depend on its success and it has
// none, they fail, and those that depend on them after them.
func (t *tx) release(ended *apiv1.App) error {
	for all := []*apiv1.App{ended}; len(all) > 0; all = all[1:] {
		of := all[0]
		t.releaseHeld(of.GetSpec().GetArray())
		for _, old := range t.waitersFor(AppID(of.GetId())) {
			app := draftApp(old)
			app.WaitsFor = slices.DeleteFunc(slices.Clone(old.GetWaitsFor()), func(id string) bool { return id == of.GetId() })
			at := slices.IndexFunc(app.GetSpec().GetDependsOn(), func(d *apiv1.Dependency) bool { return d.GetApp() == of.GetId() })
			if PhaseOf(of) != Succeeded && !app.GetSpec().GetDependsOn()[at].GetAnyEnd() {
				app.Verdict, app.ExitCode = string(Failed), ExitFailed
				app.Reason = cleanReason(fmt.Sprintf("it depends on the success of app %s, which %s", of.GetId(), apiv1.AppStands(of.GetPhase(), false)))
				if err := t.settleAlone(app); err != nil {
					return err
				}
				all = append(all, app)
				continue
			}
			t.putApp(app)
		}
	}
	return nil
}

// releaseHeld lets as many apps of an array go on as may be in flight.
func (t *tx) releaseHeld(place *apiv1.ArrayPlace) {
	if place.GetId() == "" {
		return
	}
	var next []*apiv1.App
	for app := range t.HeldOf(place.GetId()) {
		if t.ArrayInFlight(place.GetId())+len(next) >= int(app.GetSpec().GetArray().GetAtOnce()) {
			break
		}
		next = append(next, app)
	}
	for _, old := range next {
		app := draftApp(old)
		app.Held = false
		t.putApp(app)
	}
}
