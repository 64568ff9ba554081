package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits of a file. They bound what it can make this package allocate.
const (
	// MaxBytes is the size of the largest file that is read.
	MaxBytes = 128 << 20
	// maxElements bounds the numbers and texts of all lists of a file together.
	maxElements = 24 << 20
	maxName     = 1024
	maxParts    = 4096 // nodes, attributes, inputs, outputs, constants: each
)

// Refused says what of an ONNX file can't be used, and what to do. No other call will make the file good.
type Refused struct {
	Field   string // where in the file, such as graph.node[0].nodes_values
	Problem string
	Remedy  string
}

// Error implements error.
func (r *Refused) Error() string {
	return fmt.Sprintf("onnx: %s: %s; %s", r.Field, r.Problem, r.Remedy)
}

// again is the remedy for a file that can't be read at all.
const again = "export the model again"

func damaged(field, format string, args ...any) error {
	return &Refused{field, fmt.Sprintf(format, args...), again}
}

// value is what a field holds: bytes, or a number of up to 64 bits.
type value struct {
	kind   protowire.Type
	bytes  []byte
	number uint64
}

// decoder reads one file; left is how many elements of lists it may still hold.
type decoder struct{ left int }

// decode reads a model; data is shared with it.
func decode(data []byte) (*model, error) {
	if len(data) > MaxBytes {
		return nil, &Refused{"model", fmt.Sprintf("%d bytes, at most %d are read", len(data), MaxBytes), "export fewer or smaller trees"}
	}
	d := decoder{left: maxElements}
	return d.model(data)
}

// fields calls one for each field of a message, in the file's order.
func fields(path string, data []byte, one func(n protowire.Number, v value) error) error {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return damaged(path, "no protobuf message: %v", protowire.ParseError(size))
		}
		data = data[size:]
		v := value{kind: kind}
		switch kind {
		case protowire.BytesType:
			v.bytes, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			v.number, size = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var four uint32
			four, size = protowire.ConsumeFixed32(data)
			v.number = uint64(four)
		case protowire.Fixed64Type:
			v.number, size = protowire.ConsumeFixed64(data)
		default:
			return damaged(path, "field %d has the wire type %d, which ONNX doesn't use", n, kind)
		}
		if size < 0 {
			return damaged(path, "field %d: %v", n, protowire.ParseError(size))
		}
		data = data[size:]
		if err := one(n, v); err != nil {
			return err
		}
	}
	return nil
}

func (v value) message(path string) ([]byte, error) {
	if v.kind != protowire.BytesType {
		return nil, damaged(path, "a number where a message or text belongs")
	}
	return v.bytes, nil
}

func (v value) text(path string, into *string) error {
	raw, err := v.message(path)
	if err != nil {
		return err
	}
	if len(raw) > maxName || !utf8.Valid(raw) {
		return damaged(path, "a text of %d bytes, must be UTF-8 of at most %d", len(raw), maxName)
	}
	*into = string(raw)
	return nil
}

func (v value) int(path string, into *int64) error {
	if v.kind != protowire.VarintType {
		return damaged(path, "no integer")
	}
	*into = int64(v.number)
	return nil
}

// take books n elements of lists.
func (d *decoder) take(path string, n int) error {
	if d.left -= n; d.left < 0 {
		return &Refused{path, fmt.Sprintf("the lists of the file have more than %d elements", maxElements), "export fewer or smaller trees"}
	}
	return nil
}

// part reads a message that stands in a list of at most maxParts.
func part[T any](list *[]T, path string, v value, read func(path string, data []byte) (T, error)) error {
	path = fmt.Sprintf("%s[%d]", path, len(*list))
	if len(*list) == maxParts {
		return damaged(path, "more than %d", maxParts)
	}
	raw, err := v.message(path)
	if err != nil {
		return err
	}
	t, err := read(path, raw)
	if err != nil {
		return err
	}
	*list = append(*list, t)
	return nil
}

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

func float(path string, v value, into *float32) error {
	if v.kind != protowire.Fixed32Type {
		return damaged(path, "no float")
	}
	*into = math.Float32frombits(uint32(v.number))
	return nil
}

// floats reads one number, or many packed into one field: both are in use.
func (d *decoder) floats(path string, v value, into *[]float32) error {
	if v.kind == protowire.Fixed32Type {
		*into = append(*into, 0)
		if err := d.take(path, 1); err != nil {
			return err
		}
		return float(path, v, &(*into)[len(*into)-1])
	}
	raw, err := v.message(path)
	if err != nil {
		return err
	}
	if len(raw)%4 != 0 {
		return damaged(path, "%d bytes are no list of floats", len(raw))
	}
	if err := d.take(path, len(raw)/4); err != nil {
		return err
	}
	for ; len(raw) > 0; raw = raw[4:] {
		*into = append(*into, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return nil
}

func (d *decoder) ints(path string, v value, into *[]int64) error {
	if v.kind == protowire.VarintType {
		*into = append(*into, int64(v.number))
		return d.take(path, 1)
	}
	raw, err := v.message(path)
	if err != nil {
		return err
	}
	for len(raw) > 0 {
		n, size := protowire.ConsumeVarint(raw)
		if size < 0 {
			return damaged(path, "%v", protowire.ParseError(size))
		}
		if err := d.take(path, 1); err != nil {
			return err
		}
		*into = append(*into, int64(n))
		raw = raw[size:]
	}
	return nil
}

func (d *decoder) tensor(path string, data []byte) (t tensor, err error) {
	var floats []float32
	var raw, doubles []byte
	err = fields(path, data, func(n protowire.Number, v value) (err error) {
		switch n {
		case 1:
			return d.ints(path+".dims", v, &t.dims)
		case 2:
			return v.int(path+".data_type", &t.element)
		case 4:
			return d.floats(path+".float_data", v, &floats)
		case 8:
			return v.text(path+".name", &t.name)
		case 9:
			raw, err = v.message(path + ".raw_data")
			return err
		case 10:
			if v.kind == protowire.Fixed64Type {
				doubles = binary.LittleEndian.AppendUint64(doubles, v.number)
				return nil
			}
			more, err := v.message(path + ".double_data")
			doubles = append(doubles, more...)
			return err
		case 13:
			return &Refused{path + ".external_data", "its numbers are in another file", "save the model as one file"}
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	return t, d.numbers(path, &t, floats, raw, doubles)
}

// numbers sets a tensor's values from the one field that has them. Other elements than floats are left unread: no constant
// that is used here has them.
func (d *decoder) numbers(path string, t *tensor, floats []float32, raw, doubles []byte) error {
	size := 8
	switch t.element {
	case elementFloat:
		size = 4
		for _, f := range floats {
			t.values = append(t.values, float64(f))
		}
	case elementDouble:
		if len(raw) == 0 {
			raw = doubles
		}
	default:
		return nil
	}
	if len(raw)%size != 0 || len(raw) > 0 && len(t.values) > 0 {
		return damaged(path, "%d bytes of data for elements of %d", len(raw), size)
	}
	if err := d.take(path, len(raw)/size); err != nil {
		return err
	}
	for ; len(raw) > 0; raw = raw[size:] {
		if size == 4 {
			t.values = append(t.values, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		} else {
			t.values = append(t.values, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
	}
	return nil
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
