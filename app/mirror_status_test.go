package app

import (
	"testing"

	"aura/mlops/registry/mlflow"
)

// TestWhoMirrors: a process whose turn it is not says so, and nothing of a state that it doesn't know.
func TestWhoMirrors(t *testing.T) {
	c, err := mlflow.NewClient("http://127.0.0.1:1", mlflow.Credentials{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := &mirror{Mirror: mlflow.NewMirror(mlflow.Options{Client: c, Model: "credit"})}
	if s := m.status(); s == nil || !s.Elsewhere || s.Address == "" || s.Equal || s.Problem != "" {
		t.Errorf("another one mirrors: %+v", s)
	}
	m.leading.Store(true)
	if s := m.status(); s == nil || s.Elsewhere || s.Equal {
		t.Errorf("this one mirrors: %+v", s)
	}
	if s := (&mirror{}).status(); s != nil {
		t.Errorf("nothing is mirrored: %+v", s)
	}
}
