// Package policy is what automation may do: CEL rules over a typed input, limits, who may decide, and the signed decision
// that the executor demands.
//
// It owns the rules' language and defaults, the limits table, roles, and the format of the signed decision. It keeps no
// state: past actions, holds, keys and used nonces are arguments, and so is the time; nothing blocks. A Policy is
// immutable and may be used by many goroutines at once. It fails closed: a rule that can't be evaluated denies, no rule
// denies, and whatever is odd about a signed decision refuses it.
//
// Imports: CEL, YAML, the standard library. Test it with values.
package policy
