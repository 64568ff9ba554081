// Package shadow remembers the scores that the model gave beside safe mode, so that an outcome that comes later can say
// whether the model was right. It is bounded: the oldest score goes first. Safe for many goroutines; it imports nothing.
package shadow

import "sync"

// Score is what a model version said of an application.
type Score struct {
	Probability float64
	Version     int
}

// Scores remembers scores by our id.
type Scores struct {
	mu    sync.Mutex
	limit int
	byID  map[string]Score
	order []string
}

// New remembers at most limit scores.
func New(limit int) *Scores { return &Scores{limit: limit, byID: map[string]Score{}} }

// Put remembers a score.
func (s *Scores) Put(id string, score Score) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byID[id]; !known {
		s.order = append(s.order, id)
	}
	s.byID[id] = score
	for len(s.order) > s.limit {
		delete(s.byID, s.order[0])
		s.order = s.order[1:]
	}
}

// Get returns the score of an application, if it is remembered.
func (s *Scores) Get(id string) (Score, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	score, ok := s.byID[id]
	return score, ok
}
