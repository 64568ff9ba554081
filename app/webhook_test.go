package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"aura/agents/fault"
	"aura/agents/healing"
	"aura/app/config"
	"aura/healing/incident"
	"aura/healing/policy"
)

// receiver is somebody's webhook: it fails as often as it is told to, and keeps what it got.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	fail   int
	bodies []string
	keys   []string
	got    chan struct{}
}

func newReceiver(t *testing.T, fail int) *receiver {
	r := &receiver{fail: fail, got: make(chan struct{}, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.keys = append(r.bodies, string(body)), append(r.keys, q.Header.Get("Idempotency-Key"))
		if r.fail > 0 {
			r.fail--
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		r.got <- struct{}{}
	}))
	t.Cleanup(r.Close)
	return r
}

// TestAPersonIsCalledByWebhook: a real receiver that is down at first gets the incident's id, again under the same key.
func TestAPersonIsCalledByWebhook(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 1)
	a := healed(t, func(c *config.Config) {
		c.Governance.Profile, c.Healing.Webhook = policy.Off, r.URL+"/hook/s3cret"
	})
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
	in := await(t, a, incident.Escalated)
	select {
	case <-r.got:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was called")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bodies) != 2 || r.bodies[0] != r.bodies[1] || r.keys[0] != r.keys[1] || r.keys[0] == "" {
		t.Errorf("%d calls with keys %q", len(r.bodies), r.keys)
	}
	var n healing.Notice
	if err := json.Unmarshal([]byte(r.bodies[1]), &n); err != nil || n.IncidentID != in.ID || n.Kind != in.Kind || n.Why != in.Escalation {
		t.Errorf("%+v, %v", n, err)
	}
	for _, words := range []string{"RESTART_AGENT denied by off: profile off: the system only watches", "a median of"} {
		if !strings.Contains(n.Text, words) {
			t.Errorf("the call doesn't say %q: %q", words, n.Text)
		}
	}
}

// TestAWebhookThatIsDownHoldsNobodyUp: calls are bounded in number and tries, healing never waits, and the URL, which may
// hold a secret, stays out of the log.
func TestAWebhookThatIsDownHoldsNobodyUp(t *testing.T) {
	r := newReceiver(t, 1000)
	for name, address := range map[string]string{"answers badly": r.URL + "/s3cret", "is gone": "http://127.0.0.1:1/s3cret?token=s3cret"} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			count := newLoopTelemetry(prometheus.NewRegistry())
			c := newCalls(address, nil, count, slog.New(slog.NewTextHandler(&log, nil)))
			c.pause = time.Millisecond
			for i := range 3 * callsWaiting { // nobody delivers yet: what finds no place is dropped, at once
				c.Call(healing.Notice{ID: "n", IncidentID: string(rune('a' + i%26))})
			}
			if n := len(c.recent()); n != callsShown {
				t.Errorf("%d calls on the page", n)
			}
			for len(c.queue) > 1 {
				<-c.queue
			}
			if err := c.start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for began := time.Now(); time.Since(began) < 10*time.Second && len(c.queue) > 0; time.Sleep(time.Millisecond) {
			}
			c.deliver(t.Context(), healing.Notice{ID: "last"}) // returns: tries are bounded
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := c.close(ctx); err != nil {
				t.Fatal(err)
			}
			counted := func(result string) float64 { return testutil.ToFloat64(count.webhook.WithLabelValues(result)) }
			if counted(webhookDelivered) != 0 || counted(webhookFailed) < 1 || counted(webhookDropped) != 2*callsWaiting {
				t.Errorf("counted: %v delivered, %v failed, %v dropped", counted(webhookDelivered), counted(webhookFailed), counted(webhookDropped))
			}
			if text := log.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, "try=5") || strings.Contains(text, "try=6") || !strings.Contains(text, "dropped") {
				t.Errorf("the log: %.600s", text)
			}
		})
	}
}
