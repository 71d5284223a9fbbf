package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/client"
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

// An interrupt that came before it was said what the next one does, or as good as then, is not the next one: Ctrl-C in a pipeline ends
// the reader too, and either may be noticed first.
func TestInterruptAfter(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Duration // of the interrupt, after it was said
		want bool          // it is the one that was asked for
	}{
		{name: "long before", at: -time.Hour},
		{name: "just before", at: -time.Millisecond},
		{name: "just after", at: sameInterrupt - time.Millisecond},
		{name: "later", at: sameInterrupt, want: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in, signals, over := newInterrupts(), make(chan os.Signal), make(chan struct{})
				defer close(over)
				go in.watch(signals, over)
				if tt.at < 0 {
					signals <- os.Interrupt
					time.Sleep(-tt.at)
				}
				said, left := time.Now(), make(chan bool, 1)
				go func() { left <- in.after(t.Context(), said) }()
				if tt.at > 0 {
					time.Sleep(tt.at)
					signals <- os.Interrupt
				}
				synctest.Wait()
				require.Len(t, left, map[bool]int{true: 1}[tt.want])
				time.Sleep(sameInterrupt)
				if !tt.want {
					signals <- os.Interrupt
				}
				require.True(t, <-left)
			})
		})
	}
}

// Ctrl-C and the loss of the pipe together end the app, and do not leave it, whichever of them is noticed first.
func TestInterruptOfAPipeline(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			nobody, err := client.New("127.0.0.1:1", -time.Second) // time stands still: one try
			require.NoError(t, err)
			r := &runner{in: newInterrupts(), f: &submitFlags{quiet: true}, client: nobody}
			r.in.at = time.Now()
			close(r.in.first)
			out := newOutput(func(*apiv1.LogLine) error { return syscall.EPIPE })
			_ = out.line(&apiv1.LogLine{}) // it is lost from here on
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			left := make(chan struct{})
			<-r.onInterrupt(ctx, func() { close(left) }, "a", out)
			synctest.Wait()
			require.False(t, closed(left))
			close(r.in.second)
			<-left
		})
	}
}
