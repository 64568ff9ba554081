package bus

import (
	"context"
	"sync"
)

// flow counts what is on its way to a mailbox and makes publishers wait while that is limit or more.
type flow struct {
	mu    sync.Mutex
	n     int
	limit int
	ended bool
	room  chan struct{} // closed and made anew when n falls below limit
}

func newFlow(limit int) *flow { return &flow{limit: limit, room: make(chan struct{})} }

// enter adds k as soon as there are fewer than limit.
func (f *flow) enter(ctx context.Context, k int) error {
	for {
		f.mu.Lock()
		if f.n < f.limit || f.ended {
			f.n += k
			f.mu.Unlock()
			return nil
		}
		room := f.room
		f.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave takes k away. A message that was published while its mailbox was being opened never entered.
func (f *flow) leave(k int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.n
	f.n = max(0, f.n-k)
	if was >= f.limit && f.n < f.limit && !f.ended {
		close(f.room)
		f.room = make(chan struct{})
	}
}

// open lets everybody pass from now on.
func (f *flow) open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.room)
	}
}
