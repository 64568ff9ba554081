package app_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"aura/app"
	"aura/app/config"
)

// TestNothingIsLeftBehind starts and stops ten times, each time on the same directory and with work done, and looks for
// goroutines that are left.
func TestNothingIsLeftBehind(t *testing.T) {
	http.DefaultClient.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	told := newBook()
	for n := range 10 {
		bus := []string{"memory", "gochannel"}[n%2]
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := runIn(t, dir, func(c *config.Config) {
				c.Bus.Kind = bus
				c.Simulate.Rate = 500
				c.Shutdown.Timeout = time.Minute // a drain that runs out of time leaves rows to the next start; here none may
			})
			id := fmt.Sprintf("cycle-%d", n)
			told.decided(id, r.decide(id))
			r.setMode([]string{"SAFE_MODE", "MODEL"}[n%2])
			told.accepted(r.accept(id, 1)[0])
			r.stop()
		})
	}
	t.Run("book", func(t *testing.T) { checkBook(t, dir, told) }) // its own connection ends with it
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestNothingIsLeftOfAFailedStart makes New and Start fail, and looks for what they had begun.
func TestNothingIsLeftOfAFailedStart(t *testing.T) {
	http.DefaultClient.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	taken := runIn(t, t.TempDir(), nil)
	for _, c := range []struct {
		name   string
		change func(*config.Config)
		// refused is what a person must change; else it is a failure of the start.
		refused bool
	}{
		{"selection", func(c *config.Config) { c.Agents.Select = []string{"model"} }, true},
		{"address without a token", func(c *config.Config) { c.HTTP.Addr = "0.0.0.0:0" }, true},
		{"directory in use", func(c *config.Config) { c.Data.Dir = taken.dir }, true},
		{"schema", func(c *config.Config) { c.Schema.File = filepath.Join(dir, "none.yaml") }, true},
		{"address in use", func(c *config.Config) { c.HTTP.Addr = taken.URL()[len("http://"):] }, true},
	} {
		cfg := settings(dir)
		c.change(&cfg)
		a, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			err = a.Start(t.Context())
		}
		var refused *app.Refused
		if err == nil || errors.As(err, &refused) != c.refused {
			t.Errorf("%s: %v; refused: %v", c.name, err, c.refused)
		}
	}
	r := runIn(t, dir, nil) // nothing holds the directory either
	r.decide("after")
	r.stop()
	taken.stop()
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestStopTwice: the second stop does nothing.
func TestStopTwice(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	r.decide("one")
	r.stop()
	if err := r.Stop(context.Background()); err != nil {
		t.Errorf("the second stop: %v", err)
	}
}
