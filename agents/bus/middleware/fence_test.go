package middleware_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus/middleware"
)

var errReplaced = errors.New("incarnation 3 is in charge")

func TestFence(t *testing.T) {
	var inCharge error
	fence := middleware.Fence(func(context.Context) error { return inCharge })
	calls := 0
	if out, err := fence(failing(0, nil, &calls))(incoming(t.Context())); len(out) != 1 || err != nil {
		t.Errorf("in charge: %v, %v", out, err)
	}
	out, err := fence(func(*message.Message) ([]*message.Message, error) {
		inCharge = errReplaced // while it works
		return []*message.Message{message.NewMessage("late", nil)}, nil
	})(incoming(t.Context()))
	if out != nil || !errors.Is(err, middleware.ErrFenced) || !errors.Is(err, errReplaced) {
		t.Errorf("a late result: %v, %v", out, err)
	}
	calls = 0
	if _, err := fence(failing(9, io.EOF, &calls))(incoming(t.Context())); calls != 0 || !errors.Is(err, middleware.ErrFenced) {
		t.Errorf("not in charge, %d calls: %v", calls, err)
	}
}
