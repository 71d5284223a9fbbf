package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestSchedule compares a schedule with a plain map.
func TestSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model := newSchedule[int](), map[int]time.Time{}
		moment := func() time.Time { return time.Unix(rapid.Int64Range(0, 20).Draw(t, "second"), 0) }
		key := rapid.IntRange(0, 9)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, at := key.Draw(t, "key"), moment()
				s.set(k, at)
				model[k] = at
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				s.remove(k)
				delete(model, k)
			},
			"postpone": func(*rapid.T) {
				latest := moment()
				s.postpone(3*time.Second, latest)
				for k, at := range model {
					if at.Before(latest) {
						at = at.Add(3 * time.Second)
						if at.After(latest) {
							at = latest
						}
						model[k] = at
					}
				}
			},
			"": func(t *rapid.T) {
				now := moment()
				var want []int
				for k, at := range model {
					if !at.After(now) {
						want = append(want, k)
					}
					have, ok := s.when(k)
					require.True(t, ok)
					require.Equal(t, at, have)
				}
				require.ElementsMatch(t, want, s.due(now))
				require.Len(t, s.order, len(model))
			},
		})
	})
}
