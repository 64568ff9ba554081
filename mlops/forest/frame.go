package forest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// FormatError says what is wrong with a model file. The file is broken: no other call will make it good.
type FormatError struct{ Problem string }

func (e *FormatError) Error() string { return "forest: model file: " + e.Problem }

func broken(format string, args ...any) error {
	return &FormatError{Problem: fmt.Sprintf(format, args...)}
}

// frame checks the frame and returns the sections: the three of the model, then the others.
func frame(data []byte) ([]Section, error) {
	const start = len(magic) + 8
	if len(data) < start+sha256.Size {
		return nil, broken("%d bytes are too few", len(data))
	}
	if string(data[:len(magic)]) != magic {
		return nil, broken("it doesn't begin with %q", magic)
	}
	if v := binary.LittleEndian.Uint32(data[len(magic):]); v != formatVersion {
		return nil, broken("format %d, this program reads %d", v, formatVersion)
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if have := sha256.Sum256(body); !bytes.Equal(have[:], sum) {
		return nil, broken("its checksum doesn't match: truncated or changed")
	}
	count := binary.LittleEndian.Uint32(data[len(magic)+4:])
	if count < 3 || count > 3+maxSections {
		return nil, broken("%d sections, must be 3 to %d", count, 3+maxSections)
	}
	r := reader{data: body[start:]}
	sections := make([]Section, count)
	own := [...]string{sectionHeader, sectionBins, sectionTrees}
	for i := range sections {
		s := Section{Name: string(r.take(uint64(r.uint8())))}
		s.Data = r.take(r.uint64())
		if r.short {
			return nil, broken("section %d runs past the end", i)
		}
		if i < len(own) {
			if s.Name != own[i] {
				return nil, broken("section %d is %q, must be %q", i, s.Name, own[i])
			}
		} else if err := checkExtra(s); err != nil {
			return nil, broken("section %d: %v", i, err)
		} else if i > len(own) && s.Name <= sections[i-1].Name {
			return nil, broken("section %q is out of order", s.Name)
		}
		sections[i] = s
	}
	if len(r.data) > 0 {
		return nil, broken("%d bytes follow the last section", len(r.data))
	}
	return sections, nil
}

// reader takes little-endian numbers off a slice; past its end it returns zeros and remembers.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.short, r.data = true, nil
		return nil
	}
	out := r.data[:n:n]
	r.data = r.data[n:]
	return out
}

func (r *reader) number(n uint64) uint64 {
	var b [8]byte
	copy(b[:], r.take(n))
	return binary.LittleEndian.Uint64(b[:])
}

func (r *reader) uint8() uint8   { return uint8(r.number(1)) }
func (r *reader) uint16() uint16 { return uint16(r.number(2)) }
func (r *reader) uint32() uint32 { return uint32(r.number(4)) }
func (r *reader) uint64() uint64 { return r.number(8) }
