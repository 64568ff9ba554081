// Package store keeps what must not be lost: applications and their decisions, outcomes, models and aliases, desired
// state, incarnations; and for healing leases with epochs, checkpoints, incidents and their actions, policy requests
// and decisions, references, memory and the audit. It owns the database file, its directory's lock, the migrations and
// every statement; it is the only user of gorm. It may import mlops/schema and mlops/registry.
//
// Ordering: one goroutine writes. What returned from a write is committed and synced to disk; a later call of anybody
// sees it. Once SetMode (or SetAliases) has returned, no decision of the older generation commits. An action takes
// effect at most once, in one transaction with its record; who lost a lease writes nothing more under its epoch. Each
// change of state is in the audit, in its own transaction. Accepts, decisions and other writes of one transaction
// commit or fail together; those of one call may be spread over several.
//
// Blocking: writes block until their commit, or until the context ends; then the outcome is unknown, and the same call
// again is harmless (Accept and Decide are idempotent by id). Reads never wait for writes. Errors: *Refused for what
// the store will not do, *Unavailable for what it could not do now (disk full, locked, I/O; safe to repeat),
// ErrNotFound.
//
// Testing: Open with a temporary directory is fast and real; there is no fake. Options.MaxPages makes a full disk. This
// package's own tests put a file layer under SQLite that forgets what was not synced, fills up, or refuses to sync.
package store
