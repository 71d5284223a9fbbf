package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestParseArray: what --array means, and what it does not.
func TestParseArray(t *testing.T) {
	for text, want := range map[string]array{
		"0-3":        {indexes: []int32{0, 1, 2, 3}},
		"7":          {indexes: []int32{7}},
		"0-9:4%2":    {indexes: []int32{0, 4, 8}, atOnce: 2},
		"9,1,3-4":    {indexes: []int32{1, 3, 4, 9}},
		"5-5%10":     {indexes: []int32{5}, atOnce: 10},
		"0-32767":    {indexes: nil},
		"2147483647": {indexes: []int32{2147483647}},
	} {
		a, err := parseArray(text)
		require.NoError(t, err, text)
		if want.indexes == nil {
			require.Equal(t, maxArray, len(a.indexes)) //nolint:testifylint // they are not to be printed
			continue
		}
		require.Equal(t, want, *a, text)
	}
	for _, text := range []string{"", "a", "-1", "3-1", "0-32768", "1,1", "1-3,2", "1:2", "0-9:0", "0-9%", "0-9%0", "0-9%x", "1,", "99999999999", "0-2147483647"} {
		_, err := parseArray(text)
		require.ErrorContains(t, err, "--array "+text, text)
	}
}

// TestArrayMember: each app of an array has its index, and a name of its own, and shares nothing.
func TestArrayMember(t *testing.T) {
	a, err := parseArray("3-5:2%1")
	require.NoError(t, err)
	long := "a-name-that-is-as-long-as-a-name-may-be-which-is-sixty-three-by"
	spec := &apiv1.AppSpec{Name: long, Env: []string{"A=1"}}
	first, last := a.member(spec, "arr-x", 3), a.member(spec, "arr-x", 5)
	require.Equal(t, []string{"A=1", "GODWIT_ARRAY_ID=arr-x", "GODWIT_ARRAY_INDEX=3", "GODWIT_ARRAY_COUNT=2", "GODWIT_ARRAY_MIN=3", "GODWIT_ARRAY_MAX=5"}, first.Env)
	require.Equal(t, long[:61]+".5", last.Name)
	require.EqualValues(t, 1, last.Array.AtOnce)
	require.Len(t, spec.Env, 1)
}

func TestSplitDependency(t *testing.T) {
	for text, want := range map[string]bool{"a": false, "a:success": false, "a:end": true} {
		ref, anyEnd, err := splitDependency(text)
		require.NoError(t, err)
		require.Equal(t, "a", ref)
		require.Equal(t, want, anyEnd, text)
	}
	for _, text := range []string{"", ":end", "a:", "a:failure"} {
		_, _, err := splitDependency(text)
		require.ErrorContains(t, err, "--depends-on "+text)
	}
}

func TestParseLabel(t *testing.T) {
	k, v, err := parseLabel("zone=a b")
	require.NoError(t, err)
	require.Equal(t, "zone a b", k+" "+v)
	for _, text := range []string{"zone", "=a", "zone=", "z ne=a", "zone=a,b", "zone!=a", "zone=" + strings.Repeat("x", 300)} {
		_, _, err := parseLabel(text)
		require.ErrorContains(t, err, "--label", text)
	}
}

// TestRestoredSpecDependsOnNothing: an app that begins from a checkpoint waits for nothing that was waited for before it.
func TestRestoredSpecDependsOnNothing(t *testing.T) {
	spec, err := restoredSpec(&apiv1.Checkpoint{Id: "c", Spec: &apiv1.AppSpec{
		Name: "a", TimeLimitMs: 5, DependsOn: []*apiv1.Dependency{{App: "gone"}}, Array: &apiv1.ArrayPlace{Id: "arr-x"},
	}}, "", "")
	require.NoError(t, err)
	require.Empty(t, spec.DependsOn)
	require.Nil(t, spec.Array)
	require.EqualValues(t, 5, spec.TimeLimitMs)
}

// TestDependencyOnARange: the step of a range of an array is no condition.
func TestDependencyOnARange(t *testing.T) {
	for text, end := range map[string]bool{"arr-x_[0-9:2]": false, "arr-x_[0-9:2]:end": true, "arr-x_[1,3]:success": false} {
		ref, anyEnd, err := splitDependency(text)
		require.NoError(t, err, text)
		require.Equal(t, end, anyEnd, text)
		_, _, ok := splitMember(ref)
		require.True(t, ok, ref)
	}
	_, _, err := splitDependency("arr-x_[0-9:2]:never")
	require.Error(t, err)
}
