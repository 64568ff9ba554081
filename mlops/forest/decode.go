package forest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Decode reads a model file. It trusts nothing: checksum, sizes, every index and every number are checked, and memory stays
// within a small multiple of len(data). Encoding the result gives data again. data is not kept. Errors are *FormatError.
func Decode(data []byte) (*Forest, error) {
	sections, err := frame(data)
	if err != nil {
		return nil, err
	}
	f, err := decodeHeader(sections[0].Data)
	if err != nil {
		return nil, err
	}
	if err := f.decodeBins(sections[1].Data); err != nil {
		return nil, err
	}
	if err := f.decodeTrees(sections[2].Data); err != nil {
		return nil, err
	}
	f.sections = sections[3:]
	for i := range f.sections {
		f.sections[i].Data = bytes.Clone(f.sections[i].Data)
	}
	f.finish()
	f.digest = hex.EncodeToString(data[len(data)-sha256.Size:])
	return f, nil
}

func decodeHeader(data []byte) (*Forest, error) {
	if len(data) > maxMetaSize {
		return nil, broken("a header of %d bytes, at most %d", len(data), maxMetaSize)
	}
	var h header
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return nil, broken("header: %v", err)
	}
	if again, err := json.Marshal(h); err != nil || !bytes.Equal(again, data) {
		return nil, broken("header: not as this program writes it")
	}
	if err := checkColumns(h.Columns); err != nil {
		return nil, broken("header: %v", err)
	}
	if err := h.Params.check(len(h.Columns)); err != nil {
		return nil, broken("header: %v", err)
	}
	if !h.Calibration.Valid() {
		return nil, broken("header: the calibration %v doesn't rise", h.Calibration)
	}
	if t := h.Training; t.Rows < 0 || t.Bad < 0 || t.Bad > t.Rows {
		return nil, broken("header: %d bad of %d rows", t.Bad, t.Rows)
	}
	return &Forest{
		columns: h.Columns, params: h.Params, calibration: h.Calibration, training: h.Training, meta: h.Meta,
		bins: newBinner(len(h.Columns)),
	}, nil
}

func (f *Forest) decodeBins(data []byte) error {
	r := reader{data: data}
	for j, c := range f.columns {
		if c.Categorical {
			f.bins.table[j] = bytes.Clone(r.take(uint64(c.Categories)))
			if r.short {
				return broken("bins: column %q runs past the end", c.Name)
			}
			continue
		}
		n := int(r.uint16())
		if n > maxCuts {
			return broken("bins: column %q has %d cuts, at most %d", c.Name, n, maxCuts)
		}
		raw := r.take(uint64(n) * 4)
		if r.short {
			return broken("bins: column %q runs past the end", c.Name)
		}
		cuts := make([]float32, n)
		for i := range cuts {
			bits := binary.LittleEndian.Uint32(raw[4*i:])
			cuts[i] = math.Float32frombits(bits)
			if c := cuts[i]; c != c || math.IsInf(float64(c), 1) || bits == 1<<31 || i > 0 && c <= cuts[i-1] {
				return broken("bins: column %q: its cuts don't rise", f.columns[j].Name)
			}
		}
		f.bins.setCuts(j, cuts)
	}
	if len(r.data) > 0 {
		return broken("bins: %d bytes too many", len(r.data))
	}
	return nil
}

func (f *Forest) decodeTrees(data []byte) error {
	r := reader{data: data}
	for t := range f.params.Trees {
		count := int(r.uint32())
		raw := r.take(uint64(count) * nodeSize)
		if r.short {
			return broken("tree %d runs past the end", t)
		}
		if count < 1 || count >= 1<<(MaxDepth+1) {
			return broken("tree %d has %d nodes, must be 1 to %d", t, count, 1<<(MaxDepth+1)-1)
		}
		nodes := make([]node, count)
		for i := range nodes {
			b := raw[i*nodeSize:]
			if b[5] > 1 {
				return broken("tree %d, node %d: side %d of missing values", t, i, b[5])
			}
			nodes[i] = node{
				column: binary.LittleEndian.Uint16(b), left: binary.LittleEndian.Uint16(b[2:]), bin: b[4], missingRight: b[5] == 1,
				value: binary.LittleEndian.Uint32(b[6:]),
			}
		}
		if err := f.checkTree(nodes); err != nil {
			return broken("tree %d: %v", t, err)
		}
		f.addTree(nodes)
	}
	if len(r.data) > 0 {
		return broken("%d bytes follow the last tree", len(r.data))
	}
	return nil
}

// checkTree wants the breadth-first order that Train writes: each inner node's children are the next two nodes that nobody
// has claimed. So every node has one parent, none is beyond reach, and no walk can leave the tree.
func (f *Forest) checkTree(nodes []node) error {
	depth := make([]uint8, len(nodes))
	unclaimed := 1
	for i, n := range nodes {
		if n.value > unit {
			return fmt.Errorf("node %d: value %d, at most %d", i, n.value, unit)
		}
		if n.left == 0 {
			if n != (node{value: n.value}) {
				return fmt.Errorf("node %d: a leaf with a test", i)
			}
			continue
		}
		if i >= unclaimed || int(n.left) != unclaimed || unclaimed+1 >= len(nodes) {
			return fmt.Errorf("node %d: child %d, want %d of %d nodes", i, n.left, unclaimed, len(nodes))
		}
		if int(n.column) >= len(f.columns) {
			return fmt.Errorf("node %d: column %d of %d", i, n.column, len(f.columns))
		}
		if n.bin > f.bins.highest(int(n.column)) {
			return fmt.Errorf("node %d: bin %d of column %d, at most %d", i, n.bin, n.column, f.bins.highest(int(n.column)))
		}
		if int(depth[i]) >= f.params.Depth {
			return fmt.Errorf("node %d: deeper than %d", i, f.params.Depth)
		}
		depth[unclaimed], depth[unclaimed+1] = depth[i]+1, depth[i]+1
		unclaimed += 2
	}
	if unclaimed != len(nodes) {
		return errors.New("nodes that no walk reaches")
	}
	return nil
}

// highest is the highest bin that a node may test in column j: one below the highest code.
func (b *binner) highest(j int) uint8 {
	if b.table[j] != nil {
		return maxCuts
	}
	return uint8(len(b.cuts[j]))
}
