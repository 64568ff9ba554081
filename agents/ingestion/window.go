package ingestion

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"aura/agents/event"
)

// Window holds the applications of this process that are accepted (or about to be) and not known to be decided. Its
// size bounds what the process keeps: intake past it is refused or waits. It also finds who waits for a decision.
type Window struct {
	size int

	mu       sync.Mutex
	reserved int               // places taken by applications that are not committed yet, or not known to be
	shut     bool              // intake gets no place any more
	entries  map[string]*entry // by our id
	freed    chan struct{}     // closed and renewed when room appears
	reached  time.Time         // the latest publication of any application that is decided since
	moved    time.Time         // when one was last decided
	counts   *latencyCounter   // nil counts nothing
}

// entry is one undecided application.
type entry struct {
	event   *event.RawEvent
	trace   string // the W3C trace context that its messages go on
	waiters []chan *event.Decision
	// sweepAt is when the sweeper looks at it next (monotonic: no change of the wall clock puts it off), delay what it
	// adds then.
	sweepAt time.Time
	delay   time.Duration
	// unpublished is set while no publication of it has succeeded; sent is when one last did.
	unpublished bool
	sent        time.Time
	// overtime is set once it has been counted as slow while in flight.
	overtime bool
	// counted is set once its decision is written and counted, though not heard of here yet.
	counted bool
}

// NewWindow makes a window of the given size.
func NewWindow(size int) *Window {
	return &Window{size: size, entries: map[string]*entry{}, freed: make(chan struct{})}
}

// TryReserve takes n places, or none: ErrFull if they aren't free, ErrStopping once the window is shut.
func (w *Window) TryReserve(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut {
		return ErrStopping
	}
	if !w.take(n) {
		return ErrFull
	}
	return nil
}

// take takes n places if they are free.
func (w *Window) take(n int) bool {
	if len(w.entries)+w.reserved+n > w.size {
		return false
	}
	w.reserved += n
	return true
}

// Reserve waits for n places until ctx ends or the window is shut.
func (w *Window) Reserve(ctx context.Context, n int) error { return w.reserve(ctx, n, false) }

// reserve waits for n places; committed ones are let in when the window is shut, too.
func (w *Window) reserve(ctx context.Context, n int, committed bool) error {
	for {
		w.mu.Lock()
		refused := w.shut && !committed
		taken := !refused && w.take(n)
		freed := w.freed
		w.mu.Unlock()
		switch {
		case refused:
			return ErrStopping
		case taken:
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Shut gives intake no place any more, at once also where it waits for one. What is in the window, or has a place, goes on.
func (w *Window) Shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
	w.wake()
}

// Release gives n reserved places back.
func (w *Window) Release(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reserved -= n
	w.wake()
}

func (w *Window) wake() {
	close(w.freed)
	w.freed = make(chan struct{})
}

// track turns a reserved place into an entry, or gives it back where there is one already; adopted says which. If wait is
// set, the channel gets the decision; it is nil where too many wait already.
func (w *Window) track(e *event.RawEvent, trace string, sweepAt time.Time, delay time.Duration, wait bool) (adopted bool, decision <-chan *event.Decision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reserved--
	x := w.entries[e.ID]
	if x == nil {
		adopted = true
		x = &entry{event: e, trace: trace, sweepAt: sweepAt, delay: delay, unpublished: true}
		w.entries[e.ID] = x
	} else {
		w.wake()
	}
	if !wait || len(x.waiters) >= maxWaiters {
		return adopted, nil
	}
	c := make(chan *event.Decision, 1)
	x.waiters = append(x.waiters, c)
	return adopted, c
}

// traceParent is the trace context of an application in the window, "" for one that isn't there.
func (w *Window) traceParent(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.entries[id]; x != nil {
		return x.trace
	}
	return ""
}

// maxWaiters bounds who may wait for one application; more are answered as pending.
const maxWaiters = 64

// crowded reports whether half of the places are taken.
func (w *Window) crowded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 2*(len(w.entries)+w.reserved) >= w.size
}

// holds reports whether the application is in the window.
func (w *Window) holds(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.entries[id] != nil
}

// published notes that the bus has the application.
func (w *Window) published(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, id := range ids {
		if x := w.entries[id]; x != nil {
			x.unpublished, x.sent = false, now
		}
	}
}

// Decided ends an application's stay and tells who waits.
func (w *Window) Decided(decisions ...*event.Decision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	any := false
	for _, d := range decisions {
		x := w.entries[d.ID]
		if x == nil {
			continue
		}
		delete(w.entries, d.ID)
		any = true
		if x.sent.After(w.reached) {
			w.reached = x.sent
		}
		w.counts.decided(d, x.overtime)
		for _, c := range x.waiters {
			c <- d
		}
	}
	if any {
		w.moved = time.Now()
		w.wake()
	}
}

// inLine reports whether an application may still stand in the line of what was published, where nobody can look into it: there is
// progress, and nothing that was published much later is decided. Lines are not quite in step, and not all are equally long.
func (w *Window) inLine(now time.Time, id string, slack time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.entries[id]
	return x != nil && !x.sent.IsZero() && now.Sub(w.moved) < slack && w.reached.Sub(x.sent) < slack
}

// Undecided counts the applications in the window.
func (w *Window) Undecided() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

// Pending counts the applications in the window and those that may be committed at any moment: they have a place, wherever
// whoever sent them has gone.
func (w *Window) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries) + w.reserved
}

// OldestAge is the age of the application that waits longest, 0 if none does.
func (w *Window) OldestAge(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var oldest time.Duration
	for _, x := range w.entries {
		oldest = max(oldest, now.Sub(x.event.AcceptedAt))
	}
	return oldest
}

// overdue counts the applications in flight since before the given time, and returns when those were accepted that it
// sees for the first time.
func (w *Window) overdue(before time.Time) (n int64, fresh []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.entries {
		if !x.event.AcceptedAt.Before(before) {
			continue
		}
		n++
		if !x.overtime {
			x.overtime = true
			fresh = append(fresh, x.event.AcceptedAt)
		}
	}
	return n, fresh
}

// Counted notes that the decision on an application is written and counted: until it is heard of here, Late leaves it out.
func (w *Window) Counted(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.entries[id]; x != nil {
		x.counted = true
	}
}

// Late counts the undecided applications that were accepted before the given time, and says when the oldest was.
func (w *Window) Late(before time.Time) (n int64, oldest time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.entries {
		at := x.event.AcceptedAt
		if x.counted || !at.Before(before) {
			continue
		}
		if n++; n == 1 || at.Before(oldest) {
			oldest = at
		}
	}
	return n, oldest
}

// due lists the applications whose time to be looked at has come, all of them if now is zero, those first that came first.
func (w *Window) due(now time.Time) (waiting, unpublished []*event.RawEvent) {
	waiting, unpublished = w.dueUnsorted(now)
	byAge := func(a, b *event.RawEvent) int { return cmp.Compare(a.ID, b.ID) } // a UUIDv7 begins with the time
	slices.SortFunc(waiting, byAge)
	slices.SortFunc(unpublished, byAge)
	return waiting, unpublished
}

func (w *Window) dueUnsorted(now time.Time) (waiting, unpublished []*event.RawEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.entries {
		switch {
		case x.unpublished:
			unpublished = append(unpublished, x.event)
		case now.IsZero() || !now.Before(x.sweepAt):
			waiting = append(waiting, x.event)
		}
	}
	return waiting, unpublished
}

// postpone sets when the given applications are looked at next; grow doubles their delay up to limit.
func (w *Window) postpone(now time.Time, grow bool, limit time.Duration, ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		x := w.entries[id]
		if x == nil {
			continue
		}
		if grow {
			x.delay = min(2*x.delay, limit)
		}
		x.sweepAt = now.Add(x.delay)
	}
}

// reset brings every delay back to d: an outage is over. It makes nobody wait longer, however often it is called.
func (w *Window) reset(now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.entries {
		x.delay = d
		if at := now.Add(d); at.Before(x.sweepAt) {
			x.sweepAt = at
		}
	}
}
