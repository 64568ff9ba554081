package middleware_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// incoming is a message as the router hands it to a handler.
func incoming(ctx context.Context) *message.Message {
	return message.NewMessageWithContext(ctx, "m-1", []byte(`{"n":1}`))
}

// failing fails the first n times and counts.
func failing(n int, err error, calls *int) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) {
		if *calls++; *calls <= n {
			return nil, err
		}
		return []*message.Message{message.NewMessage("out", nil)}, nil
	}
}
