package bus

import (
	"context"
	"errors"
	"testing"
)

// TestJoinedForAllTopics: who waits for a group waits until it reads all its topics, and for nothing where it reads none.
func TestJoinedForAllTopics(t *testing.T) {
	g := &kafkaGroup{
		name: "g", root: t.Context(), done: make(chan struct{}), lanes: map[string][]*kafkaLane{},
		change: func() {}, changed: make(chan struct{}, 1), joined: make(chan struct{}),
	}
	at := func(joined bool, when string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		if !joined {
			cancel()
		}
		defer cancel()
		if err := g.await(ctx); (err == nil) != joined || !joined && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; want joined: %v", when, err, joined)
		}
	}
	session := func() func() {
		if err := g.Setup(nil); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := g.Cleanup(nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	at(true, "nothing to read")
	g.add("a", nil)
	at(false, "no session yet")
	g.subscription()
	end := session()
	at(true, "a session")
	g.add("b", nil)
	at(false, "a session for the first topic only")
	end()
	end = session()
	at(false, "a session that was asked for before there was the second topic")
	end()
	g.subscription()
	end = session()
	at(true, "a session for both")
	end()
	at(false, "between two sessions")
	g.remove("a")
	g.remove("b")
	at(true, "nothing to read any more")
}
