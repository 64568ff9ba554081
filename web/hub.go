package web

import (
	"encoding/json"
	"sync"
	"sync/atomic"
)

// HubOptions bound a hub. Zero values mean the defaults named.
type HubOptions struct {
	// Clients is the most streams at once (64), Buffer how many events wait for one client (256).
	Clients, Buffer int
}

// Hub carries events to the streams of clients. Publish never blocks: what doesn't fit a client's buffer is dropped
// for that client and counted, and the client is told how many it missed. Without clients an event costs one load.
type Hub struct {
	options HubOptions
	count   atomic.Int32
	last    atomic.Uint64

	mu      sync.Mutex
	clients map[*subscription]struct{}
	closed  bool
}

// event is one encoded event. ID counts all events of the process.
type event struct {
	id   uint64
	kind string
	data []byte
}

type subscription struct {
	events  chan event
	kinds   map[string]bool // nil = all
	dropped atomic.Int64
}

// NewHub makes a hub.
func NewHub(o HubOptions) *Hub {
	if o.Clients <= 0 {
		o.Clients = 64
	}
	if o.Buffer <= 0 {
		o.Buffer = 256
	}
	return &Hub{options: o, clients: map[*subscription]struct{}{}}
}

// Publish sends an event of a kind (decision, agent, mode, model, fault, incident, alert) to all who listen to it. v is encoded as JSON
// once, and only if someone listens. Safe for concurrent use; after Close it does nothing.
func (h *Hub) Publish(kind string, v any) {
	if h.count.Load() == 0 {
		return
	}
	if !h.wanted(kind) {
		return
	}
	data, err := json.Marshal(v)
	if err != nil {
		return // the wire types always encode; anything else has no place here
	}
	h.send(event{kind: kind, data: data})
}

func (h *Hub) wanted(kind string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		if c.kinds == nil || c.kinds[kind] {
			return true
		}
	}
	return false
}

func (h *Hub) send(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.id = h.last.Add(1)
	for c := range h.clients {
		if c.kinds != nil && !c.kinds[e.kind] {
			continue
		}
		select {
		case c.events <- e:
		default:
			c.dropped.Add(1)
		}
	}
}

// subscribe returns nil if there are too many streams or the hub is closed.
func (h *Hub) subscribe(kinds map[string]bool) *subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.clients) >= h.options.Clients {
		return nil
	}
	s := &subscription{events: make(chan event, h.options.Buffer), kinds: kinds}
	h.clients[s] = struct{}{}
	h.count.Add(1)
	return s
}

func (h *Hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.clients[s]; ok {
		delete(h.clients, s)
		h.count.Add(-1)
	}
}

// Close ends every stream. It may be called twice.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.clients {
		close(s.events)
		delete(h.clients, s)
		h.count.Add(-1)
	}
}
