package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestWhyNoRanks(t *testing.T) {
	for want, host := range map[string]*apiv1.Host{
		"":                          {State: "ready"},
		"unfit: no disk":            {State: "ready", Reason: "registered", Unfit: "no disk"},
		"unfit: not reached":        {State: "ready", Unreached: "not reached"},
		"cordoned":                  {State: "ready", Wish: "cordoned", Unfit: "no disk"},
		"draining: a new kernel":    {State: "ready", Wish: "draining", WishReason: "a new kernel"},
		"lost: no heartbeat for 9s": {State: "lost", Reason: "no heartbeat for 9s", Unfit: "no disk", Wish: "draining", WishReason: "a new kernel"},
	} {
		require.Equal(t, want, WhyNoRanks(host))
		require.Equal(t, want == "", TakesRanks(host))
	}
}
