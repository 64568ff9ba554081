package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
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

// TestAGroupAwaitsLeaders: of topics that were just created a group is joined once all their partitions have leaders that answer.
// Joined before, it would read one partition after the other, and what was published first would wait for the last of them.
func TestAGroupAwaitsLeaders(t *testing.T) {
	const tries = 3
	leaderless := func() *sarama.MockWrapper {
		return sarama.NewMockWrapper(&sarama.OffsetResponse{Version: 4, Blocks: map[string]map[int32]*sarama.OffsetResponseBlock{
			"new": {0: {Err: sarama.ErrNotLeaderForPartition}},
		}})
	}
	var spoken []sarama.ApiVersionsResponseKey
	for _, key := range []int16{2, 3, 10, 11, 18, 22} { // offsets, metadata, coordinator, join, versions, producer
		spoken = append(spoken, sarama.ApiVersionsResponseKey{ApiKey: key, MaxVersion: 4})
	}
	broker := sarama.NewMockBroker(t, 1)
	defer broker.Close()
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest":     sarama.NewMockApiVersionsResponse(t).SetApiKeys(spoken),
		"MetadataRequest":        sarama.NewMockMetadataResponse(t).SetBroker(broker.Addr(), 1).SetLeader("new", 0, 1),
		"InitProducerIDRequest":  sarama.NewMockWrapper(&sarama.InitProducerIDResponse{Version: 4, ProducerID: 1}),
		"OffsetRequest":          sarama.NewMockSequence(leaderless(), leaderless(), leaderless(), sarama.NewMockOffsetResponse(t).SetOffset("new", 0, sarama.OffsetNewest, 0)),
		"FindCoordinatorRequest": sarama.NewMockFindCoordinatorResponse(t).SetCoordinator(sarama.CoordinatorGroup, "g", broker),
		"JoinGroupRequest":       sarama.NewMockJoinGroupResponse(t).SetError(sarama.ErrGroupAuthorizationFailed),
	})
	requests := make(chan struct{}, 1)
	broker.SetNotifier(func(int, int) {
		select {
		case requests <- struct{}{}:
		default: // who looks sees this one, too
		}
	})
	k, err := NewKafka(KafkaOptions{Brokers: []string{broker.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	k.group("g").add("new", []*kafkaLane{nil})
	for {
		select {
		case <-requests:
		case <-time.After(10 * time.Second):
			t.Fatal("the group is never joined")
		}
		asked := 0
		for _, h := range broker.History() {
			switch h.Request.(type) {
			case *sarama.OffsetRequest:
				asked++
			case *sarama.JoinGroupRequest:
				if asked <= tries {
					t.Errorf("the group is joined after %d questions; the leader answered the one after %d", asked, tries)
				}
				return
			}
		}
	}
}
