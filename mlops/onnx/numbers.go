package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

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
