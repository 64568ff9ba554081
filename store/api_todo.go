package store

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Options say where and how.
type Options struct {
	// Dir holds the database (aura.db) and its lock; it is made where missing.
	Dir string
	// Instance names this process in the log.
	Instance string
	// BusyTimeout is how long the writer waits for a lock that somebody else's tool holds; default 5 s.
	BusyTimeout time.Duration
	// Readers is the size of the read-only pool; default 4.
	Readers int
	// VFS names a registered SQLite file layer; "" is the system's. For tests.
	VFS string
	// MaxPages bounds the database in pages of 4 KiB, 0 for no bound; past it writes are Unavailable (disk_full).
	MaxPages int
	Logger   *slog.Logger
}

// Store is the open database.
type Store struct{}

// Policy says how long decided applications are kept; zero keeps for ever.
type Policy struct {
	Simulated, Others time.Duration
	// Chunk is how many applications one write deletes at most; default 200.
	Chunk int
}

// Purged counts what a purge deleted.
type Purged struct {
	Applications, Feedback int64
	// More says that the purge stopped at its bound, and there is more to delete.
	More bool
}

// Stats are counters of the writer since Open, for metrics.
type Stats struct {
	Transactions, Failed, Accepted, Decided, Jobs int64
	// QueueAccepts, QueueDecisions and QueueJobs are rows (jobs) that wait now.
	QueueAccepts, QueueDecisions, QueueJobs int
	// LastTx is the whole last transaction, LastCommit its COMMIT alone (mostly the fsync of the log).
	LastTx, LastCommit time.Duration
	// Checkpoints counts those of the background connection; WALPages is the log's length after the last transaction.
	Checkpoints int64
	WALPages    int64
}

var errBuilding = errors.New("store: being built")

func Open(ctx context.Context, o Options) (*Store, error) { return nil, errBuilding }
func (s *Store) Close(ctx context.Context) error          { return errBuilding }
func (s *Store) Unclean() bool                            { return false }
func (s *Store) Stats() Stats                             { return Stats{} }
func (s *Store) Accept(ctx context.Context, as []Application) ([]AcceptResult, error) {
	return nil, errBuilding
}

func (s *Store) Decide(ctx context.Context, ds []Decision) ([]DecideResult, error) {
	return nil, errBuilding
}

func (s *Store) AddFeedback(ctx context.Context, fs []Feedback) ([]FeedbackResult, error) {
	return nil, errBuilding
}

func (s *Store) Undecided(ctx context.Context, afterID string, limit int) ([]Application, error) {
	return nil, errBuilding
}
func (s *Store) Floor(ctx context.Context) (string, error)     { return "", errBuilding }
func (s *Store) SetFloor(ctx context.Context, id string) error { return errBuilding }
func (s *Store) Application(ctx context.Context, id string) (Record, error) {
	return Record{}, errBuilding
}

func (s *Store) RecentDecisions(ctx context.Context, limit int, beforeID string) ([]Decision, error) {
	return nil, errBuilding
}
func (s *Store) Counts(ctx context.Context) (Counts, error) { return Counts{}, errBuilding }
func (s *Store) Desired(ctx context.Context) (State, error) { return State{}, errBuilding }
func (s *Store) SetMode(ctx context.Context, m Mode, by, reason string) (int64, error) {
	return 0, errBuilding
}

func (s *Store) Set(ctx context.Context, c Change) (Setting, error) { return Setting{}, errBuilding }

func (s *Store) ConfigHistory(ctx context.Context, limit int, before int64) ([]ConfigChange, error) {
	return nil, errBuilding
}

func (s *Store) NextIncarnation(ctx context.Context, agent, instance string) (int64, error) {
	return 0, errBuilding
}
func (s *Store) SaveHealth(ctx context.Context, hs []AgentHealth) error { return errBuilding }
func (s *Store) Health(ctx context.Context) ([]AgentHealth, error)      { return nil, errBuilding }
func (s *Store) Purge(ctx context.Context, now time.Time, p Policy) (Purged, error) {
	return Purged{}, errBuilding
}
