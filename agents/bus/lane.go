package bus

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errLaneClosed says that a mailbox went away under a publisher; the transport decides what that means.
var errLaneClosed = errors.New("bus: lane is closed")

// entry is a message in a lane and when it came there (Unix nanoseconds). In a lane that is fed from a log, place is its
// offset there, or gone when the log's partition is no longer ours.
type entry struct {
	m     *Message
	at    int64
	place int64
}

const gone int64 = -1

// lane is the bounded queue in memory behind every mailbox of this package: a ring of what waits and a list of what a
// reader has taken. Nobody waits while holding mu.
type lane struct {
	mu       sync.Mutex
	waiting  ring
	taken    []entry // oldest first, a tail of takenBuf
	takenBuf []entry
	capacity int
	overflow Overflow
	dropped  int64
	closed   bool
	// done is told the place of the last message that was acked, nil where nobody needs to know.
	done func(place int64)

	// wake holds one token for readers that wait; more readers than one exist only while one replaces another.
	wake    chan struct{}
	readers int
	// room is closed and made anew when a publisher waits and may go on.
	room    chan struct{}
	blocked int
}

func newLane(capacity int, overflow Overflow) *lane {
	return &lane{
		capacity: capacity,
		overflow: overflow,
		wake:     make(chan struct{}, 1),
		room:     make(chan struct{}),
	}
}

// Take implements Lane. With an ended context it takes nothing.
func (l *lane) Take(ctx context.Context, limit int) ([]*Message, error) {
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return nil, ErrClosed
		}
		if err := ctx.Err(); err != nil {
			l.signal() // the token this reader may have eaten was meant for its successor
			l.mu.Unlock()
			return nil, err
		}
		if l.waiting.n > 0 {
			batch := l.take(limit)
			l.signal()
			l.mu.Unlock()
			return batch, nil
		}
		l.readers++
		l.mu.Unlock()

		select {
		case <-l.wake:
		case <-ctx.Done():
		}

		l.mu.Lock()
		l.readers--
		l.mu.Unlock()
	}
}

// take moves up to limit messages from waiting to taken.
func (l *lane) take(limit int) []*Message {
	k := min(max(limit, 1), l.waiting.n)
	batch := make([]*Message, k)
	if len(l.taken) == 0 {
		l.taken = l.takenBuf[:0]
	}
	for i := range batch {
		e := l.waiting.pop()
		batch[i] = e.m
		l.taken = append(l.taken, e)
	}
	if len(l.taken) == k {
		l.takenBuf = l.taken // it may have grown
	}
	return batch
}

// signal wakes a reader if there is one and something to take. mu must be held.
func (l *lane) signal() {
	if l.closed || l.readers == 0 || l.waiting.n == 0 {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Ack implements Lane.
func (l *lane) Ack(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(max(n, 0), len(l.taken))
	if l.done != nil {
		for i := n - 1; i >= 0; i-- {
			if p := l.taken[i].place; p != gone {
				l.done(p)
				break
			}
		}
	}
	clear(l.taken[:n])
	l.taken = l.taken[n:]
	l.openRoom()
}

// Return implements Lane.
func (l *lane) Return() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.taken) - 1; i >= 0; i-- {
		e := l.taken[i]
		if e.place == gone {
			continue
		}
		again := *e.m
		e.m = &again
		l.waiting.unpop(e)
	}
	clear(l.taken)
	l.taken = nil
	l.signal()
}

// Len implements Lane.
func (l *lane) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.len()
}

func (l *lane) len() int { return len(l.taken) + l.waiting.n }

// OldestAt implements Lane.
func (l *lane) OldestAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.taken) > 0:
		return time.Unix(0, l.taken[0].at).UTC()
	case l.waiting.n > 0:
		return time.Unix(0, l.waiting.buf[l.waiting.head].at).UTC()
	}
	return time.Time{}
}

// add appends the messages that belong here: those i with lanes[i] == self, all of them if lanes is nil. What was added
// before an error stays.
func (l *lane) add(ctx context.Context, messages []*Message, lanes []uint16, self uint16, at int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, m := range messages {
		if lanes != nil && lanes[i] != self {
			continue
		}
		if err := l.put(ctx, entry{m: m, at: at}); err != nil {
			return err
		}
	}
	l.signal()
	return nil
}

// put appends one message as soon as there is room, or makes some. mu must be held.
func (l *lane) put(ctx context.Context, e entry) error {
	for !l.closed && l.len() >= l.capacity && l.overflow == Block {
		if err := l.awaitRoom(ctx); err != nil {
			return err
		}
	}
	switch {
	case l.closed:
		return errLaneClosed
	case l.len() < l.capacity:
		l.waiting.push(e)
	case l.waiting.n > 0:
		l.waiting.pop()
		l.waiting.push(e)
		l.dropped++
	default: // all are taken: the new one is the oldest that no one has
		l.dropped++
	}
	return nil
}

// feed appends what a log holds, in its order.
func (l *lane) feed(ctx context.Context, entries []entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		if err := l.put(ctx, e); err != nil {
			return err
		}
	}
	l.signal()
	return nil
}

// attach begins to tell done what is acked.
func (l *lane) attach(done func(place int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = done
}

// detach forgets what waits and lets what is taken go without a trace: all of it belongs to whoever reads the log's
// partition next.
func (l *lane) detach() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = nil
	l.waiting = ring{}
	for i := range l.taken {
		l.taken[i].place = gone
	}
	l.openRoom()
}

// awaitRoom gives up mu until there may be room, or the context ends.
func (l *lane) awaitRoom(ctx context.Context) error {
	l.signal() // what was added so far must be seen, else nobody makes room
	room := l.room
	l.blocked++
	l.mu.Unlock()
	var err error
	select {
	case <-room:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	l.blocked--
	return err
}

// openRoom lets waiting publishers look again. mu must be held.
func (l *lane) openRoom() {
	if l.blocked > 0 && !l.closed {
		close(l.room)
		l.room = make(chan struct{})
	}
}

func (l *lane) setOverflow(o Overflow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.overflow = o
	l.openRoom()
}

// close ends the lane; what it held is gone.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.openRoom()
	l.closed = true
	close(l.wake)
	l.waiting, l.taken, l.takenBuf, l.done = ring{}, nil, nil, nil
}

// snapshot appends all messages not acknowledged to dst.
func (l *lane) snapshot(dst []*Message) []*Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.taken {
		dst = append(dst, e.m)
	}
	for i := range l.waiting.n {
		dst = append(dst, l.waiting.at(i).m)
	}
	return dst
}

func (l *lane) droppedCount() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}
