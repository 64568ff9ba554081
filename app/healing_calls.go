package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"aura/agents/healing"
	"aura/store"
)

const (
	// callsWaiting bounds the calls that wait for the webhook; further ones are dropped, and said to be.
	callsWaiting = 64
	// callsShown is how many calls the page can list.
	callsShown = 100
	callTries  = 5
	callWithin = 5 * time.Second
)

// calls tells people: it keeps the last calls for the page and posts them to the webhook, if there is one. That a call was made
// is noted in the store, so that whoever heals next doesn't make it again.
type calls struct {
	url    string
	store  callStore
	client *http.Client
	pause  time.Duration // before the second try; it doubles
	count  *loopTelemetry
	log    *slog.Logger
	queue  chan healing.Notice
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	last []healing.Notice
}

// callStore knows which calls were made; *store.Store implements it.
type callStore interface {
	CallMade(ctx context.Context, id string) error
	CallOf(ctx context.Context, id string) (store.PersonCall, error)
}

func newCalls(address string, s callStore, count *loopTelemetry, log *slog.Logger) *calls {
	return &calls{
		url: address, store: s, count: count, log: log.With("component", "calls"), queue: make(chan healing.Notice, callsWaiting), done: make(chan struct{}), pause: time.Second,
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // whoever redirects shall not get the call sent elsewhere
		}},
	}
}

// Call implements healing.Caller.
func (c *calls) Call(n healing.Notice) {
	c.count.call(n)
	c.mu.Lock()
	if c.last = append(c.last, n); len(c.last) > callsShown {
		c.last = c.last[1:]
	}
	c.mu.Unlock()
	select {
	case c.queue <- n:
	default:
		if c.url == "" {
			return
		}
		c.count.hook(webhookDropped)
		c.log.Error("too many calls wait for the webhook; this one is dropped", "notice", n.ID)
	}
}

// recent calls, latest last.
func (c *calls) recent() []healing.Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]healing.Notice(nil), c.last...)
}

// start delivers in the background until close.
func (c *calls) start(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.run(ctx)
	return nil
}

func (c *calls) run(ctx context.Context) {
	defer close(c.done)
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-c.queue:
			c.deliver(ctx, n)
		}
	}
}

// deliver tries a few times, each a bit later. Only this goroutine waits for it: healing never does.
func (c *calls) deliver(ctx context.Context, n healing.Notice) {
	if c.url == "" { // log and page are all there is
		c.made(ctx, n)
		return
	}
	for i := range callTries {
		if !c.ours(ctx, n) {
			c.log.Info("a call is another process' to make, or was made", "notice", n.ID)
			return
		}
		err := c.post(ctx, n)
		if err == nil {
			c.count.hook(webhookDelivered)
			c.made(ctx, n)
			return
		}
		if ctx.Err() != nil {
			return
		}
		c.log.Warn("the webhook was not reached", "notice", n.ID, "try", i+1, "err", err)
		if i+1 < callTries && !wait(ctx, c.pause<<i, 0) {
			return
		}
	}
	c.count.hook(webhookFailed)
	c.log.Error("the webhook was not reached; the call is in the log and on the page only", "notice", n.ID)
}

// ours reports whether a call is still this process' to make: it may have been stopped for long, and others made it meanwhile.
func (c *calls) ours(ctx context.Context, n healing.Notice) bool {
	if n.Epoch == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	known, err := c.store.CallOf(ctx, n.ID)
	return err != nil || known.MadeAt.IsZero() && known.Epoch == n.Epoch // rather twice than never
}

func (c *calls) made(ctx context.Context, n healing.Notice) {
	if n.Epoch == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	if err := c.store.CallMade(ctx, n.ID); err != nil && ctx.Err() == nil {
		c.log.Warn("that a person was called could not be noted; they may be called again", "notice", n.ID, "err", err)
	}
}

func (c *calls) post(ctx context.Context, n healing.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("webhook: its URL makes no request")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", n.ID)
	res, err := c.client.Do(r)
	var named *url.Error
	if errors.As(err, &named) {
		err = named.Err // without the URL, which may hold a secret
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("webhook: %s", res.Status)
	}
	return nil
}

func (c *calls) close(ctx context.Context) error {
	c.cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
