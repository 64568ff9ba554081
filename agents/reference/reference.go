// Package reference holds the sample that this process' agents count against: the one that desired state names.
//
// Reading it costs one atomic load; nil means that there is none yet, and nothing is counted. Follow loads what the view
// wants, when desired state changes and with each poll. It imports agents/desired, healing/detect.
package reference

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"aura/agents/desired"
	"aura/healing/detect"
)

// Loader reads a reference by its id; the store implements it through app.
type Loader func(ctx context.Context, id string) (*detect.Reference, error)

// Holder follows the desired reference.
type Holder struct {
	load Loader
	view *desired.View
	log  *slog.Logger

	mu      sync.Mutex
	version int // of the champion whose scores current has
	current atomic.Pointer[detect.Reference]
}

// New makes a holder; nothing is loaded yet.
func New(load Loader, view *desired.View, log *slog.Logger) *Holder {
	return &Holder{load: load, view: view, log: log.With("component", "reference")}
}

// Current is the reference in force, nil before the first one.
func (h *Holder) Current() *detect.Reference { return h.current.Load() }

// Follow loads the reference that desired state names, unless it is there already.
func (h *Holder) Follow(ctx context.Context) {
	if err := h.follow(ctx); err != nil && ctx.Err() == nil {
		h.log.Error("the reference could not be loaded; drift is judged against the one before", "err", err)
	}
}

// Again loads the reference in force anew: it has grown.
func (h *Holder) Again(ctx context.Context) error {
	h.mu.Lock()
	h.version = unloaded
	h.mu.Unlock()
	return h.follow(ctx)
}

// unloaded is no version: whatever is wanted is loaded.
const unloaded = -1

func (h *Holder) follow(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	want := h.view.Current()
	now := h.current.Load()
	if want.Reference == "" || now != nil && now.ID == want.Reference && h.version == want.Champion {
		return nil
	}
	r, err := h.load(ctx, want.Reference)
	if err != nil {
		return fmt.Errorf("reference: load %s: %w", want.Reference, err)
	}
	if err := h.addScores(ctx, r, want.Champion); err != nil {
		// Features are judged all the same; the score is UNKNOWN meanwhile.
		h.log.Warn("the champion has no score reference", "version", want.Champion, "err", err)
	}
	h.version = want.Champion
	h.current.Store(r)
	h.log.Info("reference in force", "id", r.ID, "rows", r.Rows, "version", want.Champion)
	return nil
}

// addScores sees to it that r knows the scores of the champion: each version brought its own with its training sample.
func (h *Holder) addScores(ctx context.Context, r *detect.Reference, version int) error {
	if version == 0 || r.Scores[version] != nil {
		return nil
	}
	own, err := h.load(ctx, OfModel(version))
	if err != nil {
		return err
	}
	if own.Scores[version] == nil {
		return fmt.Errorf("reference: %s has no scores of version %d", own.ID, version)
	}
	if r.Scores == nil {
		r.Scores = map[int]*detect.Column{}
	}
	r.Scores[version] = own.Scores[version]
	return nil
}

// OfModel is the id of the reference that a model version brings with it: its training sample and its scores there.
func OfModel(version int) string { return fmt.Sprintf("model-%d", version) }
