// Package tally collects what the lanes of one agent count in a slot, until the agent's heartbeat takes it along.
//
// A Collector is shared by the lanes; each adds under its lock, once a batch where it can. It imports healing/detect.
package tally

import (
	"sync"

	"aura/healing/detect"
)

// Collector holds the counts since the last Take. The zero value is ready for use.
type Collector struct {
	mu     sync.Mutex
	counts detect.Counts
	used   bool
}

// Add lets f count. f must not keep the counts and must not block.
func (c *Collector) Add(f func(*detect.Counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = true
	f(&c.counts)
}

// Merge adds a lane's sketch, which the lane may use again at once.
func (c *Collector) Merge(s *detect.Sketch) error {
	var err error
	c.Add(func(counts *detect.Counts) { err = counts.Merge(&detect.Counts{Sketches: []*detect.Sketch{s}}) })
	return err
}

// Take returns what was counted since the last call, nil if nothing was.
func (c *Collector) Take() *detect.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.used {
		return nil
	}
	out := c.counts
	c.counts, c.used = detect.Counts{}, false
	return &out
}
