package agents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	restartBase, restartLimit = 100 * time.Millisecond, 10 * time.Second
	// settled is how long a life must last for the next crash to count as the first again.
	settled = 10 * time.Second
	// numberTimeout bounds how long the store may take to hand out a life's number.
	numberTimeout = 5 * time.Second
)

// ask is a request for a restart.
type ask struct {
	ctx    context.Context
	reason string
	answer chan answer // with room for one
}

type answer struct {
	number int64
	err    error
}

// restart asks the keeper for the next life.
func (a *agent) restart(ctx context.Context, reason string) (int64, error) {
	req := ask{ctx, reason, make(chan answer, 1)}
	select {
	case a.asks <- req:
	case <-a.kept:
		return 0, ErrNotRunning
	case <-ctx.Done():
		return 0, fmt.Errorf("agents: restart %s: %w", a.spec.Name, ctx.Err())
	}
	r := <-req.answer // the keeper works under req.ctx and the agent's own, so this ends
	return r.number, r.err
}

// keeper is the goroutine that installs an agent's lives, one after the other.
type keeper struct {
	*agent
	life    *life
	ended   <-chan struct{} // of the life; nil once that has been dealt with
	due     *time.Timer     // when the next life is to be installed without being asked
	crashes int             // in a row
	mark    int64           // what the agent had finished when the life began
	fails   int             // to get a number, in a row
}

// keep runs until the agent is stopped.
func (a *agent) keep() {
	defer close(a.kept)
	k := &keeper{agent: a, due: time.NewTimer(0)}
	defer k.due.Stop()
	for {
		select {
		case <-a.run.Done():
			return
		case <-k.ended:
			k.bury()
		case <-k.due.C:
			k.auto()
		case req := <-a.asks:
			n, err := k.renew(req.ctx, req.reason)
			req.answer <- answer{n, err}
		}
	}
}

// bury notes how a life ended and says when the next one is due.
func (k *keeper) bury() {
	k.ended = nil
	k.become(k.life.state, k.life.cause, k.life.number)
	switch k.life.state {
	case Crashed:
		switch {
		case time.Since(k.life.began) > settled:
			k.crashes = 0
		case k.finished.Load() > k.mark:
			k.crashes = min(k.crashes, 1) // it got on with its work; then waiting longer helps nobody
		}
		var delay time.Duration
		if k.crashes > 0 {
			delay = backoff(k.crashes-1, restartBase, restartLimit)
		}
		k.crashes++
		k.due.Reset(delay)
	case Hung:
		k.due.Reset(0)
	}
}

// auto installs the next life unless that is somebody else's business.
func (k *keeper) auto() {
	o := &k.sup.opts
	if k.life != nil {
		if k.undead() >= o.MaxZombies {
			k.become(Quarantined, fmt.Sprintf("%d abandoned lives still run", o.MaxZombies), k.life.number)
			return
		}
		if cmp.Or(k.spec.Restart, o.Restart) == RestartGoverned && o.Governed != nil && o.Governed() {
			k.due.Reset(o.Heartbeat) // look again: the lease may lapse
			return
		}
	}
	if _, err := k.renew(k.run, "auto"); err != nil && k.run.Err() == nil {
		o.Logger.Error("no next life yet", "agent", k.spec.Name, "err", err)
		if k.life == nil {
			k.become(Starting, err.Error(), 0)
		}
		k.due.Reset(backoff(k.fails, restartBase, restartLimit))
		k.fails++
	}
}

// renew replaces the present life, dead or alive. If it can't, nothing has changed.
func (k *keeper) renew(ctx context.Context, reason string) (int64, error) {
	if k.undead() >= k.sup.opts.MaxZombies {
		return 0, fmt.Errorf("restart %s: %w", k.spec.Name, ErrQuarantined)
	}
	ctx, cancel := context.WithTimeout(ctx, numberTimeout)
	defer cancel()
	defer context.AfterFunc(k.run, cancel)()
	n, err := k.sup.opts.Incarnations.NextIncarnation(ctx, k.spec.Name, k.sup.opts.Instance)
	if err != nil {
		if k.run.Err() != nil {
			err = errors.Join(ErrNotRunning, err)
		}
		return 0, fmt.Errorf("agents: number of the next life of %s: %w", k.spec.Name, err)
	}
	k.due.Stop()
	k.fails = 0
	if k.life != nil {
		k.life.end(Stopped, "replaced: "+reason)
	}
	k.mark = k.finished.Load()
	k.life = k.install(n)
	k.ended = k.life.ended
	k.sup.opts.Logger.Info("a life begins", "agent", k.spec.Name, "incarnation", n, "reason", reason)
	return n, nil
}

// stop ends the agent's keeper and life. Handlers have this agent's part of what is left of ctx to finish; what is
// still running then is fenced and cancelled.
func (a *agent) stop(ctx context.Context, agentsLeft int) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(agentsLeft))
		defer cancel()
	}
	a.quit()
	<-a.kept
	a.mu.Lock()
	life := a.life
	a.mu.Unlock()
	if life != nil {
		life.end(Stopped, "")
		for _, p := range life.loops {
			select {
			case <-p.base.Done(): // it has left, or the watchdog has fenced it
			case <-ctx.Done():
				p.lane.evict(p)
			}
		}
	}
	a.become(Stopped, "", 0)
}

// abandoned waits a grace for everything that was fenced and says what is still running after it.
func (a *agent) abandoned(grace time.Duration) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	a.mu.Lock()
	lives := a.lives
	if a.life != nil {
		lives = append(lives[:len(lives):len(lives)], a.life)
	}
	a.mu.Unlock()
	for _, l := range lives {
		for _, p := range l.loops {
			select {
			case <-p.done:
			case <-timer.C:
				return fmt.Errorf("agents: %s: %d handlers did not return and were abandoned", a.spec.Name, a.zombies.Load())
			}
		}
	}
	return nil
}
