package middleware_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus/middleware"
)

func TestRecover(t *testing.T) {
	for name, value := range map[string]any{"text": "boom", "error": io.ErrUnexpectedEOF} {
		t.Run(name, func(t *testing.T) {
			out, err := middleware.Recover(func(*message.Message) ([]*message.Message, error) { panic(value) })(incoming(t.Context()))
			var p *middleware.PanicError
			if out != nil || !errors.As(err, &p) || p.Value != value {
				t.Fatalf("out %v, error %v", out, err)
			}
			if !strings.Contains(string(p.Stack), "recover_test.go") {
				t.Error("the stack does not lead to the panic")
			}
			if cause, ok := value.(error); ok && !errors.Is(err, cause) {
				t.Errorf("%v does not wrap %v", err, cause)
			}
		})
	}
	calls := 0
	out, err := middleware.Recover(failing(0, nil, &calls))(incoming(t.Context()))
	if len(out) != 1 || err != nil {
		t.Errorf("without a panic: %v, %v", out, err)
	}
}
