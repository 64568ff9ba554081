package train

import "math/rand/v2"

// deal gives each row one of k parts, in shuffled order, each outcome dealt for itself so that all parts have the same
// share of bad rows up to one row. It depends on y, k and seed alone.
func deal(y []bool, k int, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 0x666f6c64))
	part := make([]int, len(y))
	var dealt [2]int
	for _, i := range rng.Perm(len(y)) {
		class := 0
		if y[i] {
			class = 1
		}
		part[i] = dealt[class] % k
		dealt[class]++
	}
	return part
}
