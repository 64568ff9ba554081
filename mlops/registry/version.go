// Package registry keeps models: immutable, numbered versions with their files, and the aliases champion, challenger and
// previous with the history of who moved them, when and why.
//
// It owns the model files below its directory, what a Model is (a forest, or a tree ensemble read from
// ONNX, bound to the schema it was made for, so that a model that doesn't fit can't be made or loaded), and the rules by which aliases move. Rows belong to whoever implements
// Repository (store does). It imports mlops/{schema,forest,ensemble,onnx,explain}; a trainer hands it Models, a scorer needs nothing else.
//
// Ordering: a file is on disk, synced, and kept by the Repository where other processes have other directories, before its
// row is written; a crash in between leaves a file without a row, which is never read. An alias moves only after its target
// has been loaded from its file and has scored the probe, so a switch to a broken, missing or foreign model is Refused and
// nothing changes. A file is written again only where the one that lies there is missing or isn't the one that was
// registered, from the Repository's.
//
// Blocking: methods do file and repository I/O and obey ctx between steps. A Registry may be used from any number of
// goroutines; those that write are taken one at a time. A Model is immutable. Tests use a Repository in memory.
package registry

import (
	"context"
	"errors"
	"time"
)

// The aliases. Each names at most one version.
const (
	Champion   = "champion"
	Challenger = "challenger"
	Previous   = "previous"
)

// Errors of a Repository.
var (
	// ErrNotFound says that there is no such version, or no such file.
	ErrNotFound = errors.New("registry: no such version or file")
	// ErrMoved says that aliases are not what a change was made for: another process was quicker.
	ErrMoved = errors.New("registry: the aliases have moved")
	// ErrTaken says that a version of this number exists already.
	ErrTaken = errors.New("registry: the version's number is taken")
)

// Metrics of a model on rows it did not see; 0 where not measured.
type Metrics struct {
	CVAUC      float64 `json:"cv_auc,omitempty"` // mean over 5 folds
	HoldoutAUC float64 `json:"holdout_auc,omitempty"`
	Brier      float64 `json:"brier,omitempty"`
	Accuracy   float64 `json:"accuracy,omitempty"` // share of hold-out rows on the right side of probability 0.5
	LogLoss    float64 `json:"log_loss,omitempty"` // nats
	Rows       int     `json:"holdout_rows,omitempty"`
}

// Window says which rows a model was trained on. From and To are zero where rows carry no time.
type Window struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	Rows int       `json:"rows"`
}

// Version is one registered model. It never changes.
type Version struct {
	Number       int
	Digest       string // SHA-256 (hex) of the model file's content, see forest.Digest
	SchemaName   string
	SchemaDigest string
	Metrics      Metrics
	Window       Window
	Seed         uint64
	CreatedAt    time.Time
	CreatedBy    string
	Note         string
	File         string // relative to the registry's directory, with forward slashes
}

// AliasChange is one line of history: alias moved from Previous to Version (0 = none).
type AliasChange struct {
	Alias      string
	Version    int
	Previous   int
	Generation int64 // of the champion after the change
	By         string
	Reason     string
	At         time.Time
}

// Repository keeps the rows. An implementation must be safe for concurrent use.
type Repository interface {
	// CreateVersion inserts v under v.Number and returns the row. ErrTaken if the number exists.
	CreateVersion(ctx context.Context, v Version) (Version, error)
	// Version returns one; ErrNotFound if there is none.
	Version(ctx context.Context, number int) (Version, error)
	// SaveFile keeps a model file, by its digest, for the processes that have another directory; the same again does nothing.
	// Where one directory has the rows alone nothing is kept.
	SaveFile(ctx context.Context, digest string, data []byte) error
	// File returns what SaveFile has kept whole; ErrNotFound.
	File(ctx context.Context, digest string) ([]byte, error)
	// Unsaved returns the versions whose files SaveFile should have kept and has not: an earlier program's.
	Unsaved(ctx context.Context) ([]Version, error)
	// Versions returns up to limit versions, newest first, with numbers below before (0 = from the newest).
	Versions(ctx context.Context, limit, before int) ([]Version, error)
	// Aliases returns which version each alias names; one that names none is absent.
	Aliases(ctx context.Context) (map[string]int, error)
	// SetAliases moves aliases (0 removes one) in one transaction, writes a line of history for each that moves, and, where
	// the champion does, raises its generation in the desired state. An alias that names its version already is left
	// alone. ErrMoved unless all aliases are as seen, where that isn't nil; a version that doesn't exist is an error; either way
	// nothing moves. It returns the champion's generation after it.
	SetAliases(ctx context.Context, changes, seen map[string]int, by, reason string) (generation int64, err error)
	// AliasHistory returns up to limit changes, newest first.
	AliasHistory(ctx context.Context, limit int) ([]AliasChange, error)
}

// Codes of Refused.
const (
	CodeNotFound    = "not_found"   // no such version
	CodeNoPrevious  = "no_previous" // nothing to roll back to
	CodeNoChampion  = "no_champion"
	CodeHasChampion = "has_champion"
	CodeMoved       = "moved" // somebody else moved the aliases meanwhile
	CodeFile        = "file_missing"
	CodeBroken      = "file_broken" // not a model, or not the one that was registered
	CodeSchema      = "schema_mismatch"
	CodeProbe       = "probe_failed"   // loads, but doesn't score as it did when it was made
	CodeNotImported = "not_importable" // an ONNX file that holds what can't be scored here
)

// Refused says that an order was understood and not carried out; nothing has changed. Other errors mean that something
// is broken and the outcome may be unknown.
type Refused struct {
	Code    string // one of the Code constants
	Message string // a sentence for people, with the remedy
	Err     error  // the cause, may be nil
}

// Error implements error.
func (e *Refused) Error() string { return "registry: " + e.Message }

// Unwrap returns the cause.
func (e *Refused) Unwrap() error { return e.Err }
