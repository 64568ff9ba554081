package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"aura/web/api"
)

const (
	// heartbeat is how often a quiet stream says that it lives.
	heartbeat = 15 * time.Second
	// writeLimit is how long a client may take to read one event before its stream is cut (Server.writeLimit).
	writeLimit = 5 * time.Second
)

// eventKinds are the kinds that the stream has, beside gap.
var eventKinds = []string{"decision", "agent", "mode", "model", "fault", "incident", "alert"}

// eventsPath is the stream of live events.
const eventsPath = "/api/v1/events"

func (s *Server) registerEvents(r chi.Router, h huma.API) {
	r.Get(eventsPath, s.events)
	h.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: eventsPath, Tags: []string{"events"},
		Summary: "Live events as text/event-stream",
		Description: "Events `decision`, `agent`, `mode`, `model` and `fault`, each with the JSON of its resource; `incident`, a step of an " +
			"incident, and `alert`, what monitoring says of a signal that isn't healthy, repeated each second. A client that reads " +
			"too slowly misses events and gets a `gap` event with their number. Events are not kept: Last-Event-ID resumes nothing.",
		Parameters: []*huma.Param{{
			Name: "kinds", In: "query", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "Only these, separated by commas: " + strings.Join(eventKinds, ", ") + ". Another one is refused.",
		}},
		Responses: map[string]*huma.Response{
			"200":     {Description: "The stream", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}},
			"default": problemResponse(h.OpenAPI().Components.Schemas),
		},
	})
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	var kinds map[string]bool
	if list := r.URL.Query().Get("kinds"); list != "" {
		kinds = map[string]bool{}
		for k := range strings.SplitSeq(clip(list), ",") {
			if k = strings.TrimSpace(k); !slices.Contains(eventKinds, k) {
				s.fail(w, r, api.Refuse(api.Malformed, "kinds: there are no events %q; give some of %s, or leave it out", k, strings.Join(eventKinds, ", ")))
				return
			}
			kinds[k] = true
		}
	}
	s.stream(w, r, s.options.Hub, kinds, nil)
}

// stream writes a client's events until it goes, reads too slowly, or the hub closes. first, if not nil, is sent at once.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, hub *Hub, kinds map[string]bool, first *event) {
	sub := hub.subscribe(kinds)
	if sub == nil {
		refusal := api.Refuse(api.Unavailable, "too many event streams are open, or the server is stopping")
		refusal.RetryAfter = 5 * time.Second
		s.fail(w, r, refusal)
		return
	}
	defer hub.unsubscribe(sub)
	out := &eventWriter{w: w, control: http.NewResponseController(w), limit: s.writeLimit}
	if !out.begin() {
		return
	}
	if first != nil && !out.event(*first) {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			if !out.write(": beat\n\n") {
				return
			}
		case e, open := <-sub.events:
			if !open {
				return
			}
			if n := sub.dropped.Swap(0); n > 0 && !out.write("event: gap\ndata: {\"dropped\":"+strconv.FormatInt(n, 10)+"}\n\n") {
				return
			}
			if !out.event(e) {
				return
			}
		}
	}
}

// eventWriter writes the text/event-stream format; each method reports whether the client still reads.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration // of one write
	buf     []byte
}

func (o *eventWriter) begin() bool {
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	_ = o.control.SetReadDeadline(time.Time{}) // the server's would end the stream; not every writer has one
	return o.write("retry: 2000\n\n")
}

// event writes one event. data is JSON on one line, so that it needs one data line.
func (o *eventWriter) event(e event) bool {
	b := o.buf[:0]
	b = append(b, "id: "...)
	b = strconv.AppendUint(b, e.id, 10)
	b = append(b, "\nevent: "...)
	b = append(b, e.kind...)
	b = append(b, "\ndata: "...)
	b = append(b, e.data...)
	b = append(b, "\n\n"...)
	o.buf = b
	return o.write(string(b))
}

func (o *eventWriter) write(text string) bool {
	_ = o.control.SetWriteDeadline(time.Now().Add(o.limit))
	if _, err := o.w.Write([]byte(text)); err != nil {
		return false
	}
	return o.control.Flush() == nil
}
