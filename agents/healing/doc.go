// Package healing is the agent that heals: it opens incidents for the causes that monitoring reports, steps them, asks
// governance for leave, has approved actions executed and watches what comes of them.
//
// It owns the composition around healing/incident: one value of Incident a cause, stepped one event at a time under the
// healing lease; each step is saved with its actions, requests, memories and audit entries in one transaction before its
// effects are performed. Effects are idempotent by id, so a crash between any two steps costs a repetition and nothing
// else. What the executor does to the system goes through the interfaces in target.go, which app implements; executor.go
// is the only code that calls those which change something, and only with a signed decision.
//
// Order: events of one incident are applied one after the other; executions run beside them, one an action, at most
// maxRunning at a time, on goroutines that end with the life that started them. Handlers block for store transactions
// only. A life that is replaced is fenced by the lease's epoch: whatever it still writes is refused.
//
// The agent never reads the fault registry. It imports agents, agents/bus, agents/event, healing/* and store. Test it with
// the real store and the memory bus, and reports made by hand.
package healing
