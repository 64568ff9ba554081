package mlflow_test

import (
	"bytes"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"aura/mlops/dataset"
	"aura/mlops/registry/mlflow/mlflowtest"
	"aura/mlops/schema"
)

// TestRealPyfunc: a Python user who asks the real server for the champion gets our model: the votes are equal to the bit, and
// its run says what it was trained on.
func TestRealPyfunc(t *testing.T) {
	python := mlflowtest.Python(t)
	url := mlflowtest.Start(t).URL
	m := newMirrored(t, url, "credit", 2)
	m.promote(2)
	m.sync()
	model, err := m.registry.Load(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	s := schema.Builtin()
	var csv strings.Builder
	fmt.Fprintln(&csv, strings.Join(s.Names(), ","))
	rows := dataset.Synthetic(2000, 9)
	for i, r := range rows {
		cells := make([]string, len(r.Values))
		for j, v := range r.Values {
			rows[i].Values[j] = float64(float32(v)) // what the model takes
			if cells[j] = strconv.FormatFloat(rows[i].Values[j], 'g', -1, 64); math.IsNaN(v) {
				cells[j] = ""
			}
		}
		fmt.Fprintln(&csv, strings.Join(cells, ","))
	}
	c := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "pyfunc.py"), url, "credit")
	c.Env = append(c.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "PYTHONDONTWRITEBYTECODE=1", "TMPDIR="+t.TempDir())
	c.Stdin = strings.NewReader(csv.String())
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(rows)+1 {
		t.Fatalf("%d lines", len(lines))
	}
	if want := fmt.Sprintf("2 FINISHED 0.9 %s %.36s", model.DataDigest, model.DataDigest); lines[0] != want {
		t.Errorf("the run says %q, want %q", lines[0], want)
	}
	for i, r := range rows {
		x := s.Vector(r.Values)
		label := "0"
		if model.Score(x) >= 0.5 {
			label = "1"
		}
		var vote float64
		got := strings.Fields(lines[i+1])
		if vote, err = strconv.ParseFloat(got[1], 64); err != nil || vote != model.Raw(x) || got[0] != label {
			t.Fatalf("row %d: %v, want label %s, vote %x (%v)", i, got, label, model.Raw(x), err)
		}
	}
}
