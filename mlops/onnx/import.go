package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"aura/mlops/ensemble"
	"aura/mlops/forest"
	"aura/mlops/schema"
)

// Options say what a file doesn't.
type Options struct {
	// Columns are the file's inputs in its order, by their names in the schema. Empty: the schema's model inputs, in its order.
	Columns []string `json:"columns,omitempty"`
	// Bad is the class that means default. Empty: the schema's label.
	Bad string `json:"bad,omitempty"`
}

// Import reads the tree ensemble of an ONNX file: the binary classifiers and regressors of scikit-learn (skl2onnx), LightGBM
// and XGBoost (onnxmltools), or what Export wrote. Its inputs are numbers in the schema's own units, a category as its index.
// The scores are the file's up to the rounding of sums, which runtimes do in float32. What can't be represented is *Refused.
func Import(s *schema.Schema, data []byte, o Options) (*ensemble.Ensemble, error) {
	m, err := decode(data)
	if err != nil {
		return nil, err
	}
	var spec ensemble.Spec
	var read []*treeTable
	described, own := m.prop(columnsProp)
	if own {
		if len(o.Columns) > 0 || o.Bad != "" {
			return nil, &Refused{"columns", "a file that aura exported names its inputs and what is bad itself", "leave --columns and --bad out"}
		}
		if o.Columns, err = ownColumns(s, described); err != nil {
			return nil, err
		}
		spec, read, err = m.graph.own()
	} else {
		spec, read, err = m.graph.foreign(o.Bad, s.Label.Bad)
	}
	if err != nil {
		return nil, err
	}
	at, width, err := columnMap(s, o.Columns, m.graph)
	if err != nil {
		return nil, err
	}
	for _, t := range read {
		trees, err := t.build(s, at, width)
		if err != nil {
			return nil, err
		}
		spec.Trees = append(spec.Trees, trees...)
	}
	for _, in := range s.Inputs() {
		spec.Columns = append(spec.Columns, forest.Column{Name: in.Name, Categorical: in.Categorical, Categories: in.Categories})
	}
	e, err := ensemble.New(spec)
	var refused *ensemble.Error
	if errors.As(err, &refused) {
		return nil, &Refused{"graph", refused.Problem, "export a classifier that gives probabilities, or smaller trees"}
	}
	return e, err
}

func (m *model) prop(key string) (string, bool) {
	for _, p := range m.props {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

// ownColumns are the inputs that a file of ours describes. Categories must be the schema's: their places are what the trees test.
func ownColumns(s *schema.Schema, described string) ([]string, error) {
	const field = "model.metadata_props[" + columnsProp + "]"
	var columns []column
	if err := json.Unmarshal([]byte(described), &columns); err != nil {
		return nil, damaged(field, "%v", err)
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
		if j := s.Index(c.Name); j >= 0 && !slices.Equal(c.Categories, s.Features[j].Categories) {
			return nil, &Refused{field, fmt.Sprintf("the categories of %q are not those of schema %s", c.Name, s.Name), "use the schema that the model was exported under"}
		}
	}
	return names, nil
}

// columnMap says for each input of the file which of the schema's model inputs it is; width is how many the file has.
func columnMap(s *schema.Schema, names []string, g *graph) (at []int, width int, err error) {
	const remedy = "name the file's inputs in its order by --columns, with the schema's names"
	inputs := s.Inputs()
	if len(names) == 0 {
		for _, in := range inputs {
			names = append(names, in.Name)
		}
	}
	if width = len(names); width > schema.MaxKeys {
		return nil, 0, &Refused{"columns", fmt.Sprintf("%d names", width), remedy}
	}
	in := g.features()
	field := "graph.input[" + strconv.Quote(in.name) + "]"
	switch dims := in.dims; {
	case len(dims) != 2:
		return nil, 0, &Refused{field, fmt.Sprintf("it has %d dimensions, must be rows and columns", len(dims)), "export the trees alone, with one input of all columns: initial_types=[('X', FloatTensorType([None, N]))]"}
	case dims[1].param == "" && dims[1].value != 0 && dims[1].value != int64(width):
		return nil, 0, &Refused{field, fmt.Sprintf("it has %d columns, and there are %d names: %s", dims[1].value, width, strings.Join(names, ",")), remedy}
	}
	seen := map[int]bool{}
	for _, name := range names {
		j := slices.IndexFunc(inputs, func(in schema.Input) bool { return in.Name == name })
		switch {
		case j < 0 && s.Index(name) >= 0:
			return nil, 0, &Refused{"columns", fmt.Sprintf("%q is protected: no model may see it", name), "train a model without it"}
		case j < 0:
			return nil, 0, &Refused{"columns", fmt.Sprintf("schema %s has no feature %.64q", s.Name, name), remedy}
		case seen[j]:
			return nil, 0, &Refused{"columns", fmt.Sprintf("%q stands twice", name), remedy}
		}
		seen[j] = true
		at = append(at, j)
	}
	return at, width, nil
}

// features is the graph's input; its name is empty where there is not just one.
func (g *graph) features() valueInfo {
	constants := map[string]bool{}
	for i := range g.initializers {
		constants[g.initializers[i].name] = true
	}
	var found []valueInfo
	for _, in := range g.inputs { // older files list constants among the inputs
		if !constants[in.name] {
			found = append(found, in)
		}
	}
	if len(found) != 1 {
		return valueInfo{}
	}
	return found[0]
}

// own reads a graph that Export made. What follows the trees must be what Export writes for these constants.
func (g *graph) own() (ensemble.Spec, []*treeTable, error) {
	const remedy = "import the file as aura exported it"
	again := &graph{outputs: g.outputs}
	for i := range g.nodes {
		if g.nodes[i].op == regressorOp {
			again.nodes = append(again.nodes, g.nodes[i])
		}
	}
	var scale, a, b float64
	for name, into := range map[string]*float64{"scale": &scale, "a": &a, "b": &b} {
		i := slices.IndexFunc(g.initializers, func(t tensor) bool { return t.name == name })
		if i < 0 || len(g.initializers[i].values) != 1 {
			return ensemble.Spec{}, nil, &Refused{"graph.initializer[" + name + "]", "it is missing, or not one number", remedy}
		}
		*into = g.initializers[i].values[0]
	}
	calibration := forest.Calibration{A: a, B: b}
	if !calibration.Valid() {
		return ensemble.Spec{}, nil, &Refused{"graph.initializer[a]", fmt.Sprintf("the calibration %v doesn't rise", calibration), remedy}
	}
	var read []*treeTable
	for i := range again.nodes {
		t, err := readTrees(g, i, "target")
		if err != nil {
			return ensemble.Spec{}, nil, err
		}
		if t.post != "NONE" || len(t.base) > 0 || t.average || t.wide || !slices.Equal(again.nodes[i].outputs, []string{"sums" + strconv.Itoa(i)}) {
			return ensemble.Spec{}, nil, &Refused{t.path, "it isn't a sum of votes as aura exports it", remedy}
		}
		read = append(read, t)
	}
	again.finish(scale, calibration)
	if !reflect.DeepEqual(again.nodes, g.nodes) || !reflect.DeepEqual(again.initializers, g.initializers) {
		return ensemble.Spec{}, nil, &Refused{"graph.node", "the graph was changed after aura exported it", remedy}
	}
	return ensemble.Spec{Divisor: scale, Calibration: &calibration}, read, nil
}

// foreign reads a graph that another tool made: one tree ensemble, and nodes behind it that don't change its numbers.
func (g *graph) foreign(bad, label string) (spec ensemble.Spec, read []*treeTable, err error) {
	found := -1
	for i := range g.nodes {
		switch n := &g.nodes[i]; {
		case n.op == classifierOp || n.op == regressorOp:
			if found >= 0 {
				return spec, nil, &Refused{g.at(i), "a second tree ensemble", "export one model alone"}
			}
			found = i
		case n.op == "TreeEnsemble":
			return spec, nil, &Refused{g.at(i), "TreeEnsemble of ai.onnx.ml 5 isn't read", "export with target_opset {'': 17, 'ai.onnx.ml': 3}"}
		}
	}
	if found < 0 {
		return spec, nil, &Refused{"graph.node", "there is no tree ensemble among " + g.ops(), "export a model of decision trees from scikit-learn, LightGBM or XGBoost"}
	}
	if err := g.onlyPasses(found); err != nil {
		return spec, nil, err
	}
	prefix := "target"
	if g.nodes[found].op == classifierOp {
		prefix = "class"
	}
	t, err := readTrees(g, found, prefix)
	if err != nil {
		return spec, nil, err
	}
	if prefix == "class" {
		spec, err = t.classifier(bad, label)
	} else {
		spec, err = t.regressor(bad)
	}
	return spec, []*treeTable{t}, err
}

func (g *graph) at(i int) string { return fmt.Sprintf("graph.node[%d] (%.64s)", i, g.nodes[i].op) }

func (g *graph) ops() string {
	var ops []string
	for i := range g.nodes[:min(len(g.nodes), 8)] {
		ops = append(ops, fmt.Sprintf("%.64s", g.nodes[i].op))
	}
	if len(ops) == 0 {
		return "no nodes"
	}
	return strings.Join(ops, ", ")
}

// onlyPasses refuses all nodes beside the trees but those that pass their results on.
func (g *graph) onlyPasses(trees int) error {
	const remedy = "export the trees alone, without steps before or behind them; what is done to the inputs belongs into the schema"
	passed := map[string]bool{}
	for _, out := range g.nodes[trees].outputs {
		passed[out] = out != ""
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		if i == trees {
			continue
		}
		ok := len(n.inputs) > 0 && passed[n.inputs[0]] // nodes stand in the order of the data
		switch n.op {
		case "Identity", "ZipMap":
			ok = ok && len(n.inputs) == 1
		case "Cast":
			ok = ok && len(n.inputs) == 1
			for _, a := range n.attributes {
				ok = ok && a.name == "to" && (a.i == elementInt64 || a.i == elementFloat || a.i == elementDouble)
			}
		case "Mul": // LightGBM's converter multiplies by one
			ok = ok && len(n.inputs) == 2 && g.isOne(n.inputs[1])
		default:
			ok = false
		}
		if !ok {
			return &Refused{g.at(i), "it changes what goes into the trees or comes out of them, and isn't read", remedy}
		}
		for _, out := range n.outputs {
			passed[out] = true
		}
	}
	return nil
}

func (g *graph) isOne(name string) bool {
	for _, t := range g.initializers {
		if t.name == name {
			return len(t.values) == 1 && t.values[0] == 1
		}
	}
	return false
}
