package agents

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var errHung = errors.New("handler did not return after its context was cancelled")

// life is one incarnation of an agent: handlers and the loops that call them, nothing else.
type life struct {
	agent  *agent
	number int64
	began  time.Time
	loops  []*loop

	// taking ends when the life is over: loops finish what they are at, flush what is done and leave.
	taking context.Context
	cease  context.CancelFunc
	over   atomic.Bool

	once  sync.Once
	ended chan struct{}
	state State // how it ended; set before ended is closed
	cause string
	// zombies counts its abandoned goroutines that still run.
	zombies atomic.Int32
}

func (a *agent) begin(number int64) *life {
	l := &life{agent: a, number: number, began: time.Now(), ended: make(chan struct{})}
	l.taking, l.cease = context.WithCancel(a.sup.root)
	for _, lane := range a.lanes {
		l.loops = append(l.loops, newLoop(l, lane))
	}
	for _, p := range l.loops {
		go p.run()
	}
	return l
}

// end ends the life; the first cause stands.
func (l *life) end(s State, cause string) {
	l.once.Do(func() {
		l.state, l.cause = s, cause
		l.over.Store(true)
		l.cease()
		close(l.ended)
	})
}

// gone reports that all its goroutines have ended.
func (l *life) gone() bool {
	for _, p := range l.loops {
		select {
		case <-p.done:
		default:
			return false
		}
	}
	return true
}
