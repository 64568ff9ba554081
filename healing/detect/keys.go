package detect

import (
	"cmp"
	"maps"
	"slices"
)

// sortedKeys makes judgement deterministic: maps are walked in the order of their keys.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
