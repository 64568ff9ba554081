package model

import (
	"sync"
	"time"

	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
)

// In safe mode the decision agent decides from the features themselves, and the model gets only a trickle, so that its
// health can be seen without anything depending on it.
const (
	tricklePerSecond = 5
	trickleMaxAge    = time.Second
)

// trickle thins the model's lanes while the service is in safe mode.
type trickle struct {
	view *desired.View

	mu   sync.Mutex
	next time.Time // when the next one may pass, over all lanes
}

func newTrickle(v *desired.View) *trickle { return &trickle{view: v} }

// filter passes everything in MODEL mode. In safe mode it passes at most one message of the batch (a lane has one
// handler, so at most one is outstanding), none older than a second, and five a second over all lanes.
func (t *trickle) filter(now time.Time, _ int, batch []*bus.Message) []*bus.Message {
	if t.view.Current().Mode != event.ModeSafe {
		return batch
	}
	newest := batch[len(batch)-1]
	if now.Sub(newest.Time) > trickleMaxAge {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		return nil
	}
	t.next = now.Add(time.Second / tricklePerSecond)
	return []*bus.Message{newest}
}
