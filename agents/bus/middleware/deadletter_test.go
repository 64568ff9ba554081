package middleware_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/bus/middleware"
	"aura/agents/event"
)

func TestDeadLetter(t *testing.T) {
	b := bus.NewMemory(bus.MemoryOptions{})
	defer b.Close()
	box, err := b.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates.DLQ(), Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	d := &middleware.DeadLetters{Topic: event.ConfigUpdates, Agent: "desired", Send: middleware.SendTo(b), Now: func() time.Time { return at }}
	calls := 0
	m := incoming(t.Context())
	m.Metadata.Set(bus.HeaderSubject, "mode")
	if out, err := d.Middleware(failing(1, io.EOF, &calls))(m); out != nil || err != nil {
		t.Fatalf("a dead letter is done with: %v, %v", out, err)
	}
	for _, l := range box.Lanes() {
		if l.Len() == 0 {
			continue
		}
		got, err := l.Take(t.Context(), 10)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d dead letters: %v", len(got), err)
		}
		e := got[0].Event.(*event.DeadLetter)
		if e.From != event.ConfigUpdates || e.ID != "m-1" || e.Subject != "mode" || e.Agent != "desired" || e.Error != "EOF" ||
			!e.At.Equal(at) || string(e.Payload) != `{"n":1}` {
			t.Errorf("dead letter %+v", e)
		}
		return
	}
	t.Fatal("no dead letter")
}

// TestDeadLetterSpares: an interrupted handler says nothing about its message.
func TestDeadLetterSpares(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx context.Context //nolint:containedctx // a test's case
		err error
	}{
		"shutdown, whatever the error": {ended, io.EOF},
		"cancelled":                    {t.Context(), context.Canceled},
		"fenced":                       {t.Context(), middleware.ErrFenced},
		"bus closed":                   {t.Context(), bus.ErrClosed},
		"bus full":                     {t.Context(), bus.ErrFull},
	} {
		t.Run(name, func(t *testing.T) {
			d := &middleware.DeadLetters{Topic: event.ConfigUpdates, Send: func(context.Context, *event.DeadLetter) error {
				t.Error("sent to the dead letters")
				return nil
			}}
			calls := 0
			if _, err := d.Middleware(failing(1, c.err, &calls))(incoming(c.ctx)); !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
		})
	}
}

// TestDeadLetterUnsent: a message that can't be put aside stays.
func TestDeadLetterUnsent(t *testing.T) {
	down := errors.New("down")
	d := &middleware.DeadLetters{Send: func(context.Context, *event.DeadLetter) error { return down }}
	_, err := d.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, io.EOF })(incoming(t.Context()))
	if !errors.Is(err, io.EOF) || !errors.Is(err, down) {
		t.Errorf("error %v", err)
	}
}
