package fsm

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// MayPlace tells whether a queued app waits for nothing but hosts: it depends on no app that goes on, and its array does not hold it.
func MayPlace(app *apiv1.App) bool { return len(app.GetWaitsFor()) == 0 && !app.GetHeld() }

// arrayMark begins what an app waits for that is an array: no id has a colon.
const arrayMark = "array:"

// waited is what a dependency is called in waits_for.
func waited(d *apiv1.Dependency) string {
	if d.GetArray() != "" {
		return arrayMark + d.GetArray()
	}
	return d.GetApp()
}

// DependencyOf is the dependency of an app that something of its waits_for is of.
func DependencyOf(app *apiv1.App, waits string) *apiv1.Dependency {
	list := app.GetSpec().GetDependsOn()
	if at := slices.IndexFunc(list, func(d *apiv1.Dependency) bool { return waited(d) == waits }); at >= 0 {
		return list[at]
	}
	return nil
}

// checkDependencies notes what an app that is being submitted waits for.
func (t *tx) checkDependencies(app *apiv1.App) outcome {
	for _, d := range app.GetSpec().GetDependsOn() {
		if d.GetArray() != "" {
			if bad := t.checkArray(d); bad.code != CodeApplied {
				return bad
			}
			if t.arrayLive(d.GetArray()) > 0 {
				app.WaitsFor = append(app.WaitsFor, waited(d))
			}
			continue
		}
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
	if array := app.GetSpec().GetArray().GetId(); array != "" && t.isAwaited(arrayMark+array) && t.waitOn(app.GetWaitsFor(), arrayMark+array) {
		return refuse(CodeInvalid, "what it is to depend on waits for array %s, of which it is to be one: all of them would wait for ever", array)
	}
	return applied("")
}

// isAwaited tells whether some app waits for something.
func (t *tx) isAwaited(name string) bool {
	for _, key := range []string{name, anyEndMark + name} {
		for range t.appsBelow(t.waiters, key) {
			return true
		}
	}
	return false
}

// waitOn tells whether things that are waited for wait for another thing themselves. It costs what they wait for.
func (t *tx) waitOn(names []string, name string) bool {
	seen := make(map[string]bool)
	for len(names) > 0 {
		next := names[0]
		names = names[1:]
		if next == name {
			return true
		}
		if seen[next] {
			continue
		}
		seen[next] = true
		if array, ok := strings.CutPrefix(next, arrayMark); ok {
			for of := range t.OfArray(array) {
				names = append(names, of.GetWaitsFor()...)
			}
		} else if on, ok := t.App(AppID(next)); ok {
			names = append(names, on.GetWaitsFor()...)
		}
	}
	return false
}

// checkArray refuses to depend on an array of which nothing is known, or which has not succeeded.
func (t *tx) checkArray(d *apiv1.Dependency) outcome {
	n, known := t.arrays.Get([]byte(d.GetArray()))
	switch {
	case !known:
		return refuse(CodeInvalid, "there is no array %s, on which it is to depend, or it is forgotten", d.GetArray())
	case n.failed == 0 || d.GetAnyEnd():
		return applied("")
	}
	for app := range t.OfArray(d.GetArray()) {
		if arrayFailed(app) {
			return refuse(CodeInvalid, "app %s of array %s, on whose success it is to depend, %s", app.GetId(), d.GetArray(), apiv1.AppStands(app.GetPhase(), true))
		}
	}
	return outcome{fault: broken("of array %s %d apps have failed, and none is known", d.GetArray(), n.failed)}
}

// arrayFailed tells whether an app has ended, and not succeeded.
func arrayFailed(app *apiv1.App) bool { return PhaseOf(app).Terminal() && PhaseOf(app) != Succeeded }

// holdForArray holds an app that waits for no other if so many of its array are in flight as may be. One that waits for others is not in flight: it would be in the way of those of its array for which it waits.
func (t *tx) holdForArray(app *apiv1.App) {
	place := app.GetSpec().GetArray()
	app.Held = len(app.GetWaitsFor()) == 0 && place.GetAtOnce() > 0 && t.ArrayInFlight(place.GetId()) >= int(place.GetAtOnce())
}

// arrayCount is how many apps of an array are known, how many of these have not ended, how many of those hold hosts, or wait for nothing but hosts, and how many have ended without success.
type arrayCount struct{ known, live, inFlight, failed int }

// with is the count with an app more, or with one less.
func (n arrayCount) with(app *apiv1.App, by int) arrayCount {
	if app == nil {
		return n
	}
	n.known += by
	switch {
	case arrayFailed(app):
		n.failed += by
	case !PhaseOf(app).Terminal():
		n.live += by
		if MayPlace(app) && PhaseOf(app) != Frozen {
			n.inFlight += by
		}
	}
	return n
}

// forgetOfArray takes an app out of what is known of its array.
func (v *View) forgetOfArray(app *apiv1.App) {
	array := app.GetSpec().GetArray().GetId()
	if array == "" {
		return
	}
	n, _ := v.arrays.Get([]byte(array))
	v.arrays = putOrDrop(v.arrays, []byte(array), n.with(app, -1))
	v.ofArray, _, _ = v.ofArray.Delete(pairKey(array, app.GetId()))
}

// ArrayInFlight is how many apps of an array hold hosts, or wait for nothing but hosts.
func (v *View) ArrayInFlight(array string) int {
	n, _ := v.arrays.Get([]byte(array))
	return n.inFlight
}

func (v *View) arrayLive(array string) int {
	n, _ := v.arrays.Get([]byte(array))
	return n.live
}

// OfArray iterates over the apps of an array that are remembered, in order of id.
func (v *View) OfArray(array string) iter.Seq[*apiv1.App] { return v.appsBelow(v.ofArray, array) }

// HeldOf iterates over the apps that an array holds, in order of submission.
func (v *View) HeldOf(array string) iter.Seq[*apiv1.App] { return v.appsBelow(v.held, array) }

// appsBelow iterates over the apps that a tree has for a name.
func (v *View) appsBelow(tree *idTree, name string) iter.Seq[*apiv1.App] {
	return func(yield func(*apiv1.App) bool) {
		it := tree.Root().Iterator()
		it.SeekPrefix(pairKey(name, ""))
		for _, id, ok := it.Next(); ok; _, id, ok = it.Next() {
			if app, ok := v.App(id); ok && !yield(app) {
				return
			}
		}
	}
}

// anyEndMark begins what apps wait for that may end as it likes: they are apart, for its failure is nothing to them.
const anyEndMark = "end:"

// waiterKey is where an app stands that waits for something.
func waiterKey(app *apiv1.App, name string) []byte {
	if DependencyOf(app, name).GetAnyEnd() {
		name = anyEndMark + name
	}
	return pairKey(name, app.GetId())
}

// indexWaiting keeps in step with an app who waits for others to end, or is held. old is the app as it was; nil: it was not there.
func (v *View) indexWaiting(old, app *apiv1.App) {
	id := AppID(app.GetId())
	if now := app.GetWaitsFor(); len(now) != len(old.GetWaitsFor()) { // it only gets shorter
		for _, name := range old.GetWaitsFor() {
			if !slices.Contains(now, name) {
				v.waiters = keep(v.waiters, false, waiterKey(app, name), id)
			}
		}
		for _, name := range now {
			v.waiters = add(v.waiters, waiterKey(app, name), id)
		}
	}
	array := app.GetSpec().GetArray().GetId()
	if array == "" {
		return
	}
	n, _ := v.arrays.Get([]byte(array))
	if now := n.with(old, -1).with(app, 1); now != n {
		v.arrays = putOrDrop(v.arrays, []byte(array), now)
	}
	v.ofArray = add(v.ofArray, pairKey(array, app.GetId()), id)
	v.held = keep(v.held, app.GetHeld(), pairKey(array, string(submissionKey(app))), id)
}

// release has those go on that waited for the end of an app: the next of its array, and the apps that depend on it, or on its array when that was the last of it. Where they depend on a success that did not come they
// fail, and those that depend on them after them.
func (t *tx) release(ended *apiv1.App) error {
	for all := []*apiv1.App{ended}; len(all) > 0; all = all[1:] {
		of, array := all[0], all[0].GetSpec().GetArray().GetId()
		failed, err := t.releaseWaiters(of, of.GetId(), true)
		if err != nil {
			return err
		}
		all = append(all, failed...)
		if array == "" {
			continue
		}
		t.releaseHeld(of.GetSpec().GetArray())
		last := t.arrayLive(array) == 0
		if !last && PhaseOf(of) == Succeeded {
			continue
		}
		if failed, err = t.releaseWaiters(of, arrayMark+array, last); err != nil {
			return err
		}
		all = append(all, failed...)
	}
	return nil
}

// releaseWaiters tells those that wait for something how an app has ended which it is, or is of: over says whether all of it has ended. It returns those that have failed by that.
func (t *tx) releaseWaiters(of *apiv1.App, name string, over bool) (failed []*apiv1.App, err error) {
	fails := PhaseOf(of) != Succeeded
	var waiters []*apiv1.App
	if fails || over {
		waiters = slices.Collect(t.appsBelow(t.waiters, name))
	}
	success := len(waiters)
	if over {
		waiters = slices.AppendSeq(waiters, t.appsBelow(t.waiters, anyEndMark+name))
	}
	for i, old := range waiters {
		fails := fails && i < success
		app := draftApp(old)
		app.WaitsFor = slices.DeleteFunc(slices.Clone(old.GetWaitsFor()), func(n string) bool { return n == name })
		if !fails {
			t.holdForArray(app)
			t.putApp(app)
			continue
		}
		app.Verdict, app.ExitCode = string(Failed), ExitFailed
		app.Reason = cleanReason(fmt.Sprintf("it depends on the success of %s, which %s", dependedOn(of, name), apiv1.AppStands(of.GetPhase(), false)))
		if err := t.settleAlone(app); err != nil {
			return nil, err
		}
		failed = append(failed, app)
	}
	return failed, nil
}

// dependedOn says on which app somebody depended who waited for that.
func dependedOn(of *apiv1.App, name string) string {
	if name == of.GetId() {
		return "app " + of.GetId()
	}
	return fmt.Sprintf("array %s with app %s", of.GetSpec().GetArray().GetId(), of.GetId())
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
