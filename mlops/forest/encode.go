package forest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// The file, all numbers little endian:
//
//	magic "AURAFRST" | version uint32 | sections uint32
//	each section: name length uint8 | name | size uint64 | data
//	SHA-256 of all that precedes
//
// Sections "header" (JSON), "bins" and "trees" come first, in this order; others follow by rising name and are kept as they are.
//
//	bins:  numeric column: cuts uint16, cut float32 ...; categorical: one code a category
//	trees: each tree: nodes uint32, then each node: column uint16 | left uint16 | bin uint8 | missing right uint8 | value uint32
const (
	magic         = "AURAFRST"
	formatVersion = 1

	sectionHeader = "header"
	sectionBins   = "bins"
	sectionTrees  = "trees"

	maxSections    = 32       // beside the three
	maxSectionSize = 64 << 20 // of one of them
	maxMetaSize    = 8 << 20  // of the header: MaxColumns long names fit
	nodeSize       = 10
)

// header is the part of a model file that a person can read.
type header struct {
	Columns     []Column          `json:"columns"`
	Params      Params            `json:"params"`
	Calibration Calibration       `json:"calibration"`
	Training    Training          `json:"training"`
	Meta        map[string]string `json:"meta,omitempty"`
}

// Encode returns the model file. The same model always gives the same bytes.
func (f *Forest) Encode() ([]byte, error) {
	head, err := json.Marshal(header{f.columns, f.params, f.calibration, f.training, f.meta})
	if err != nil {
		return nil, fmt.Errorf("encode model header: %w", err)
	}
	if len(head) > maxMetaSize {
		return nil, fmt.Errorf("encode model header: %d bytes, at most %d", len(head), maxMetaSize)
	}
	out := make([]byte, 0, len(head)+len(f.values)*nodeSize+len(f.columns)*1100+1024)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, formatVersion)
	out = binary.LittleEndian.AppendUint32(out, uint32(3+len(f.sections)))
	out = appendSection(out, sectionHeader, head)
	out = appendSection(out, sectionBins, f.bins.encode())
	out = appendSection(out, sectionTrees, f.encodeTrees())
	for _, s := range f.sections {
		out = appendSection(out, s.Name, s.Data)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// WriteTo writes the model file.
func (f *Forest) WriteTo(w io.Writer) (int64, error) {
	data, err := f.Encode()
	if err != nil {
		return 0, err
	}
	n, err := w.Write(data)
	if err != nil {
		return int64(n), fmt.Errorf("write model: %w", err)
	}
	return int64(n), nil
}

// seal computes the digest: the checksum that the file ends with.
func (f *Forest) seal() error {
	data, err := f.Encode()
	if err != nil {
		return err
	}
	f.digest = hex.EncodeToString(data[len(data)-sha256.Size:])
	return nil
}

func appendSection(out []byte, name string, data []byte) []byte {
	out = append(out, uint8(len(name)))
	out = append(out, name...)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(data)))
	return append(out, data...)
}

func (b *binner) encode() []byte {
	var out []byte
	for j, table := range b.table {
		if table != nil {
			out = append(out, table...)
			continue
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(len(b.cuts[j])))
		for _, c := range b.cuts[j] {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(c))
		}
	}
	return out
}

func (f *Forest) encodeTrees() []byte {
	out := make([]byte, 0, len(f.values)*nodeSize+len(f.roots)*4)
	for t := range f.roots {
		nodes := f.tree(t)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(nodes)))
		for _, n := range nodes {
			right := uint8(0)
			if n.missingRight {
				right = 1
			}
			out = binary.LittleEndian.AppendUint16(out, n.column)
			out = binary.LittleEndian.AppendUint16(out, n.left)
			out = append(out, n.bin, right)
			out = binary.LittleEndian.AppendUint32(out, n.value)
		}
	}
	return out
}

func checkExtra(s Section) error {
	switch s.Name {
	case "":
		return errors.New("a section needs a name")
	case sectionHeader, sectionBins, sectionTrees:
		return fmt.Errorf("the name %q is the model's own", s.Name)
	}
	if len(s.Name) > 64 {
		return fmt.Errorf("the name has %d bytes, at most 64", len(s.Name))
	}
	for i := range len(s.Name) {
		if c := s.Name[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("the name %q holds more than printable ASCII", s.Name)
		}
	}
	if len(s.Data) > maxSectionSize {
		return fmt.Errorf("section %q has %d bytes, at most %d", s.Name, len(s.Data), maxSectionSize)
	}
	return nil
}

func compareNames(a, b string) int { return strings.Compare(a, b) }
