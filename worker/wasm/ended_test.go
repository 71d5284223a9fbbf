package wasm

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A guest that has exited by itself can be captured and restored: its memory is there, and it does not run again.
func TestCaptureOfAnEndedGuest(t *testing.T) {
	for _, name := range []string{"nompi", "exit"} { // returns from main; calls exit
		t.Run(name, func(t *testing.T) {
			module := compile(t, name)
			guest, err := module.New(context.Background(), GuestConfig{Args: []string{name, "0"}})
			require.NoError(t, err)
			require.False(t, guest.Ended())
			guest.Bind(&alone{})
			exit := guest.Run(context.Background())
			require.False(t, exit.Frozen)
			require.Empty(t, exit.Reason)
			require.True(t, guest.Ended())
			var image bytes.Buffer
			err = guest.Capture(&image)
			require.NoError(t, err)
			moved, err := module.Restore(context.Background(), GuestConfig{}, &image)
			require.NoError(t, err)
			require.True(t, moved.Ended())
			require.True(t, bytes.Equal(guest.Memory().Bytes(), moved.Memory().Bytes()))
			require.Panics(t, func() { moved.Run(context.Background()) })
			require.NoError(t, guest.Close(context.Background()))
			require.False(t, guest.Ended())
			require.Panics(t, func() { _ = guest.Capture(new(bytes.Buffer)) })
			require.NoError(t, moved.Close(context.Background()))
		})
	}
}
