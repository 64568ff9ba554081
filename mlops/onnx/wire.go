package onnx

import (
	"fmt"
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
