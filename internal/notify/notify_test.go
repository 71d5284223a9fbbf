package notify

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSignal(t *testing.T) {
	s := NewSignal()
	s.Set()
	s.Set()
	require.Len(t, s, 1)
	<-s
	require.Empty(t, s)
	s.Set()
	require.Len(t, s, 1)
}

func TestBroadcast(t *testing.T) {
	var b Broadcast
	b.Wake() // nobody waits
	first, same := b.Watch(), b.Watch()
	select {
	case <-first:
		t.Fatal("nothing has happened since")
	default:
	}
	b.Wake()
	<-first
	<-same
	select {
	case <-b.Watch():
		t.Fatal("nothing has happened since")
	default:
	}
}
