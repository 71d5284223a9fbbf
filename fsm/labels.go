package fsm

import (
	"fmt"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// LabelRule is what an app asks of the labels of its hosts.
type LabelRule struct {
	Key    string
	Values []string // one of them
	Not    bool     // none of them
}

// ParseLabelRule reads KEY=VALUE, KEY=VALUE,VALUE or KEY!=VALUE.
func ParseLabelRule(text string) (LabelRule, error) {
	key, values, ok := strings.Cut(text, "=")
	key, not := strings.CutSuffix(key, "!")
	r := LabelRule{Key: key, Values: strings.Split(values, ","), Not: not}
	if !ok || badWord(key) || slices.ContainsFunc(r.Values, func(v string) bool { return v == "" || v != CleanText(v, MaxWordBytes) }) {
		return LabelRule{}, fmt.Errorf("%.80q is not KEY=VALUE, KEY=VALUE,VALUE or KEY!=VALUE", text)
	}
	return r, nil
}

// Holds tells whether labels are as the rule asks. A host without the label has none of its values.
func (r LabelRule) Holds(labels map[string]string) bool {
	v, has := labels[r.Key]
	return (has && slices.Contains(r.Values, v)) != r.Not
}

// LabelRules is what an app asks of the labels of its hosts, read once for many of them.
type LabelRules struct {
	texts  []string
	rules  []LabelRule
	spread string
}

// LabelRulesOf reads the rules of a spec. One that is none is met by no host.
func LabelRulesOf(spec *apiv1.AppSpec) *LabelRules {
	out := &LabelRules{texts: spec.GetOn(), spread: spec.GetSpread()}
	for _, text := range spec.GetOn() {
		r, err := ParseLabelRule(text)
		if err != nil {
			r = LabelRule{Values: []string{""}}
		}
		out.rules = append(out.rules, r)
	}
	return out
}

// Lacks says which rule, or which label to be spread over, labels do not meet; empty: they meet all.
func (r *LabelRules) Lacks(labels map[string]string) string {
	for i, rule := range r.rules {
		if !rule.Holds(labels) {
			return r.texts[i]
		}
	}
	if r.spread != "" && labels[r.spread] == "" {
		return r.spread
	}
	return ""
}

// LacksLabel says which rule of an app's on, or which label that it is spread over, labels do not meet; empty: they meet all.
func LacksLabel(labels map[string]string, spec *apiv1.AppSpec) string {
	return LabelRulesOf(spec).Lacks(labels)
}
