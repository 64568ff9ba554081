package agents

import (
	"time"

	"aura/agents/bus"
)

const (
	// maxStrikes is how often a message may fail before it is given up.
	maxStrikes = 3
	// maxAside bounds the messages a lane sets aside; past it the lane waits.
	maxAside = 64

	asideDelay    = 100 * time.Millisecond
	maxAsideDelay = 2 * time.Second
)

// strike is a message that failed, with what is held against it.
type strike struct {
	message *bus.Message
	strikes int
	tries   int
	// mark is how much the agent had finished when the message last failed. A failure counts only if the agent has
	// finished something since: otherwise the agent is at fault, not the message.
	mark  int64
	due   time.Time
	cause error
}

// fail records one more failure.
func (s *strike) fail(cause error, finished int64, now time.Time) {
	if s.strikes == 0 || finished > s.mark {
		s.strikes++
	}
	s.mark, s.cause = finished, cause
	if s.out() {
		s.due = now
		return
	}
	s.postpone(now)
}

// postpone puts off the next try.
func (s *strike) postpone(now time.Time) {
	s.due = now.Add(backoff(s.tries, asideDelay, maxAsideDelay))
	s.tries++
}

// out reports that the message is to be given up.
func (s *strike) out() bool { return s.strikes >= maxStrikes }

// backoff is base doubled n times, at most limit.
func backoff(n int, base, limit time.Duration) time.Duration {
	if n >= 30 || base<<n > limit {
		return limit
	}
	return base << n
}
