package bus

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"aura/agents/event"
)

// directory knows the open mailboxes of a transport. Reading takes no lock.
type directory struct {
	mu     sync.Mutex
	closed atomic.Bool
	boxes  atomic.Pointer[map[event.Topic][]*mailbox]
}

func newDirectory() *directory {
	d := new(directory)
	d.boxes.Store(&map[event.Topic][]*mailbox{})
	return d
}

// of returns the mailboxes of a topic; the slice must not be changed.
func (d *directory) of(t event.Topic) []*mailbox { return (*d.boxes.Load())[t] }

// open finds the mailbox of a group or makes one. begin is called for a new one before anybody can see it.
func (d *directory) open(o MailboxOptions, lanes int, begin func(*mailbox) error) (*mailbox, error) {
	if o.Topic == "" {
		return nil, errors.New("bus: mailbox without a topic")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed.Load() {
		return nil, ErrClosed
	}
	for _, b := range d.of(o.Topic) {
		if o.Group != "" && b.group == o.Group {
			return b, nil
		}
	}
	b := newMailbox(o, lanes)
	b.end = func() { d.remove(b) }
	if begin != nil {
		if err := begin(b); err != nil {
			return nil, err
		}
	}
	d.replace(o.Topic, append(slices.Clone(d.of(o.Topic)), b))
	return b, nil
}

func (d *directory) remove(b *mailbox) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replace(b.topic, slices.DeleteFunc(slices.Clone(d.of(b.topic)), func(x *mailbox) bool { return x == b }))
}

// replace sets a topic's mailboxes in a new map. mu must be held.
func (d *directory) replace(t event.Topic, boxes []*mailbox) {
	next := map[event.Topic][]*mailbox{}
	for k, v := range *d.boxes.Load() {
		next[k] = v
	}
	if next[t] = boxes; len(boxes) == 0 {
		delete(next, t)
	}
	d.boxes.Store(&next)
}

// close ends all mailboxes; it reports false if that was done before.
func (d *directory) close() bool {
	d.mu.Lock()
	first := !d.closed.Swap(true)
	all := *d.boxes.Load()
	d.mu.Unlock()
	var closing sync.WaitGroup
	for _, boxes := range all {
		for _, b := range boxes {
			closing.Go(func() { _ = b.Close() }) // a reader of a broker may take a moment
		}
	}
	closing.Wait()
	return first
}
