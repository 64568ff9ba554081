package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message as it is written. A field without a value is left out, as in proto3.
type message []byte

func (m *message) text(n protowire.Number, s string) {
	if s != "" {
		*m = protowire.AppendString(protowire.AppendTag(*m, n, protowire.BytesType), s)
	}
}

func (m *message) number(n protowire.Number, v int64) {
	if v != 0 {
		*m = protowire.AppendVarint(protowire.AppendTag(*m, n, protowire.VarintType), uint64(v))
	}
}

// part appends a message inside this one, or packed numbers, also when it is empty.
func (m *message) part(n protowire.Number, inner message) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, n, protowire.BytesType), inner)
}

// texts appends each of s, the empty ones too: their place counts.
func (m *message) texts(n protowire.Number, s []string) {
	for _, t := range s {
		*m = protowire.AppendString(protowire.AppendTag(*m, n, protowire.BytesType), t)
	}
}

func (m *model) encode() []byte {
	var out message
	out.number(1, m.irVersion)
	out.text(2, m.producer)
	out.part(7, m.graph.encode())
	for _, o := range m.opsets {
		var inner message
		inner.text(1, o.domain)
		inner.number(2, o.version)
		out.part(8, inner)
	}
	for _, p := range m.props {
		var inner message
		inner.text(1, p.key)
		inner.text(2, p.value)
		out.part(14, inner)
	}
	return out
}

func (g *graph) encode() (out message) {
	for i := range g.nodes {
		out.part(1, g.nodes[i].encode())
	}
	out.text(2, g.name)
	for i := range g.initializers {
		out.part(5, g.initializers[i].encode())
	}
	for i := range g.inputs {
		out.part(11, g.inputs[i].encode())
	}
	for i := range g.outputs {
		out.part(12, g.outputs[i].encode())
	}
	return out
}

func (n *node) encode() (out message) {
	out.texts(1, n.inputs)
	out.texts(2, n.outputs)
	out.text(3, n.name)
	out.text(4, n.op)
	for i := range n.attributes {
		out.part(5, n.attributes[i].encode())
	}
	out.text(7, n.domain)
	return out
}

func (a *attribute) encode() (out message) {
	out.text(1, a.name)
	var packed message
	switch a.kind {
	case kindFloat:
		out = protowire.AppendFixed32(protowire.AppendTag(out, 2, protowire.Fixed32Type), math.Float32bits(a.f))
	case kindInt:
		out.number(3, a.i)
	case kindString:
		out.text(4, a.s)
	case kindTensor:
		out.part(5, a.t.encode())
	case kindFloats:
		for _, f := range a.floats {
			packed = protowire.AppendFixed32(packed, math.Float32bits(f))
		}
		out.part(7, packed)
	case kindInts:
		for _, i := range a.ints {
			packed = protowire.AppendVarint(packed, uint64(i))
		}
		out.part(8, packed)
	case kindStrings:
		out.texts(9, a.strings)
	}
	out.number(20, a.kind)
	return out
}

func (t *tensor) encode() (out message) {
	for _, d := range t.dims {
		out = protowire.AppendVarint(protowire.AppendTag(out, 1, protowire.VarintType), uint64(d)) // a 0 too
	}
	out.number(2, t.element)
	out.text(8, t.name)
	var raw message
	for _, v := range t.values {
		switch t.element {
		case elementFloat:
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
		case elementInt64:
			raw = binary.LittleEndian.AppendUint64(raw, uint64(int64(v)))
		default:
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		}
	}
	out.part(9, raw)
	return out
}

func (v *valueInfo) encode() (out message) {
	var shape message
	for _, d := range v.dims {
		var inner message
		inner.number(1, d.value)
		inner.text(2, d.param)
		shape.part(1, inner)
	}
	var tensorType, kind message
	tensorType.number(1, v.element)
	tensorType.part(2, shape)
	kind.part(1, tensorType)
	out.text(1, v.name)
	out.part(2, kind)
	return out
}
