package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFindByName: a name costs the apps that have it, live ones go before ended ones, and what is forgotten is not found.
func TestFindByName(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "module m", "submit heater m 1", "submit i1 m 1 name=heat", "submit i2 m 1 name=heater", "submit i3 m 1")
	find := func(ref string) string {
		v := m.View()
		bare := newView() // nothing else is looked at
		bare.apps, bare.named = v.apps, v.named
		app, err := bare.FindApp(ref)
		if err != nil {
			return err.Error()
		}
		return app.GetId()
	}
	require.Equal(t, 2, m.View().named.Len(), "an app without a name is not among them")
	require.Equal(t, "i1", find("heat"))
	require.Equal(t, "heater", find("heater"), "an id goes before a name")
	require.Equal(t, "heater", find("heate"))
	for _, little := range []string{"", "h", "he", "a", "ap", "app", "app-", "app-1", "app-12"} {
		require.Contains(t, find(little), "not found", "%q means no app", little)
	}
	at(t, m, 1, "stop i1 cancelled 0")
	require.Equal(t, "i1", find("heat"))
	at(t, m, 1, "submit i4 m 1 name=heat")
	require.Equal(t, "i4", find("heat"))
	at(t, m, 1, "stop i4 cancelled 0")
	require.Equal(t, "i4", find("heat"), "the last of those that have ended")
	at(t, m, 1, "submit i5 m 1 name=heat", "submit i6 m 1 name=heat")
	require.Contains(t, find("heat"), "2 apps answer to it, such as i5 and i6")
	at(t, m, 1, "stop i5 cancelled 0", "stop i6 cancelled 0")
	endMany(t, m, KeepSeconds+2, "a", MinEndedApps)
	require.Equal(t, 1, m.View().named.Len())
	require.Equal(t, "heater", find("heat"), "the start of an id")
	requireSound(t, m)
}

// TestFindMember: ARRAY_INDEX means one app of an array, and the array's id none.
func TestFindMember(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "level 4", "module m", "submit i1 m 1 array=arr-x,3,0", "submit i2 m 1 array=arr-x,14,0", "submit i3 m 1 array=arr-xy,3,0")
	for ref, id := range map[string]string{"arr-x_3": "i1", "arr-x_03": "i1", "arr-x_14": "i2", "arr-xy_3": "i3"} {
		app, err := m.View().FindApp(ref)
		require.NoError(t, err)
		require.Equal(t, id, app.GetId())
	}
	for ref, said := range map[string]string{"arr-x": "it is an array: use one of its apps, such as arr-x_3", "arr-x_4": "not found", "arr-x_3x": "not found", "arr-x_": "not found", "arr-z_3": "not found"} {
		_, err := m.View().FindApp(ref)
		require.ErrorContains(t, err, said)
	}
}
