// Package complaint says a failure that repeats now and then, for all parts. It imports nothing of the tree.
package complaint

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// every is how often a failure is said.
const every = 10 * time.Second

// Log says one kind of failure at most once in 10 s, with how often it has happened since it was last said: a full disk fails
// everything, many times a second. The zero value is ready; any goroutine may use it.
type Log struct {
	mu     sync.Mutex
	said   time.Time
	unsaid int
}

// Say counts the failure, and logs it if it is time.
func (c *Log) Say(l *slog.Logger, level slog.Level, text string, args ...any) {
	c.mu.Lock()
	c.unsaid++
	n, now := c.unsaid, time.Now()
	if !c.said.IsZero() && now.Sub(c.said) < every {
		c.mu.Unlock()
		return
	}
	c.said, c.unsaid = now, 0
	c.mu.Unlock()
	l.Log(context.Background(), level, text, append(args, "failed_since_last", n)...)
}
