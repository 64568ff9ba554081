// Package store keeps what must not be lost: applications and their decisions, outcomes, models and aliases, desired
// state, incarnations; and for healing leases with epochs, checkpoints, incidents and their actions, policy requests
// and decisions, references, memory and the audit. It owns the database (a SQLite file, or one on a PostgreSQL server:
// Options.URL), the directory's lock, the migrations and every statement; it is the only user of gorm and of the drivers.
// It may import mlops/schema and mlops/registry.
//
// Ordering: one goroutine writes. What returned from a write is committed and synced to disk; a later call of anybody
// sees it. Once SetMode (or SetAliases) has returned, no decision of the older generation commits. An action takes
// effect at most once, in one transaction with its record; who lost a lease writes nothing more under its epoch. Each
// change of state is in the audit, in its own transaction. Accepts, decisions and other writes of one transaction
// commit or fail together; those of one call may be spread over several.
//
// A file belongs to one process, which the directory's lock sees to. A server may be shared: each transaction takes the
// lock of the generations (shared to accept and decide, alone for everything else), so all of the above holds across
// processes; leases run out by the server's clock.
//
// Blocking: writes block until their commit, or until the context ends; then the outcome is unknown, and the same call
// again is harmless (Accept and Decide are idempotent by id). Reads never wait for writes. Errors: *Refused for what
// the store will not do, *Unavailable for what it could not do now (disk full, locked, I/O, no server; safe
// to repeat), ErrNotFound.
//
// Testing: Open with a temporary directory is fast and real; there is no fake. Options.MaxPages makes a full disk. This
// package's own tests put a file layer under SQLite that forgets what was not synced, fills up, or refuses to sync, and run
// the same suite on a real server (store/pgtest).
package store
