package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"aura/mlops/schema"
)

// decisionRow is a decision with its reasons as they are kept.
type decisionRow struct {
	Decision
	reasons string
}

// Decide writes each decision once. It returns when all are committed and synced; only the decisions in the results may
// be emitted. A decision of the model needs the current generations of mode and champion, one of safe mode that of the
// mode, a technical one (Rule = RuleTechnical) none; otherwise it is Stale and to be made again. On an error some may be
// written: the same call again is safe, and answers Already for those. Unless ctx has ended, the results beside the error
// say which were; the others have no status.
func (s *Store) Decide(ctx context.Context, ds []Decision) ([]DecideResult, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	own := make([]decisionRow, len(ds))
	for i, d := range ds {
		row, err := d.settle()
		if err == nil {
			err = s.dialect.check(row.ID, row.ApplicationID, row.TraceID, row.Rule, row.ModelDigest)
		}
		if err != nil {
			return nil, fmt.Errorf("store: decision of %s: %w", d.ID, err)
		}
		own[i] = row
	}
	out := make([]DecideResult, len(ds))
	var parts []*request
	for i := 0; i < len(own); i += partRows {
		j := min(i+partRows, len(own))
		parts = append(parts, &request{decisions: own[i:j], decided: out[i:j]})
	}
	err := s.await(ctx, parts)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, err // what is still queued or being written is unknown
	}
	for _, p := range parts {
		if p.err != nil {
			clear(p.decided) // of a transaction that was rolled back
		}
	}
	return out, err
}

// settle brings d into the form in which it is read back, so that what was inserted needn't be read again.
func (d Decision) settle() (decisionRow, error) {
	if d.ApplicationID == "" {
		d.ApplicationID = d.ID
	}
	d.AcceptedAt = fromMicros(micros(d.AcceptedAt))
	d.DecidedAt = fromMicros(micros(d.DecidedAt))
	d.Latency = d.Latency.Truncate(time.Microsecond)
	if d.Probability != nil {
		p := *d.Probability // the caller's own may change
		d.Probability = &p
		if math.IsNaN(p) {
			d.Probability = nil
		}
	}
	if len(d.Reasons) == 0 {
		d.Reasons = []schema.Reason{}
		return decisionRow{d, "[]"}, nil
	}
	text, err := json.Marshal(d.Reasons)
	return decisionRow{d, string(text)}, err
}

// fits reports whether d was made under the generations of now.
func (g Generations) fits(d *Decision) bool {
	switch {
	case d.Rule == RuleTechnical:
		return true
	case d.Mode != g.Mode || d.ModeGeneration != g.ModeGeneration:
		return false
	}
	return d.Mode != ModeModel || d.Generation == g.ChampionGeneration
}

// decideItem is one row of a group on its way.
type decideItem struct {
	d   *decisionRow
	out *DecideResult
}

func (w *writer) writeDecisions(rs []*request) error {
	if len(rs) == 0 {
		return nil
	}
	now, err := w.generations()
	if err != nil {
		return err
	}
	var fit []decideItem
	for _, r := range rs {
		for i := range r.decisions {
			it := decideItem{&r.decisions[i], &r.decided[i]}
			it.out.Current = now
			status, err := w.precheck(it, now)
			if err != nil {
				return err
			}
			if status == 0 {
				fit = append(fit, it)
				continue
			}
			if err := w.answerUnwritten(it, status); err != nil {
				return err
			}
		}
	}
	for len(fit) > 0 {
		n := w.dialect.chunk(len(fit))
		if err := w.insertDecisionChunk(fit[:n]); err != nil {
			return err
		}
		fit = fit[n:]
	}
	return nil
}

// precheck returns the status of a decision that must not be inserted, 0 if it may.
func (w *writer) precheck(it decideItem, now Generations) (DecideStatus, error) {
	if !now.fits(&it.d.Decision) {
		return Stale, nil
	}
	if it.d.ID > w.memo.purged {
		return 0, nil
	}
	// A late decision of an application that was decided and then deleted would be its second one.
	var one int
	found, err := w.row("SELECT 1 FROM applications WHERE id = ?", []any{it.d.ID}, &one)
	if err != nil || found {
		return 0, err
	}
	return Gone, nil
}

// answerUnwritten answers with the stored decision where there is one, else with status.
func (w *writer) answerUnwritten(it decideItem, status DecideStatus) error {
	found, err := w.decision(it.d.ID, &it.out.Decision)
	if err != nil {
		return err
	}
	it.out.Status = status
	if found {
		it.out.Status = Already
	}
	return nil
}

func (w *writer) insertDecisionChunk(items []decideItem) error {
	w.args = w.args[:0]
	for _, it := range items {
		d := it.d
		var p any
		if d.Probability != nil {
			p = *d.Probability
		}
		w.args = append(w.args, d.ID, d.ApplicationID, string(d.Decision.Decision), p, d.reasons, d.ModelVersion, d.ModelDigest,
			d.Generation, string(d.Mode), d.ModeGeneration, d.Rule, micros(d.DecidedAt), d.Latency.Microseconds(), d.TraceID,
			d.Incarnation)
	}
	all, in, err := w.insert(decisions, len(items), w.args)
	if err != nil {
		return err
	}
	for _, it := range items {
		if !all && !in[it.d.ID] {
			if err := w.answerUnwritten(it, 0); err != nil {
				return err
			}
			if it.out.Status == 0 {
				return fmt.Errorf("decision of %s was neither written nor found", it.d.ID)
			}
			continue
		}
		delete(in, it.d.ID) // the same id twice in a chunk went in once
		it.out.Status, it.out.Decision = Written, it.d.Decision
		if w.memo.early > 0 {
			if it.out.Joined, err = w.joinEarly(&it.out.Decision); err != nil {
				return err
			}
		}
	}
	return nil
}
