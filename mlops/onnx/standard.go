package onnx

import (
	"encoding/json"
	"fmt"
	"slices"

	"aura/mlops/schema"
)

// Standard returns a file that Import takes with o as one with the inputs and outputs of an exported forest: the schema's model
// inputs in its order, and label, probability and vote (here equal to probability) of [N,1] each. So Python users load every
// model alike. The trees stay as they are. A file of ours is returned as it is.
func Standard(s *schema.Schema, source []byte, o Options) ([]byte, error) {
	if _, err := Import(s, source, o); err != nil {
		return nil, err
	}
	m, err := decode(source)
	if err != nil {
		return nil, err
	}
	if _, own := m.prop(columnsProp); own {
		return source, nil
	}
	_, read, err := m.graph.foreign(o.Bad, s.Label.Bad)
	if err != nil {
		return nil, err
	}
	at, _, err := columnMap(s, o.Columns, m.graph)
	if err != nil {
		return nil, err
	}
	described, err := json.Marshal(columnsOf(s))
	if err != nil {
		return nil, fmt.Errorf("onnx: describe columns: %w", err)
	}
	g := &graph{name: s.Name, inputs: []valueInfo{{inputName, m.graph.features().element, []dim{{param: "N"}, {value: int64(len(s.Inputs()))}}}}}
	trees := *m.graph.trees()
	trees.inputs, trees.outputs = []string{"columns"}, []string{"sums"}
	if trees.op == classifierOp {
		trees.outputs = []string{"winner", "sums"}
	}
	order := tensor{name: "order", element: elementInt64, dims: []int64{int64(len(at))}}
	for _, j := range at {
		order.values = append(order.values, float64(j))
	}
	g.initializers = append(g.initializers, order)
	g.do("Gather", "columns", inputName, "order").attributes = []attribute{{name: "axis", kind: kindInt, i: 1}}
	g.nodes = append(g.nodes, trees)
	g.probability(read[0])
	return (&model{
		irVersion: irVersion, producer: producer, graph: g, opsets: []opset{{mlDomain, mlOpset}, {"", coreOpset}},
		props: []property{{standardProp, string(described)}},
	}).encode(), nil
}

// standardProp describes the inputs like columnsProp; the file is not one that own reads.
const standardProp = "aura.inputs"

// trees is the graph's tree ensemble; there is one.
func (g *graph) trees() *node {
	return &g.nodes[slices.IndexFunc(g.nodes, func(n node) bool { return n.op == classifierOp || n.op == regressorOp })]
}

// probability appends what makes the outputs of the trees' sums.
func (g *graph) probability(t *treeTable) {
	one := "sums"
	if g.trees().op == classifierOp {
		g.initializers = append(g.initializers, tensor{name: "class", element: elementInt64, dims: []int64{1}, values: []float64{float64(t.column)}})
		g.do("Gather", "one_class", "sums", "class").attributes = []attribute{{name: "axis", kind: kindInt, i: 1}}
		one = "one_class"
	}
	g.constant("least", 0)
	g.constant("most", 1)
	g.cast("double", one, elementDouble)
	within := "probability"
	if t.negate {
		within = "good"
	}
	g.do("Clip", within, "double", "least", "most")
	if t.negate {
		g.do("Sub", "probability", "most", within)
	}
	g.do("Identity", voteOutput, "probability")
	g.label()
}
