package api

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestRefusedAndBrokenAreDifferent(t *testing.T) {
	cause := RefuseUnavailable("the disk is full", time.Second, io.ErrShortWrite)
	wrapped := fmt.Errorf("submit: %w", cause)
	if r := IsRefusal(wrapped); r == nil || r.Code != Unavailable || r.RetryAfter != time.Second {
		t.Errorf("a wrapped refusal is %v", r)
	}
	if !errors.Is(wrapped, io.ErrShortWrite) {
		t.Error("a refusal hides its cause")
	}
	if r := IsRefusal(io.ErrShortWrite); r != nil {
		t.Errorf("a broken thing is %v", r)
	}
	if got, want := wrapped.Error(), "submit: unavailable: the disk is full: short write"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestInvalidNamesEachField(t *testing.T) {
	r := RefuseFields(Field{Field: "income", Problem: "missing"}, Field{Field: "age", Problem: "unknown"})
	if r.Code != Invalid || len(r.Fields) != 2 || r.Error() != "invalid: invalid: income, age" {
		t.Errorf("%v %+v", r, r.Fields)
	}
	if f := RefuseFull(time.Minute); f.Code != Full || f.RetryAfter != time.Minute {
		t.Errorf("%+v", f)
	}
}
