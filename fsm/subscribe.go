package fsm

import (
	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
)

// topicKind is the kind of object that a topic is about.
type topicKind uint8

const (
	kindEverything topicKind = iota
	kindCluster
	kindApp
	kindHost
	kindMigration
	kindCheckpoint
	kindModule
)

// Topic is what a subscriber wants to hear of. Topics are comparable.
type Topic struct {
	kind topicKind
	id   string // of an app; empty: any of the kind
}

// Topics that are not about one object.
//
//nolint:gochecknoglobals // constants, if structs could be
var (
	// Everything: any entry, even one that changes nothing.
	Everything = Topic{kind: kindEverything}
	// TheCluster: its id, feature level, alarms, and hashes.
	TheCluster    = Topic{kind: kindCluster}
	AnyApp        = Topic{kind: kindApp}
	AnyHost       = Topic{kind: kindHost}
	AnyMigration  = Topic{kind: kindMigration}
	AnyCheckpoint = Topic{kind: kindCheckpoint}
	AnyModule     = Topic{kind: kindModule}
)

// OfApp is one app: its submission, its changes, and that it is forgotten.
func OfApp(id AppID) Topic { return Topic{kind: kindApp, id: string(id)} }

// Subscription wakes its owner when what it is about has changed.
type Subscription struct {
	feed   *Feed
	topics []Topic
	wake   notify.Signal
	ended  map[AppID]*apiv1.App // that it is about; guarded by feed.mu
}

// Subscribe starts a subscription to the topics. Its owner must Close it.
// Subscribe first, then look at the View, then wait: no change is missed.
func (f *Feed) Subscribe(topics ...Topic) *Subscription {
	s := &Subscription{feed: f, topics: topics, wake: notify.NewSignal()}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, topic := range topics {
		if f.subs[topic] == nil {
			f.subs[topic] = make(map[*Subscription]struct{})
		}
		f.subs[topic][s] = struct{}{}
	}
	return s
}

// C has a value when something of the topics has changed since the last receive,
// however often, or a snapshot was restored. It is never closed.
func (s *Subscription) C() <-chan struct{} { return s.wake }

// Ended is the app as it ended, if it has since Subscribe and the subscription is
// about this app (OfApp); else nil. It does not matter that the app may be
// forgotten by now.
func (s *Subscription) Ended(id AppID) *apiv1.App {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.ended[id]
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	for _, topic := range s.topics {
		delete(s.feed.subs[topic], s)
		if len(s.feed.subs[topic]) == 0 {
			delete(s.feed.subs, topic)
		}
	}
}
