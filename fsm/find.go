package fsm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

var (
	// ErrNotFound is returned when nothing answers to the reference.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous is returned when more than one app answers to the reference.
	ErrAmbiguous = errors.New("ambiguous")
)

// idPrefix begins the ids that AppIDFor makes, and minDigits is how much must follow
// for the beginning of an id to mean an app: a slip of the hand cancels none.
const idPrefix, minDigits = AppIDPrefix, 3

// AppIDPrefix is what the ids of apps begin with.
const AppIDPrefix = "app-"

func tellsApps(ref string) bool {
	return !strings.HasPrefix(idPrefix, ref) && len(strings.TrimPrefix(ref, idPrefix)) >= minDigits
}

// FindApp finds the app a person means by ref: the app with this id, else that of an array by ARRAY_INDEX, else the
// one with this name, else the one whose id starts so, if that is enough of it to
// be meant (tellsApps). A whole name goes before
// the start of an id, for ids are random. Where several answer, those that have
// not ended are preferred; of a name that only ended ones have, the last that ran is
// meant, or else the last. If it is still not one, the error is ErrAmbiguous, or
// ErrNotFound where nothing answers at all.
func (v *View) FindApp(ref string) (*apiv1.App, error) {
	if app, ok := v.App(AppID(ref)); ok {
		return app, nil
	}
	if ref == "" {
		return nil, fmt.Errorf("app %q: %w", ref, ErrNotFound)
	}
	if strings.HasPrefix(ref, apiv1.ArrayPrefix) {
		return v.findMember(ref)
	}
	var live, ended []*apiv1.App
	add := func(app *apiv1.App) {
		if PhaseOf(app).Terminal() {
			ended = append(ended, app)
		} else {
			live = append(live, app)
		}
	}
	it := v.named.Root().Iterator()
	it.SeekPrefix(pairKey(ref, ""))
	for _, id, ok := it.Next(); ok; _, id, ok = it.Next() {
		if app, ok := v.App(id); ok {
			add(app)
		}
	}
	if len(live) == 0 && len(ended) > 0 {
		return slices.MaxFunc(ended, func(a, b *apiv1.App) int {
			return cmp.Or(cmp.Compare(ranOnce(a), ranOnce(b)), SubmissionOf(a).Compare(SubmissionOf(b)))
		}), nil
	}
	if len(live) == 0 && tellsApps(ref) {
		it := v.apps.Root().Iterator()
		it.SeekPrefix([]byte(ref))
		for _, app, ok := it.Next(); ok; _, app, ok = it.Next() {
			add(app)
		}
	}
	found := live
	if len(live) == 0 {
		found = ended
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("app %q: %w", ref, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("app %q: %w: %d apps answer to it, such as %s and %s: use the id of one",
		ref, ErrAmbiguous, len(found), found[0].GetId(), found[1].GetId())
}

// findMember finds an app by ARRAY_INDEX. No app's name begins as an array's id does.
func (v *View) findMember(ref string) (*apiv1.App, error) {
	array, text, named := strings.Cut(ref, apiv1.ArrayIndexMark)
	index, err := strconv.Atoi(text)
	for app := range v.OfArray(array) {
		switch {
		case !named:
			return nil, fmt.Errorf("app %q: %w: it is an array: use one of its apps, such as %s%s%d", ref, ErrAmbiguous, array, apiv1.ArrayIndexMark, app.GetSpec().GetArray().GetIndex())
		case err == nil && int(app.GetSpec().GetArray().GetIndex()) == index:
			return app, nil
		}
	}
	return nil, fmt.Errorf("app %q: %w", ref, ErrNotFound)
}

// ranOnce is 1 for an app that has run, else 0.
func ranOnce(app *apiv1.App) int {
	if app.GetStartedAt() != nil {
		return 1
	}
	return 0
}
