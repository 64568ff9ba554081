package tracing

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	// kept is how many spans of an agent are remembered, maxLinks how many an incident is linked to.
	kept     = 16
	maxLinks = 8
)

// recent remembers each agent's newest spans, also while they are open: what an incident was about is often still at work.
type recent struct {
	mu   sync.Mutex
	rows map[string]*row
}

type row struct {
	spans [kept]*Span
	next  int
}

func (r *recent) add(agent string, s *Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = map[string]*row{}
	}
	of := r.rows[agent]
	if of == nil {
		of = &row{}
		r.rows[agent] = of
	}
	of.spans[of.next] = s
	of.next = (of.next + 1) % kept
}

// Suspects are spans of the agents that have failed, or took or have been taking longer than a time, and began after an instant:
// what an incident is likely to be about. At most 8.
func (t *Tracer) Suspects(agents []string, longer time.Duration, after time.Time) []trace.SpanContext {
	if t == nil {
		return nil
	}
	t.recent.mu.Lock()
	defer t.recent.mu.Unlock()
	var out []trace.SpanContext
	for _, agent := range agents {
		of := t.recent.rows[agent]
		if of == nil {
			continue
		}
		for _, s := range of.spans {
			if s != nil && len(out) < maxLinks && s.began.After(after) && s.suspect(longer) {
				out = append(out, s.span.SpanContext())
			}
		}
	}
	return out
}

func (s *Span) suspect(longer time.Duration) bool {
	took := time.Duration(s.ended.Load())
	if took == 0 {
		took = time.Since(s.began)
	}
	return s.failed.Load() || took > longer
}
