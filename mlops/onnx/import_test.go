package onnx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"aura/mlops/ensemble"
	"aura/mlops/forest"
	"aura/mlops/schema"
)

// booster is what LightGBM's or XGBoost's converter writes for two trees over the built-in schema: log odds in the leaves.
func booster() *model {
	return foreign(&node{
		op: classifierOp, domain: mlDomain, inputs: []string{"input"}, outputs: []string{"label", "probabilities"},
		attributes: []attribute{
			{name: "nodes_treeids", kind: kindInts, ints: []int64{0, 0, 0, 1, 1, 1}},
			{name: "nodes_nodeids", kind: kindInts, ints: []int64{0, 1, 2, 0, 1, 2}},
			{name: "nodes_featureids", kind: kindInts, ints: []int64{0, 0, 0, 2, 0, 0}},
			{name: "nodes_modes", kind: kindStrings, strings: []string{"BRANCH_LEQ", leafMode, leafMode, "BRANCH_LT", leafMode, leafMode}},
			{name: "nodes_values", kind: kindFloats, floats: []float32{600, 0, 0, 30_000, 0, 0}},
			{name: "nodes_truenodeids", kind: kindInts, ints: []int64{1, 0, 0, 1, 0, 0}},
			{name: "nodes_falsenodeids", kind: kindInts, ints: []int64{2, 0, 0, 2, 0, 0}},
			{name: "nodes_missing_value_tracks_true", kind: kindInts, ints: []int64{1, 0, 0, 0, 0, 0}},
			{name: "class_treeids", kind: kindInts, ints: []int64{0, 0, 1, 1}},
			{name: "class_nodeids", kind: kindInts, ints: []int64{1, 2, 1, 2}},
			{name: "class_ids", kind: kindInts, ints: []int64{0, 0, 0, 0}},
			{name: "class_weights", kind: kindFloats, floats: []float32{0.5, -0.5, 0.25, -0.25}},
			{name: "classlabels_int64s", kind: kindInts, ints: []int64{0, 1}},
			{name: "base_values", kind: kindFloats, floats: []float32{-0.125}},
			{name: "post_transform", kind: kindString, s: "LOGISTIC"},
		},
	})
}

func foreign(trees *node) *model {
	return &model{irVersion: 8, producer: "OnnxMLTools", opsets: []opset{{mlDomain, 3}}, graph: &graph{
		name: "model", nodes: []node{*trees},
		inputs:  []valueInfo{{"input", elementFloat, []dim{{param: "N"}, {value: 5}}}},
		outputs: []valueInfo{{"label", elementInt64, nil}, {"probabilities", elementFloat, nil}},
	}}
}

func (m *model) attr(name string) *attribute {
	for i := range m.graph.nodes {
		for j := range m.graph.nodes[i].attributes {
			if a := &m.graph.nodes[i].attributes[j]; a.name == name {
				return a
			}
		}
	}
	panic("no attribute " + name)
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func TestABoosterIsRead(t *testing.T) {
	s := schema.Builtin()
	low, high := s.Vector(schema.Vector{600, 20, 29_999, 5000, 3}), s.Vector(schema.Vector{601, 20, 30_000, 5000, 3})
	missing := s.Vector(schema.Vector{math.NaN(), 20, math.NaN(), 5000, 3})
	turned := []string{"income", "debt_ratio", "credit_score", "loan_amount", "employment_years"}
	for name, c := range map[string]struct {
		change             func(m *model)
		options            Options
		low, high, missing float64
	}{
		"as it comes":         {func(*model) {}, Options{}, sigmoid(0.625), sigmoid(-0.875), sigmoid(0.125)},
		"bad is the first":    {func(*model) {}, Options{Bad: "0"}, sigmoid(-0.625), sigmoid(0.875), sigmoid(-0.125)},
		"columns turned":      {func(m *model) { m.attr("nodes_featureids").ints = []int64{2, 0, 0, 0, 0, 0} }, Options{Columns: turned}, sigmoid(0.625), sigmoid(-0.875), sigmoid(0.125)},
		"no base":             {func(m *model) { m.attr("base_values").floats = nil }, Options{}, sigmoid(0.75), sigmoid(-0.75), sigmoid(0.25)},
		"passed on":           {func(m *model) { m.graph.nodes = append(m.graph.nodes, passes()...) }, Options{}, sigmoid(0.625), sigmoid(-0.875), sigmoid(0.125)},
		"no words on missing": {func(m *model) { m.attr("nodes_missing_value_tracks_true").ints = nil }, Options{}, sigmoid(0.625), sigmoid(-0.875), sigmoid(-0.875)},
	} {
		m := booster()
		c.change(m)
		if name == "passed on" {
			m.graph.initializers = []tensor{{name: "one", element: elementDouble, values: []float64{1}}}
		}
		e, err := Import(s, m.encode(), c.options)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a, b, n := e.Score(low), e.Score(high), e.Score(missing); a != c.low || b != c.high || n != c.missing {
			t.Errorf("%s: scores %v, %v, %v, want %v, %v, %v", name, a, b, n, c.low, c.high, c.missing)
		}
	}
}

// A file compares float32 numbers: what rounds to the threshold is at most the threshold.
func TestNumbersAreRoundedAsInTheFile(t *testing.T) {
	s := schema.Builtin()
	e, err := Import(s, booster().encode(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for score, want := range map[float64]float64{600.00001: sigmoid(0.625), 600.0001: sigmoid(-0.375)} {
		if got := e.Score(s.Vector(schema.Vector{score, 20, 20_000, 5000, 3})); got != want {
			t.Errorf("a score of %v gives %v, want %v", score, got, want)
		}
	}
	narrow, wide := &treeTable{}, &treeTable{wide: true}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 20_000 {
		at := math.Float32frombits(r.Uint32())
		if i < 4 {
			at = []float32{math.MaxFloat32, -math.MaxFloat32, 0, float32(math.Inf(-1))}[i]
		}
		if at != at || math.IsInf(float64(at), 1) {
			continue
		}
		most := narrow.upTo(float64(at))
		if more := math.Nextafter(most, math.Inf(1)); float32(most) > at || float32(more) <= at {
			t.Fatalf("at most %v: %v rounds to %v, the next number to %v", at, most, float32(most), float32(more))
		}
		below := narrow.before(float64(at))
		if below == below && (float32(below) >= at || math.Nextafter32(float32(below), float32(math.Inf(1))) != at) {
			t.Fatalf("before %v: %v", at, below)
		}
		if wide.upTo(float64(at)) != float64(at) {
			t.Fatalf("a wide file's %v became %v", at, wide.upTo(float64(at)))
		}
	}
}

// twoWeights is a classifier whose leaves have one weight a class, as some converters write them.
func twoWeights() *model {
	m := booster()
	m.attr("post_transform").s = "NONE"
	m.attr("base_values").floats = nil
	m.attr("class_treeids").ints = []int64{0, 0, 0, 0, 1, 1, 1, 1}
	m.attr("class_nodeids").ints = []int64{1, 1, 2, 2, 1, 1, 2, 2}
	m.attr("class_ids").ints = []int64{0, 1, 0, 1, 0, 1, 0, 1}
	m.attr("class_weights").floats = []float32{0.125, 0.375, 0.25, 0.25, 0.125, 0.375, 0.5, 0}
	return m
}

func TestTwoWeightsALeaf(t *testing.T) {
	s := schema.Builtin()
	x := s.Vector(schema.Vector{600, 20, 30_000, 5000, 3})
	for bad, c := range map[string]struct{ score, column float64 }{"": {0.375, 1}, "0": {0.625, 0}} {
		e, err := Import(s, twoWeights().encode(), Options{Bad: bad})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Score(x); got != c.score {
			t.Errorf("bad %q: score %v, want %v", bad, got, c.score)
		}
		file, err := Standard(s, twoWeights().encode(), Options{Bad: bad})
		if err != nil {
			t.Fatal(err)
		}
		asked := tensor{name: "class", element: elementInt64, dims: []int64{1}, values: []float64{c.column}}
		if !bytes.Contains(file, asked.encode()) {
			t.Errorf("bad %q: the standard form doesn't ask for column %v", bad, c.column)
		}
	}
	m := twoWeights()
	m.attr("base_values").floats = []float32{0.1, 0.2}
	if _, err := Import(s, m.encode(), Options{}); err == nil || !strings.Contains(err.Error(), "base_values") {
		t.Errorf("base values beside two weights: %v", err)
	}
}

// passes are nodes that change no number, as the converters write them.
func passes() []node {
	return []node{
		{op: "Identity", inputs: []string{"label"}, outputs: []string{"label2"}},
		{op: "Cast", inputs: []string{"label2"}, outputs: []string{"label3"}, attributes: []attribute{{name: "to", kind: kindInt, i: elementInt64}}},
		{op: "Mul", inputs: []string{"probabilities", "one"}, outputs: []string{"scaled"}},
		{op: "ZipMap", domain: mlDomain, inputs: []string{"scaled"}, outputs: []string{"map"}},
	}
}

// What can't be represented is refused by its field, with a remedy.
func TestForeignFilesAreRefused(t *testing.T) {
	ints := func(name string, list ...int64) func(*model) { return func(m *model) { m.attr(name).ints = list } }
	text := func(name, s string) func(*model) { return func(m *model) { m.attr(name).s = s } }
	for name, c := range map[string]struct {
		change  func(m *model)
		options Options
		field   string
		problem string
	}{
		"three classes":       {ints("classlabels_int64s", 0, 1, 2), Options{}, "classlabels", "3 classes"},
		"unknown label":       {ints("classlabels_int64s", 7, 8), Options{}, "classlabels", `"1", which means default`},
		"unknown bad":         {func(*model) {}, Options{Bad: "yes"}, "classlabels", `"yes"`},
		"softmax":             {text("post_transform", "SOFTMAX"), Options{}, "post_transform", "SOFTMAX"},
		"probit":              {text("post_transform", "PROBIT"), Options{}, "post_transform", "PROBIT"},
		"margins":             {text("post_transform", "NONE"), Options{}, "post_transform", "no probabilities"},
		"all leaves positive": {func(m *model) { m.attr("class_weights").floats = []float32{1, 1, 1, 1} }, Options{}, "post_transform", "runtimes differ"},
		"base of no class":    {ints("class_ids", 1, 1, 1, 1), Options{}, "base_values", "runtimes differ"},
		"a third class":       {ints("class_ids", 2, 2, 2, 2), Options{}, "class_ids", "other classes"},
		"column":              {ints("nodes_featureids", 5, 0, 0, 0, 0, 0), Options{}, "nodes_featureids[0]", "column 5 of 5"},
		"negative column":     {ints("nodes_featureids", -1, 0, 0, 0, 0, 0), Options{}, "nodes_featureids[0]", "column -1"},
		"no such child":       {ints("nodes_truenodeids", 9, 0, 0, 1, 0, 0), Options{}, "nodes_truenodeids[0]", "no node 9"},
		"a ring":              {ints("nodes_falsenodeids", 0, 0, 0, 2, 0, 0), Options{}, "nodes_truenodeids[0]", "comes round"},
		"orphans":             {ints("nodes_falsenodeids", 1, 0, 0, 2, 0, 0), Options{}, "nodes_nodeids", "no walk reaches"},
		"a node twice":        {ints("nodes_nodeids", 0, 1, 1, 0, 1, 2), Options{}, "nodes_nodeids[2]", "twice"},
		"lists of two sizes":  {ints("nodes_truenodeids", 1), Options{}, "nodes_truenodeids", "1 elements, must be 6"},
		"weight of no leaf":   {ints("class_nodeids", 0, 2, 1, 2), Options{}, "leaves[0]", "is no leaf"},
		"mode":                {func(m *model) { m.attr("nodes_modes").strings[0] = "BRANCH_MEMBER" }, Options{}, "nodes_modes[0]", "BRANCH_MEMBER"},
		"threshold":           {func(m *model) { m.attr("nodes_values").floats[0] = float32(math.NaN()) }, Options{}, "nodes_values[0]", "no number"},
		"weight":              {func(m *model) { m.attr("class_weights").floats[0] = float32(math.Inf(1)) }, Options{}, "graph", "value is +Inf"},
		"equal, transformed":  {func(m *model) { m.attr("nodes_modes").strings[3] = "BRANCH_EQ" }, Options{}, "nodes_modes[3]", "income, which the schema transforms"},
		"attribute":           {func(m *model) { m.attr("base_values").name = "new_values" }, Options{}, "new_values", "isn't known"},
		"width":               {func(m *model) { m.graph.inputs[0].dims[1].value = 4 }, Options{}, `graph.input["input"]`, "4 columns, and there are 5 names"},
		"shape":               {func(m *model) { m.graph.inputs[0].dims = nil }, Options{}, `graph.input["input"]`, "0 dimensions"},
		"element":             {func(m *model) { m.graph.inputs[0].element = elementInt64 }, Options{}, `graph.input["input"]`, "type 7"},
		"columns: unknown":    {func(*model) {}, Options{Columns: []string{"a", "b", "c", "d", "e"}}, "columns", `no feature "a"`},
		"columns: twice":      {func(*model) {}, Options{Columns: []string{"income", "income", "a", "b", "c"}}, "columns", "twice"},
		"two inputs":          {func(m *model) { m.graph.inputs = append(m.graph.inputs, valueInfo{name: "other"}) }, Options{}, "input", "one input"},
		"two ensembles":       {func(m *model) { m.graph.nodes = append(m.graph.nodes, m.graph.nodes[0]) }, Options{}, "graph.node[1]", "second"},
		"opset 5":             {func(m *model) { m.graph.nodes[0].op = "TreeEnsemble" }, Options{}, "graph.node[0]", "ai.onnx.ml 5"},
		"no trees":            {func(m *model) { m.graph.nodes[0].op = "LinearClassifier" }, Options{}, "graph.node", "LinearClassifier"},
		"a scaler": {func(m *model) {
			m.graph.nodes = append([]node{{op: "Scaler", inputs: []string{"input"}, outputs: []string{"x"}}}, m.graph.nodes...)
		}, Options{}, "graph.node[0] (Scaler)", "goes into the trees"},
		"scaled scores": {func(m *model) {
			m.graph.nodes = append(m.graph.nodes, passes()...)
			m.graph.initializers = []tensor{{name: "one", element: elementDouble, values: []float64{2}}}
		}, Options{}, "graph.node[3] (Mul)", "comes out"},
		"a regressor of anything": {func(m *model) {
			n := &m.graph.nodes[0]
			n.op, n.attributes = regressorOp, n.attributes[:8]
			n.attributes = append(n.attributes, attribute{name: "target_treeids", kind: kindInts, ints: []int64{0}}, attribute{name: "target_nodeids", kind: kindInts, ints: []int64{1}},
				attribute{name: "target_ids", kind: kindInts, ints: []int64{0}}, attribute{name: "target_weights", kind: kindFloats, floats: []float32{1.5}})
		}, Options{}, "graph", "no probabilities"},
		"no graph": {func(m *model) { m.graph = &graph{} }, Options{}, "graph.node", "no nodes"},
	} {
		m := booster()
		c.change(m)
		_, err := Import(schema.Builtin(), m.encode(), c.options)
		var refused *Refused
		switch {
		case !errors.As(err, &refused):
			t.Errorf("%s: error %v, want *Refused", name, err)
		case !strings.Contains(refused.Field, c.field) || !strings.Contains(refused.Problem, c.problem) || refused.Remedy == "":
			t.Errorf("%s: %v, want %q of %q", name, err, c.problem, c.field)
		}
	}
	_, err := Import(mixed(t), booster().encode(), Options{Columns: []string{"amount", "age", "months", "balance", "score"}})
	if err == nil || !strings.Contains(err.Error(), "protected") {
		t.Errorf("a protected column as an input: %v", err)
	}
}

// A file of ours that was changed is no file of ours.
func TestChangedExportsAreRefused(t *testing.T) {
	s := mixed(t)
	good, err := Export(s, grow(t, s, forest.Params{Trees: 3, Depth: 3}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(m *model){
		"calibration":  func(m *model) { m.graph.initializers[4].values[0] = -1 },
		"clip":         func(m *model) { m.graph.initializers[1].values[0] = 0.5 },
		"no constants": func(m *model) { m.graph.initializers = nil },
		"an operator":  func(m *model) { m.graph.nodes[3].op = "Mul" },
		"a node more":  func(m *model) { m.graph.nodes = append(m.graph.nodes, node{op: "Neg"}) },
		"a base": func(m *model) {
			n := &m.graph.nodes[0]
			n.attributes = append(n.attributes, attribute{name: "base_values", kind: kindFloats, floats: []float32{0.1}})
		},
		"categories": func(m *model) {
			m.props[0].value = strings.Replace(m.props[0].value, `"car","house"`, `"house","car"`, 1)
		},
		"columns":  func(m *model) { m.props[0].value = "[" },
		"a column": func(m *model) { m.props[0].value = strings.Replace(m.props[0].value, "amount", "volume", 1) },
	} {
		m, err := decode(good)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		var refused *Refused
		if _, err := Import(s, m.encode(), Options{}); !errors.As(err, &refused) {
			t.Errorf("%s: error %v, want *Refused", name, err)
		}
	}
	if _, err := Import(s, good, Options{Columns: []string{"amount"}}); err == nil {
		t.Error("other columns than the file's own were taken")
	}
	for n := range len(good) {
		if n%7 != 0 {
			continue
		}
		if _, err := Import(s, good[:n], Options{}); err == nil {
			t.Fatalf("the first %d of %d bytes were taken", n, len(good))
		}
	}
}

// A small hostile file can't make Import allocate much more than its size.
func TestImportBoundsMemory(t *testing.T) {
	m := booster()
	m.attr("nodes_treeids").ints = make([]int64, 1<<20) // a byte each in the file
	data := m.encode()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Import(schema.Builtin(), data, Options{}); err == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 60*uint64(len(data)) {
		t.Errorf("%d bytes allocated for a file of %d", used, len(data))
	}
	if _, err := Import(schema.Builtin(), make([]byte, MaxBytes+1), Options{}); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a file over the limit: %v", err)
	}
}

func FuzzImport(f *testing.F) {
	s := schema.Builtin()
	f.Add(booster().encode())
	m := booster()
	m.graph.nodes = append(m.graph.nodes, passes()...)
	f.Add(m.encode())
	own, err := Export(s, grow(f, s, forest.Params{Trees: 2, Depth: 2}), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	x := s.Vector(schema.Vector{600, 20, 30_000, 5000, math.NaN()})
	moved := make([]int32, len(x))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Import(s, data, Options{})
		if err != nil {
			var refused *Refused
			if !errors.As(err, &refused) || refused.Field == "" || refused.Remedy == "" {
				t.Fatalf("error %T %v, want a *Refused with field and remedy", err, err)
			}
			return
		}
		if p := e.Score(x); !(p >= 0 && p <= 1) {
			t.Fatalf("score %v", p)
		}
		e.Attribute(x, moved)
		if e.Steps() > ensemble.MaxSteps {
			t.Fatalf("%d steps", e.Steps())
		}
	})
}

// FuzzTrees changes the lists of a file whose messages are sound: six bytes a change say which list, where, and what to.
func FuzzTrees(f *testing.F) {
	s := schema.Builtin()
	f.Add([]byte{5, 0, 2, 0, 0, 0})
	f.Add([]byte{3, 1, 1, 0, 0, 0, 4, 1, 0x7f, 0x80, 0, 0, 8, 0, 1, 0, 0, 0})
	x := s.Vector(schema.Vector{600, 20, 30_000, 5000, math.NaN()})
	modes := []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ", leafMode, ""}
	f.Fuzz(func(t *testing.T, changes []byte) {
		m := booster()
		for ; len(changes) >= 6; changes = changes[6:] {
			a := &m.graph.nodes[0].attributes[int(changes[0])%len(m.graph.nodes[0].attributes)]
			at, value := int(changes[1]), binary.BigEndian.Uint32(changes[2:])
			switch {
			case len(a.ints) > 0:
				a.ints[at%len(a.ints)] = int64(int8(value >> 24))
			case len(a.floats) > 0:
				a.floats[at%len(a.floats)] = math.Float32frombits(value)
			case len(a.strings) > 0:
				a.strings[at%len(a.strings)] = modes[value%uint32(len(modes))]
			}
		}
		e, err := Import(s, m.encode(), Options{})
		if err != nil {
			if !errors.As(err, new(*Refused)) {
				t.Fatalf("error %T %v, want a *Refused", err, err)
			}
			return
		}
		if p := e.Score(x); !(p >= 0 && p <= 1) {
			t.Fatalf("score %v", p)
		}
	})
}

// The standard form has the schema's inputs and our outputs; what onnxruntime makes of it is compared by TestPeers.
func TestStandard(t *testing.T) {
	s := schema.Builtin()
	turned := Options{Columns: []string{"income", "debt_ratio", "credit_score", "loan_amount", "employment_years"}, Bad: "0"}
	file, err := Standard(s, booster().encode(), turned)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(file)
	if err != nil {
		t.Fatal(err)
	}
	var outputs, ops []string
	for _, o := range m.graph.outputs {
		outputs = append(outputs, o.name)
	}
	for _, n := range m.graph.nodes {
		ops = append(ops, n.op)
	}
	if got := strings.Join(outputs, " "); got != "label probability vote" {
		t.Errorf("outputs %s", got)
	}
	if got := strings.Join(ops, " "); got != "Gather TreeEnsembleClassifier Gather Cast Clip Sub Identity Less Not Cast" {
		t.Errorf("nodes %s", got)
	}
	var refused *Refused
	if _, err := Standard(s, booster().encode(), Options{Bad: "x"}); !errors.As(err, &refused) {
		t.Errorf("what can't be imported has a standard form: %v", err)
	}
	own := export(t, s, grow(t, s, forest.Params{Trees: 2, Depth: 2}))
	if again, err := Standard(s, own, Options{}); err != nil || !bytes.Equal(again, own) {
		t.Errorf("a file of ours became another: %v", err)
	}
}
