package bus

import (
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// lastID is the time part of the newest id: milliseconds since 1970 << 12 | a fraction of 1/4096 ms.
var lastID atomic.Uint64

// newID returns a UUIDv7 (RFC 9562 §5.7, with the sub-millisecond fraction of §6.2 method 3 in rand_a) as lower-case
// text. Ids of one process are strictly increasing, also as text and also when the clock steps back. The random part
// only has to keep processes apart, it is no secret.
func newID() string {
	now := time.Now()
	ms := now.UnixMilli()
	stamp := uint64(ms)<<12 | uint64(now.UnixNano()-ms*1e6)*4096/1_000_000
	for {
		last := lastID.Load()
		if stamp <= last {
			stamp = last + 1
		}
		if lastID.CompareAndSwap(last, stamp) {
			break
		}
	}
	return formatID(stamp, rand.Uint64())
}

// formatID lays out 48 bits of milliseconds, version 7, 12 bits of fraction, the variant and 62 random bits.
func formatID(stamp, random uint64) string {
	var b [16]byte
	ms := stamp >> 12
	b[0], b[1], b[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	b[3], b[4], b[5] = byte(ms>>16), byte(ms>>8), byte(ms)
	b[6] = 0x70 | byte(stamp>>8)&0x0f
	b[7] = byte(stamp)
	for i := range 8 {
		b[8+i] = byte(random >> (56 - 8*i))
	}
	b[8] = b[8]&0x3f | 0x80

	var t [36]byte
	hex.Encode(t[0:8], b[0:4])
	hex.Encode(t[9:13], b[4:6])
	hex.Encode(t[14:18], b[6:8])
	hex.Encode(t[19:23], b[8:10])
	hex.Encode(t[24:36], b[10:16])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}
