package app_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aura/mlops/schema"
	"aura/mlops/synth"
)

// crowd are applicants of the population that a model knows. They come at a rate, whatever becomes of those before them; who is
// decided says soon what became of the loan, and what everybody is told goes into the book.
type crowd struct {
	base string
	book *book
	n    atomic.Int64

	decided atomic.Int64 // who were told so at once

	mu      sync.Mutex
	counts  map[int]int           // by status
	slowest map[int]time.Duration // by status
	turned  []applicant           // away, with 429, 503 or no answer
}

type applicant struct {
	id   string
	body any
	bad  bool
}

// answersWithin bounds how long anybody waits for an answer.
const answersWithin = 13 * time.Second

func newCrowd(base string) *crowd {
	c := &crowd{base: base, book: newBook()}
	c.counts, c.slowest = map[int]int{}, map[int]time.Duration{}
	return c
}

// come has applicants come until ctx ends; then it waits for all answers.
func (c *crowd) come(ctx context.Context, perSecond int) {
	var all sync.WaitGroup
	defer all.Wait()
	g := synth.New(4711)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		values, bad := g.Values(nil)
		record, err := schema.Builtin().Record(values)
		if err != nil {
			c.book.wrong("%v", err)
			return
		}
		id := fmt.Sprintf("crowd-%d", c.n.Add(1))
		all.Go(func() {
			c.apply(applicant{id, map[string]any{"application_id": id, "features": record}, bad})
		})
	}
}

// apply reports whether somebody was taken in.
func (c *crowd) apply(a applicant) bool {
	var r sighting
	begun := time.Now()
	status, err := call(http.MethodPost, c.base+"/api/v1/applications", a.body, &r)
	took := time.Since(begun)
	if err != nil || took > answersWithin {
		c.book.wrong("%s waited %v for an answer: %d, %v", a.id, took.Round(time.Millisecond), status, err)
	}
	c.mu.Lock()
	c.counts[status]++
	c.slowest[status] = max(c.slowest[status], took)
	c.mu.Unlock()
	switch status {
	case http.StatusOK:
		c.book.decided(a.id, r)
		c.decided.Add(1)
		outcome := "repaid"
		if a.bad {
			outcome = "defaulted"
		}
		_, _ = call(http.MethodPost, c.base+"/api/v1/feedback", map[string]string{"application_id": a.id, "outcome": outcome}, nil)
		return true
	case http.StatusAccepted:
		c.book.accepted(a.id)
		return true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		c.mu.Lock()
		c.turned = append(c.turned, a)
		c.mu.Unlock()
		return false
	}
	c.book.wrong("%s: status %d, %v", a.id, status, err)
	return false
}

// again sends those who were turned away once more, as clients do: some of them were taken in all the same.
func (c *crowd) again(t *testing.T) int {
	t.Helper()
	c.mu.Lock()
	list := c.turned
	c.turned = nil
	c.mu.Unlock()
	for _, a := range list {
		until(t, time.Minute, "an answer for "+a.id, func() string {
			if c.apply(a) {
				return ""
			}
			return "turned away"
		})
	}
	return len(list)
}

// told are the answers since this was last asked: how many of each status, and that in words, with the slowest of each.
func (c *crowd) told() (answers map[int]int, words string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(c.counts)) {
		parts = append(parts, fmt.Sprintf("%d of %d (at most %v)", c.counts[status], status, c.slowest[status].Round(time.Millisecond)))
	}
	answers = c.counts
	c.counts, c.slowest = map[int]int{}, map[int]time.Duration{}
	return answers, strings.Join(parts, ", ")
}
