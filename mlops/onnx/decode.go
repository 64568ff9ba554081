package onnx

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

func (d *decoder) model(data []byte) (*model, error) {
	m := &model{}
	err := fields("model", data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			return v.int("model.ir_version", &m.irVersion)
		case 2:
			return v.text("model.producer_name", &m.producer)
		case 7:
			if m.graph != nil {
				return damaged("model.graph", "it stands twice")
			}
			raw, err := v.message("model.graph")
			if err != nil {
				return err
			}
			m.graph, err = d.graph(raw)
			return err
		case 8:
			return part(&m.opsets, "model.opset_import", v, readOpset)
		case 14:
			return part(&m.props, "model.metadata_props", v, readProperty)
		case 25:
			return &Refused{"model.functions", "functions of its own can't be read", "export the trees alone"}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if m.graph == nil {
		return nil, &Refused{"model.graph", "it is missing: this is no ONNX model", "name the .onnx file that skl2onnx, onnxmltools or aura wrote"}
	}
	return m, nil
}

func readOpset(path string, data []byte) (o opset, err error) {
	return o, fields(path, data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			return v.text(path+".domain", &o.domain)
		case 2:
			return v.int(path+".version", &o.version)
		}
		return nil
	})
}

// maxProperty bounds a value of metadata: ours describe the columns.
const maxProperty = 1 << 20

func readProperty(path string, data []byte) (p property, err error) {
	return p, fields(path, data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			return v.text(path+".key", &p.key)
		case 2:
			raw, err := v.message(path + ".value")
			if err == nil && len(raw) > maxProperty {
				err = damaged(path+".value", "%d bytes, at most %d", len(raw), maxProperty)
			}
			p.value = strings.ToValidUTF8(string(raw[:min(len(raw), maxProperty)]), "\uFFFD")
			return err
		}
		return nil
	})
}

func (d *decoder) graph(data []byte) (*graph, error) {
	g := &graph{}
	err := fields("graph", data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			return part(&g.nodes, "graph.node", v, d.node)
		case 2:
			return v.text("graph.name", &g.name)
		case 5:
			return part(&g.initializers, "graph.initializer", v, d.tensor)
		case 11:
			return part(&g.inputs, "graph.input", v, d.valueInfo)
		case 12:
			return part(&g.outputs, "graph.output", v, d.valueInfo)
		}
		return nil
	})
	return g, err
}

func (d *decoder) node(path string, data []byte) (n node, err error) {
	return n, fields(path, data, func(number protowire.Number, v value) error {
		switch number {
		case 1:
			return d.texts(path+".input", v, &n.inputs)
		case 2:
			return d.texts(path+".output", v, &n.outputs)
		case 3:
			return v.text(path+".name", &n.name)
		case 4:
			return v.text(path+".op_type", &n.op)
		case 5:
			return part(&n.attributes, path+".attribute", v, d.attribute)
		case 7:
			return v.text(path+".domain", &n.domain)
		}
		return nil
	})
}

func (d *decoder) texts(path string, v value, into *[]string) error {
	if err := d.take(path, 1); err != nil {
		return err
	}
	*into = append(*into, "")
	return v.text(path, &(*into)[len(*into)-1])
}

func (d *decoder) attribute(path string, data []byte) (a attribute, err error) {
	return a, fields(path, data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			if err := v.text(path+".name", &a.name); err != nil {
				return err
			}
			if cut := strings.LastIndex(path, ".attribute["); cut >= 0 && a.name != "" {
				path = path[:cut+1] + a.name // from here on it is told by its name
			}
			return nil
		case 2:
			return float(path, v, &a.f)
		case 3:
			return v.int(path, &a.i)
		case 4:
			return v.text(path, &a.s)
		case 5:
			raw, err := v.message(path)
			if err != nil {
				return err
			}
			t, err := d.tensor(path, raw)
			a.t = &t
			return err
		case 7:
			return d.floats(path, v, &a.floats)
		case 8:
			return d.ints(path, v, &a.ints)
		case 9:
			return d.texts(path, v, &a.strings)
		case 20:
			return v.int(path+".type", &a.kind)
		case 21:
			return damaged(path, "it refers to an attribute of a function")
		}
		return nil
	})
}

func (d *decoder) valueInfo(path string, data []byte) (i valueInfo, err error) {
	return i, fields(path, data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			return v.text(path+".name", &i.name)
		case 2:
			raw, err := v.message(path + ".type")
			if err != nil {
				return err
			}
			return fields(path+".type", raw, func(n protowire.Number, v value) error {
				if n != 1 {
					return nil
				}
				raw, err := v.message(path + ".type")
				if err != nil {
					return err
				}
				return d.tensorType(path+".type", raw, &i)
			})
		}
		return nil
	})
}

func (d *decoder) tensorType(path string, data []byte, i *valueInfo) error {
	return fields(path, data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			return v.int(path+".elem_type", &i.element)
		case 2:
			raw, err := v.message(path + ".shape")
			if err != nil {
				return err
			}
			return fields(path+".shape", raw, func(n protowire.Number, v value) error {
				if n != 1 {
					return nil
				}
				return part(&i.dims, path+".shape.dim", v, readDim)
			})
		}
		return nil
	})
}

func readDim(path string, data []byte) (i dim, err error) {
	return i, fields(path, data, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			return v.int(path, &i.value)
		case 2:
			return v.text(path, &i.param)
		}
		return nil
	})
}
