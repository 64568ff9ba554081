package agents

import (
	"time"

	"aura/agents/bus"
)

// record returns what is held against m, or a clean record. mu is held.
func (l *lane) record(m *bus.Message) *strike {
	if l.suspect != nil && l.suspect.message.ID == m.ID {
		return l.suspect
	}
	return &strike{message: m}
}

// setAside moves the record's message from the head of the queue to the lane's own list, if there is room. The caller
// has acked everything before it. mu is held.
func (l *lane) setAside(s *strike) bool {
	if len(l.aside) >= maxAside {
		l.suspect = s
		return false
	}
	if l.suspect == s {
		l.suspect = nil
	}
	l.aside = append(l.aside, s)
	l.queue.Ack(1)
	l.single = max(0, l.single-1)
	return true
}

// remove drops a record from the list. mu is held.
func (l *lane) remove(s *strike) {
	for i, t := range l.aside {
		if t == s {
			l.aside = append(l.aside[:i], l.aside[i+1:]...)
			return
		}
	}
}

// next returns the record whose turn it is, or when the earliest one's turn comes (zero: none is there).
func (l *lane) next(now time.Time) (*strike, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first *strike
	for _, s := range l.aside {
		if first == nil || s.due.Before(first.due) {
			first = s
		}
	}
	switch {
	case first == nil:
		return nil, time.Time{}
	case first.due.After(now):
		return nil, first.due
	}
	return first, first.due
}

// holds marks the keys of messages that are set aside.
func (l *lane) holds(keys, held map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.aside {
		if key := s.message.Key(); keys[key] {
			held[key] = true
		}
	}
}
