package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress shows how far something is: a bar that is redrawn on a terminal, a line every five seconds elsewhere.
type progress struct {
	w     io.Writer
	bar   bool
	label string
	now   func() time.Time

	mu          sync.Mutex
	begun, last time.Time
	drawn       bool
}

func newProgress(w io.Writer, bar bool, label string, now func() time.Time) *progress {
	return &progress{w: w, bar: bar, label: label, now: now, begun: now(), last: now()}
}

// Set may be called from any goroutine.
func (p *progress) Set(done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	every := 5 * time.Second
	if p.bar {
		every = 100 * time.Millisecond
	}
	now := p.now()
	if total <= 0 || done < total && now.Sub(p.last) < every {
		return
	}
	p.last = now
	share := float64(done) / float64(total)
	if !p.bar {
		fmt.Fprintf(p.w, "%s: %d of %d (%.0f %%), %s\n", p.label, done, total, 100*share, now.Sub(p.begun).Round(100*time.Millisecond))
		return
	}
	const width = 40
	full := min(width, max(0, int(share*width)))
	p.drawn = true
	fmt.Fprintf(p.w, "\r%s [%s%s] %3.0f %%", p.label, strings.Repeat("=", full), strings.Repeat(" ", width-full), 100*share)
}

// End leaves the line of the bar.
func (p *progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprintln(p.w)
		p.drawn = false
	}
}
