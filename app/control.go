package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/bus/middleware"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/tracing"
	"aura/store/complaint"
)

// control is the control plane of this process: Watermill's Router over the bus' control topics. Its handlers are short,
// and what they do is level-triggered, so a lost or doubled message costs a poll at most.
type control struct {
	transport bus.Transport
	view      *desired.View
	log       *slog.Logger
	router    *message.Router
	unheard   complaint.Log // what the bus would not take
}

// controlTimeout bounds one attempt of a control handler: what it reads is one row.
const controlTimeout = 5 * time.Second

func newControl(t bus.Transport, view *desired.View, tel *telemetry, tracer *tracing.Tracer, log *slog.Logger) (*control, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: stopWithin / 2}, bus.Quiet(log))
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	c := &control{transport: t, view: view, log: log, router: router}
	router.AddMiddleware(middleware.Chain(middleware.Options{
		Tracer:     tracer,
		DeadLetter: &middleware.DeadLetters{Topic: event.ConfigUpdates, Agent: "control", Send: middleware.SendTo(t)},
		Observe: func(handler string, result middleware.Result, took time.Duration) {
			tel.control.WithLabelValues(handler, string(result)).Observe(took.Seconds())
		},
		Retry:   &middleware.Backoff{Attempts: 3, First: 100 * time.Millisecond, Max: time.Second},
		Timeout: controlTimeout,
	}))
	for _, r := range []middleware.Result{middleware.Handled, middleware.Failed, middleware.Interrupted} {
		tel.control.WithLabelValues("desired-state", string(r))
	}
	router.AddConsumerHandler("desired-state", string(event.ConfigUpdates), t.Subscriber(), c.refresh)
	return c, nil
}

// refresh hears that a row of desired state changed.
func (c *control) refresh(m *message.Message) error { return c.view.Refresh(m.Context()) }

// announce tells other processes, and this one's own router, that a setting changed.
func (c *control) announce(ctx context.Context, setting string, generation int64) {
	m := bus.NewMessage(&event.ConfigUpdate{Setting: setting, Generation: generation}, now())
	m.TraceParent = tracing.From(ctx)
	if err := c.transport.Publish(ctx, m); err != nil {
		c.unheard.Say(c.log, slog.LevelWarn, "a change of desired state could not be announced; other processes find it when they poll", "setting", setting, "err", err)
	}
}

// step runs the router.
func (c *control) step() Step {
	done := make(chan error, 1)
	return Step{
		Name: "control plane",
		Start: func(ctx context.Context) error {
			go func() { done <- c.router.Run(context.WithoutCancel(ctx)) }()
			select {
			case <-c.router.Running():
				return nil
			case err := <-done:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		Stop: func(ctx context.Context) error {
			err := c.router.Close()
			select {
			case <-done:
			case <-ctx.Done():
			}
			return err
		},
	}
}
