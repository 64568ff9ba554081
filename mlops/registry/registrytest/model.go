package registrytest

import (
	"testing"

	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/registry"
	"aura/mlops/schema"
)

// Model trains a small forest; each seed gives another one.
func Model(t testing.TB, s *schema.Schema, seed uint64) *registry.Model {
	t.Helper()
	d := forest.Data{Columns: registry.Columns(s)}
	for _, r := range dataset.Synthetic(400, seed) {
		d.X, d.Y = append(d.X, s.Vector(r.Values)), append(d.Y, r.Bad)
	}
	f, err := forest.Train(t.Context(), d, forest.Params{Trees: 10, Depth: 5, Seed: seed}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := registry.NewModel(s, f, registry.Info{Metrics: registry.Metrics{HoldoutAUC: 0.9}, Window: registry.Window{Rows: 400}, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
