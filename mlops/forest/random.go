package forest

import "math/bits"

// random is splitmix64 (Steele, Lea, Flood 2014): one word of state, so that each tree has a stream of its own.
type random uint64

func newRandom(seed uint64, tree int) random {
	r := random(seed)
	a := r.next()
	r = random(a ^ (uint64(tree)+1)*0xd1342543de82ef95)
	r.next()
	return r
}

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n) by the high word of a product; its bias, n/2^64, is beyond measure here.
func (r *random) below(n int) int {
	high, _ := bits.Mul64(r.next(), uint64(n))
	return int(high)
}
