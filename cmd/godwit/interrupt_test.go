package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The second interrupt is a second decision, and not the same signal twice; the first says the exit code.
func TestInterrupts(t *testing.T) {
	for _, same := range []time.Duration{time.Hour, 0} {
		in, signals, over := newInterrupts(), make(chan os.Signal), make(chan struct{})
		in.same = same
		ended := make(chan struct{})
		go func() { defer close(ended); in.watch(signals, over) }()
		require.False(t, in.came())
		signals <- syscall.SIGHUP
		<-in.first
		signals <- os.Interrupt
		if same > 0 {
			signals <- os.Interrupt
			require.False(t, closed(in.second))
			close(over)
		} else {
			<-in.second
		}
		<-ended
		require.Equal(t, 129, exitCode(in.exit(&exitError{code: exitInterrupted})))
		require.Equal(t, 3, exitCode(in.exit(&exitError{code: 3})))
	}
}
