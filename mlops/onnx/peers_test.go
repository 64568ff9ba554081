package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aura/mlops/forest"
	"aura/mlops/schema"
)

// peers runs testdata/peers.py with the Python that AURA_PYTHON names, which has the packages of .ci/python/requirements.txt.
func peers(t *testing.T, args ...string) {
	t.Helper()
	python := os.Getenv("AURA_PYTHON")
	if python == "" {
		t.Skip("AURA_PYTHON names no Python with the packages of .ci/python/requirements.txt; `.ci/run onnx` makes one and runs this")
	}
	c := exec.CommandContext(t.Context(), python, append([]string{filepath.Join("testdata", "peers.py")}, args...)...)
	c.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "OMP_NUM_THREADS=1", "PYTHONDONTWRITEBYTECODE=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", python, strings.Join(args, " "), err, out)
	}
	t.Logf("%s", bytes.TrimSpace(out))
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func numbers(t *testing.T, path string, want int) []float64 {
	t.Helper()
	data := read(t, path)
	if len(data) != 8*want {
		t.Fatalf("%s: %d bytes, want %d numbers", filepath.Base(path), len(data), want)
	}
	out := make([]float64, want)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out
}

// inputsOf writes the model inputs of applications, in the schema's own units.
func inputsOf(s *schema.Schema, applications []schema.Vector) (raw []byte) {
	for _, values := range applications {
		for _, in := range s.Inputs() {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(values[in.Feature])))
		}
	}
	return raw
}

// The real onnxruntime and MLflow's python_function give the votes of the forest, to the bit, on 10,000 rows: on thresholds, beside
// them, with missing values, in one batch and one by one.
func TestPeersVotesAreEqual(t *testing.T) {
	for name, c := range map[string]struct {
		schema *schema.Schema
		params forest.Params
	}{
		"built-in":     {schema.Builtin(), forest.Params{Trees: 100, Depth: 10}},
		"every column": {mixed(t), forest.Params{Trees: 100, Depth: 10}},
		"two groups":   {mixed(t), forest.Params{Trees: 150, Depth: 6}},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 10_000
			dir, f := t.TempDir(), grow(t, c.schema, c.params)
			applications := rows(c.schema, f, n)
			write(t, filepath.Join(dir, "model.onnx"), export(t, c.schema, f))
			write(t, filepath.Join(dir, "rows"), inputsOf(c.schema, applications))
			peers(t, "votes", filepath.Join(dir, "model.onnx"), filepath.Join(dir, "rows"), dir)
			on, missing := hard(c.schema, f, applications)
			if on < n/2 || missing < n/10 {
				t.Fatalf("of %d rows %d lie on a threshold and %d lack a value: too few", n, on, missing)
			}
			t.Logf("%d rows lie on a threshold, %d lack a value", on, missing)
			for _, by := range []string{"batch-1", "batch-2", "single", "pyfunc"} {
				votes, scores := numbers(t, filepath.Join(dir, by+".vote"), n), numbers(t, filepath.Join(dir, by+".probability"), n)
				labels := read(t, filepath.Join(dir, by+".label"))
				different, worst, wrong := 0, 0.0, 0
				for i, values := range applications {
					x := c.schema.Vector(values)
					if math.Float64bits(votes[i]) != math.Float64bits(f.Raw(x)) {
						different++
					}
					worst = max(worst, math.Abs(scores[i]-f.Score(x)))
					if bad := labels[8*i] == 1; bad != (scores[i] >= 0.5) {
						wrong++
					}
				}
				if different > 0 || worst > 1e-14 || wrong > 0 {
					t.Errorf("%s: of %d rows %d votes differ, %d labels are wrong, probabilities differ by %g", by, n, different, wrong, worst)
				}
				t.Logf("%s: %d of %d votes differ, probabilities by %.2g at most", by, different, n, worst)
			}
		})
	}
}

// hard counts the rows that have a number on a threshold, and those that lack one.
func hard(s *schema.Schema, f *forest.Forest, applications []schema.Vector) (on, missing int) {
	at, t := map[cut]bool{}, newThresholds(s)
	for tree := range f.Trees() {
		for _, n := range f.Tree(tree) {
			if !n.Leaf && !n.OnlyMissing && n.Categories == nil {
				at[cut{n.Column, t.raw(cut{n.Column, n.Threshold})}] = true
			}
		}
	}
	for _, values := range applications {
		lies, lacks := false, false
		for j, in := range s.Inputs() {
			v := values[in.Feature]
			lies, lacks = lies || at[cut{j, float32(v)}], lacks || math.IsNaN(v)
		}
		if lies {
			on++
		}
		if lacks {
			missing++
		}
	}
	return on, missing
}

const plainYAML = `
name: plain
version: "1"
label: {column: defaulted, bad: "1", good: "0"}
features:
  - {name: amount, min: 0, max: 1000000, transform: log1p, missing: true}
  - {name: purpose, kind: categorical, categories: [car, house, boat, tax, school, moving, none, other], missing: true}
  - {name: months, min: 0, max: 120, transform: sqrt, missing: true}
  - {name: balance, transform: signed_log1p, missing: true}
  - {name: score, min: -1, max: 1, missing: true}
policy: {approve_below: 0.2, decline_above: 0.5, safe_mode: {default: {decision: REFER}}}
`

// Models that users of scikit-learn, LightGBM and XGBoost export score here as in onnxruntime, on rows they have not seen.
func TestPeersModelsScoreAlike(t *testing.T) {
	s, err := schema.Parse([]byte(plainYAML))
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000 // half of them to train on
	dir, r := t.TempDir(), rand.New(rand.NewPCG(5, 5))
	applications, labels := make([]schema.Vector, n), make([]byte, n)
	for i := range applications {
		applications[i] = draw(s, r, 0.1)
		risk := r.NormFloat64()/2 + math.Mod(applications[i][1]*5, 7)/3
		for _, v := range applications[i] {
			if !math.IsNaN(v) {
				risk += math.Sin(v * 3 / (1 + math.Abs(v)))
			}
		}
		if risk > 2.5 {
			labels[i] = 1
		}
	}
	write(t, filepath.Join(dir, "rows"), inputsOf(s, applications))
	write(t, filepath.Join(dir, "labels"), labels)
	peers(t, "models", filepath.Join(dir, "rows"), filepath.Join(dir, "labels"), dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
	if err != nil || len(files) < 12 {
		t.Fatalf("%d models: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".onnx")
		var o Options
		if strings.HasSuffix(name, "-words") {
			o.Bad = "bad"
		}
		data := read(t, file)
		e, err := Import(s, data, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		base, worst := strings.TrimSuffix(file, ".onnx"), 0.0
		scores := numbers(t, base+".scores", n/2)
		for i, values := range floats32(read(t, base+".rows"), len(s.Features)) {
			worst = max(worst, math.Abs(e.Score(s.Vector(values))-scores[i]))
		}
		if worst > 1e-6 {
			t.Errorf("%s: scores differ by %g", name, worst)
		}
		t.Logf("%s: %d trees, %d nodes, %d bytes: scores differ by %.2g at most", name, e.Trees(), e.Nodes(), len(data), worst)
	}
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"lightgbm", Options{Columns: []string{"score", "balance", "months", "purpose", "amount"}}},
		{"xgboost", Options{Bad: "0"}},
		{"sklearn-forest-words", Options{Bad: "good"}},
		{"sklearn-forest-double", Options{}},
		{"sklearn-regressor", Options{}},
	} {
		t.Run("standard/"+c.name, func(t *testing.T) {
			t.Parallel()
			standard(t, s, read(t, filepath.Join(dir, c.name+".onnx")), c.o, applications[n/2:])
		})
	}
}

// standard compares an imported model with what MLflow makes of its standard form.
func standard(t *testing.T, s *schema.Schema, source []byte, o Options, applications []schema.Vector) {
	t.Helper()
	e, err := Import(s, source, o)
	if err != nil {
		t.Fatal(err)
	}
	file, err := Standard(s, source, o)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "model.onnx"), file)
	write(t, filepath.Join(dir, "rows"), inputsOf(s, applications))
	peers(t, "votes", filepath.Join(dir, "model.onnx"), filepath.Join(dir, "rows"), dir)
	for _, by := range []string{"single", "pyfunc"} {
		scores, labels := numbers(t, filepath.Join(dir, by+".probability"), len(applications)), read(t, filepath.Join(dir, by+".label"))
		for i, values := range applications {
			want := e.Score(s.Vector(values))
			if math.Abs(scores[i]-want) > 1e-6 || (labels[8*i] == 1) != (scores[i] >= 0.5) {
				t.Fatalf("%s: row %d: probability %v, label %d, want %v", by, i, scores[i], labels[8*i], want)
			}
		}
	}
}

// floats32 reads rows of so many columns.
func floats32(raw []byte, columns int) (rows []schema.Vector) {
	for ; len(raw) > 0; raw = raw[4*columns:] {
		row := make(schema.Vector, columns)
		for j := range row {
			row[j] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:])))
		}
		rows = append(rows, row)
	}
	return rows
}

// Each kind of test, with its threshold and missing values, branches as in onnxruntime.
func TestPeersTestsBranchAlike(t *testing.T) {
	s, err := schema.Parse([]byte(strings.Replace(plainYAML, plainYAML[strings.Index(plainYAML, "  - {name: amount"):strings.Index(plainYAML, "  - {name: score")], "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	peers(t, "modes", dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
	if err != nil || len(files) != 6*2*4 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	applications := floats32(read(t, filepath.Join(dir, "rows")), 1)
	for _, file := range files {
		e, err := Import(s, read(t, file), Options{})
		if err != nil {
			t.Fatal(err)
		}
		scores := numbers(t, strings.TrimSuffix(file, ".onnx")+".scores", len(applications))
		for i, values := range applications {
			if e.Score(s.Vector(values)) != scores[i] {
				t.Errorf("%s: %v scores %v, in onnxruntime %v", filepath.Base(file), values[0], e.Score(s.Vector(values)), scores[i])
			}
		}
	}
}
