package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"aura/web/api"
	"aura/web/page"
)

// live samples the overview once a second, keeps the last minutes of its figures for the page's charts, and sends the
// page's regions to the browsers that look; they are rendered once a tick, whoever looks.
type live struct {
	backend api.Backend
	log     *slog.Logger
	hub     *Hub
	pages   *page.Page

	mu     sync.Mutex
	latest *api.Overview
	at     time.Time
	points []page.Point
}

const (
	sampleEvery = time.Second
	// keepPoints is how many samples the charts show: five minutes.
	keepPoints = 300
)

func newLive(b api.Backend, log *slog.Logger) *live {
	return &live{backend: b, log: log, hub: NewHub(HubOptions{Clients: 32, Buffer: 2})}
}

// run samples until ctx ends.
func (l *live) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		l.sample(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sample asks once, and renders if somebody looks.
func (l *live) sample(ctx context.Context) {
	ask, cancel := context.WithTimeout(ctx, sampleEvery)
	defer cancel()
	if err := l.ask(ask); err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "overview not available", "error", err)
	}
	if l.hub.count.Load() == 0 {
		return
	}
	e, err := l.event(ctx)
	if err != nil {
		l.log.ErrorContext(ctx, "page not rendered", "error", err)
		return
	}
	l.hub.send(e)
}

func (l *live) ask(ctx context.Context) error {
	o, err := l.backend.Overview.Overview(ctx)
	if err == nil {
		l.add(o)
	}
	return err
}

func (l *live) add(o api.Overview) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := page.Point{At: o.At, Decided: o.Decided, Known: o.LatencyKnown, P50MS: o.P50MS, P99MS: o.P99MS}
	l.latest, l.at = &o, time.Now()
	if n := len(l.points); n > 0 {
		last := l.points[n-1]
		if p.At.Sub(last.At) < sampleEvery/2 {
			return // asked for in between: the charts keep to their second
		}
		if seconds := o.At.Sub(last.At).Seconds(); seconds > 0 {
			p.Rate = max(0, float64(o.Decided-last.Decided)/seconds)
		}
	}
	if len(l.points) >= keepPoints {
		l.points = append(l.points[:0], l.points[1:]...)
	}
	l.points = append(l.points, p)
}

// fresh reports whether there is a sample, and whether it is no older than within.
func (l *live) fresh(within time.Duration) (known, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest != nil, l.latest != nil && time.Since(l.at) < within
}

// model is what the page shows now. It asks the backend only if there is no fresh sample, and shows an old one, marked
// as such, rather than none: a page must work when little else does.
func (l *live) model(ctx context.Context) (page.Model, error) { return l.modelOf(ctx, 3*sampleEvery) }

// modelNow is the same for who loads the page, perhaps after a change of their own: no older than a moment.
func (l *live) modelNow(ctx context.Context) (page.Model, error) {
	return l.modelOf(ctx, sampleEvery/20)
}

func (l *live) modelOf(ctx context.Context, within time.Duration) (page.Model, error) {
	known, fresh := l.fresh(within)
	if !fresh {
		ask, cancel := context.WithTimeout(ctx, sampleEvery)
		defer cancel()
		err := l.ask(ask)
		if err != nil && !known {
			return page.Model{}, err
		}
		if fresh = err == nil; !fresh {
			_, fresh = l.fresh(3 * sampleEvery)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return page.Model{
		Overview: *l.latest, Points: append([]page.Point(nil), l.points...),
		FaultsEnabled: l.backend.Faults != nil, Stale: !fresh,
	}, nil
}

// event renders every region as the data of one event.
func (l *live) event(ctx context.Context) (event, error) {
	m, err := l.model(ctx)
	if err != nil {
		return event{}, err
	}
	regions, err := l.pages.Regions(m)
	if err != nil {
		return event{}, err
	}
	data, err := json.Marshal(regions)
	return event{kind: "page", data: data}, err
}
