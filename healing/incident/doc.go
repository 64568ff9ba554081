// Package incident is the life of one incident as a pure state machine: (incident, event, now) -> (incident, effects).
//
// It owns the states, the declared table of transitions with their guards, the deadlines, the ladder's climbing, undo,
// take-over, relapse, the flap guard and the way back from safe mode. It decides nothing about signals (detect does),
// permission (policy does) or order (memory does): their results come in as events and as the ladder.
//
// An Incident is a plain value that marshals to JSON and back without loss. The agent around it loads it, calls Step,
// saves the result in one transaction and only then performs the effects. After a crash between any two of these it
// loads the value again and performs Resume's effects: the same ids come out, so whoever performs them does each at most
// once. Events may come late, doubled or out of order; what doesn't fit the state changes nothing. Signals are
// level-triggered: the agent repeats them while they hold, and sends TICK at least each second.
//
// Imports: the standard library only, no clock, no I/O, no goroutines; nothing blocks. Test it by stepping.
package incident
