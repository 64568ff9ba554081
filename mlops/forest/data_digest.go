package forest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
)

// Digest names the data: the SHA-256 (hex) of the columns' names, and of each row's inputs, outcome and weight, in order. Equal
// data have equal digests on every machine; missing values of any bits are the same.
func (d *Data) Digest() string {
	h := sha256.New()
	for _, c := range d.Columns {
		_, _ = io.WriteString(h, c.Name+"\x00") // a hash takes everything
	}
	buf := make([]byte, 0, 8*(len(d.Columns)+2))
	for i, x := range d.X {
		buf = buf[:0]
		for _, v := range x {
			if math.IsNaN(v) {
				v = math.NaN()
			}
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
		}
		bad := byte(0)
		if d.Y[i] {
			bad = 1
		}
		buf = append(buf, bad)
		if i < len(d.Weights) {
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(d.Weights[i]))
		}
		_, _ = h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil))
}
