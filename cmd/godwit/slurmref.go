package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/client"
)

// splitMember reads ARRAY_INDEX and ARRAY_[INDEXES], as Slurm names some of an array.
func splitMember(ref string) (array string, indexes []int32, ok bool) {
	array, list, ok := strings.Cut(ref, apiv1.ArrayIndexMark)
	if inner, closed := strings.CutPrefix(list, "["); closed {
		if list, closed = strings.CutSuffix(inner, "]"); !closed {
			return "", nil, false
		}
	} else if strings.ContainsAny(list, ",-:") {
		return "", nil, false
	}
	all, err := parseIndexes(list)
	if !ok || err != nil || !isArray(array) || all.atOnce > 0 {
		return "", nil, false
	}
	return array, slices.Compact(all.indexes), true
}

// memberRef is ARRAY_INDEX of an app of an array; empty: it is of none.
func memberRef(a *apiv1.App) string {
	of := a.GetSpec().GetArray()
	if of == nil {
		return ""
	}
	return indexRef(of.Id, of.Index)
}

// indexRef is ARRAY_INDEX.
func indexRef(array string, index int32) string {
	return array + apiv1.ArrayIndexMark + strconv.Itoa(int(index))
}

// memberApps are the apps that ARRAY_INDEX or ARRAY_[INDEXES] means.
func memberApps(ctx context.Context, cl *client.Client, ref string) ([]*apiv1.App, error) {
	array, indexes, _ := splitMember(ref)
	apps, err := arrayApps(ctx, cl, array)
	if err != nil {
		return nil, err
	}
	apps = slices.DeleteFunc(apps, func(a *apiv1.App) bool { return !slices.Contains(indexes, a.Spec.Array.Index) })
	if len(apps) < len(indexes) {
		return nil, fmt.Errorf("array %s has no app of an index of %s that is remembered: godwit ps -a shows what is", array, ref)
	}
	return apps, nil
}

// slurmRefers says whether one of the refs means the app: its id, its array, ARRAY_INDEX.
func slurmRefers(refs []string, a *apiv1.App) bool {
	for _, ref := range refs {
		array, indexes, member := splitMember(ref)
		of := a.GetSpec().GetArray()
		if ref == a.Id || of != nil && (ref == of.Id || member && array == of.Id && slices.Contains(indexes, of.Index)) {
			return true
		}
	}
	return false
}
