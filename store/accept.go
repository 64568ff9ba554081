package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Accept commits applications that are new and tells which were there before. It returns once all are committed and
// synced. A client id that is the ID of a stored application means that application. On an error some may be committed:
// the same call again is safe, and answers Same for those.
func (s *Store) Accept(ctx context.Context, as []Application) ([]AcceptResult, error) {
	if len(as) == 0 {
		return nil, nil
	}
	own := make([]Application, len(as)) // the writer may still read it when this call has ended with its context
	for i, a := range as {
		err := a.settle()
		if err == nil {
			err = s.dialect.check(a.ID, a.ApplicationID, a.Source, a.TraceID, string(a.Features))
		}
		if err != nil {
			return nil, fmt.Errorf("store: application %d: %w", i, err)
		}
		own[i] = a
	}
	out := make([]AcceptResult, len(as))
	var parts []*request
	for i := 0; i < len(own); i += partRows {
		j := min(i+partRows, len(own))
		parts = append(parts, &request{accepts: own[i:j], accepted: out[i:j]})
	}
	if err := s.await(ctx, parts); err != nil {
		return nil, err
	}
	return out, nil
}

// settle brings a into the form in which it is read back.
func (a *Application) settle() error {
	if a.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		a.ID = id.String()
	}
	if a.ApplicationID == "" {
		a.ApplicationID = a.ID
	}
	if a.AcceptedAt.IsZero() {
		a.AcceptedAt = time.Now()
	}
	a.AcceptedAt = fromMicros(micros(a.AcceptedAt))
	if a.BodyDigest == nil {
		a.BodyDigest = []byte{}
	}
	return nil
}

// await queues the parts of a call and waits for all of them.
func (s *Store) await(ctx context.Context, parts []*request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.w.q.put(parts...); err != nil {
		return err
	}
	var first error
	for _, p := range parts {
		if err := p.wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// acceptItem is one row of a group on its way.
type acceptItem struct {
	a   *Application
	out *AcceptResult
}

func (w *writer) writeAccepts(rs []*request) error {
	var items, ours []acceptItem
	for _, r := range rs {
		for i := range r.accepts {
			it := acceptItem{&r.accepts[i], &r.accepted[i]}
			if it.a.ApplicationID != it.a.ID && looksLikeOurs(it.a.ApplicationID) {
				ours = append(ours, it)
				continue
			}
			items = append(items, it)
		}
	}
	if err := w.insertAccepts(items); err != nil {
		return err
	}
	// A client may name an application by the id that we gave it.
	fresh := ours[:0]
	for _, it := range ours {
		found, err := w.application("id", it.a.ApplicationID, &it.out.Application)
		if err != nil {
			return err
		}
		if !found {
			fresh = append(fresh, it)
			continue
		}
		if err := w.answerExisting(it); err != nil {
			return err
		}
	}
	return w.insertAccepts(fresh)
}

// looksLikeOurs reports whether a client's id has the form of an ID.
func looksLikeOurs(id string) bool {
	return len(id) == 36 && id[14] == '7' && strings.Count(id, "-") == 4
}

func (w *writer) insertAccepts(items []acceptItem) error {
	for len(items) > 0 {
		n := w.dialect.chunk(len(items))
		if err := w.insertAcceptChunk(items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

func (w *writer) insertAcceptChunk(items []acceptItem) error {
	w.args = w.args[:0]
	for _, it := range items {
		a := it.a
		var client any
		if a.ApplicationID != a.ID {
			client = a.ApplicationID
		}
		w.args = append(w.args, a.ID, client, string(a.Features), a.BodyDigest, a.Source, a.TraceID, micros(a.AcceptedAt))
	}
	all, in, err := w.insert(applications, len(items), w.args)
	if err != nil {
		return err
	}
	for _, it := range items {
		if all || in[it.a.ID] {
			delete(in, it.a.ID) // the same id twice in a chunk went in once
			*it.out = AcceptResult{Status: New, Application: *it.a}
			if w.memo.least == "" || it.a.ID < w.memo.least {
				w.memo.least = it.a.ID
			}
			if err := w.lowerFloor(it.a.ID); err != nil {
				return err
			}
			continue
		}
		found, err := w.application("client_id", it.a.ApplicationID, &it.out.Application)
		if err == nil && !found {
			found, err = w.application("id", it.a.ID, &it.out.Application)
		}
		if err == nil && !found {
			err = fmt.Errorf("application %s was neither written nor found", it.a.ID)
		}
		if err != nil {
			return err
		}
		if err := w.answerExisting(it); err != nil {
			return err
		}
	}
	return nil
}

// answerExisting completes the answer for a row that was there before.
func (w *writer) answerExisting(it acceptItem) error {
	it.out.Status = Conflict
	if bytes.Equal(it.out.Application.BodyDigest, it.a.BodyDigest) {
		it.out.Status = Same
	}
	var d Decision
	found, err := w.decision(it.out.Application.ID, &d)
	if found {
		it.out.Decision = &d
	}
	return err
}

// lowerFloor keeps the sweeper's promise when an id sorts below its floor, as after a clock was set back: everything up
// to the floor is decided, so the floor moves down to just under the id.
func (w *writer) lowerFloor(id string) error {
	if id > w.memo.floor || id == "" {
		return nil
	}
	w.memo.floor = justBelow(id)
	return w.exec("INSERT INTO store_marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value "+
		"WHERE excluded.value < store_marks.value", markFloor, w.memo.floor) // another process may have lowered it further
}

// justBelow sorts before id, and after every id that is lower by more than the last character.
func justBelow(id string) string { return id[:len(id)-1] }
