package store

import (
	"context"
	"time"
)

// IncidentRequest is what a person wants of an incident, told to a process that doesn't heal, for the one that does.
type IncidentRequest struct {
	ID, IncidentID, Verb, By, Reason string
	// AskedAt and ExpiresAt are by the database's clock, and set by it.
	AskedAt, ExpiresAt time.Time
	// Answered says that it was done, or refused with a reason.
	Answered bool
	Refused  string
}

type storedIncidentRequest struct {
	RequestID  string `gorm:"primaryKey"`
	IncidentID string
	Verb       string
	AskedBy    string
	Reason     string
	AskedAt    int64
	ExpiresAt  int64
	AnsweredAt int64
	Refused    string
}

func (storedIncidentRequest) TableName() string { return "incident_requests" }

func (r *storedIncidentRequest) value() IncidentRequest {
	return IncidentRequest{
		ID: r.RequestID, IncidentID: r.IncidentID, Verb: r.Verb, By: r.AskedBy, Reason: r.Reason,
		AskedAt: fromMicros(r.AskedAt), ExpiresAt: fromMicros(r.ExpiresAt), Answered: r.AnsweredAt != 0, Refused: r.Refused,
	}
}

// requestsKept is how long a request is kept after it has expired: its effect is in the incident and the audit.
const requestsKept = 24 * time.Hour

// AskIncident leaves a request for who heals, for so long.
func (s *Store) AskIncident(ctx context.Context, r IncidentRequest, ttl time.Duration) error {
	if r.ID == "" || r.IncidentID == "" || r.Verb == "" || ttl <= 0 {
		return refuse(CodeInvalid, "a request of an incident needs an id, an incident, what is wanted and a time to live")
	}
	return s.w.do(ctx, func(t *tx) error {
		now, err := t.clock()
		if err != nil {
			return err
		}
		if err := t.w.exec("DELETE FROM incident_requests WHERE expires_at < ?", micros(now.Add(-requestsKept))); err != nil {
			return err
		}
		return t.db.Create(&storedIncidentRequest{
			RequestID: r.ID, IncidentID: r.IncidentID, Verb: r.Verb, AskedBy: r.By, Reason: r.Reason,
			AskedAt: micros(now), ExpiresAt: micros(now.Add(ttl)),
		}).Error
	})
}

// maxIncidentRequests bounds what is read at once; the rest is read next.
const maxIncidentRequests = 100

// IncidentRequests returns those that are neither answered nor expired, the oldest first.
func (s *Store) IncidentRequests(ctx context.Context) ([]IncidentRequest, error) {
	now, err := s.clock(ctx)
	if err != nil {
		return nil, err
	}
	var rows []storedIncidentRequest
	err = s.read(ctx).Where("expires_at > ? AND answered_at = 0", micros(now)).Order("asked_at, request_id").Limit(maxIncidentRequests).Find(&rows).Error
	if err != nil {
		return nil, readErr("read requests of incidents", err)
	}
	out := make([]IncidentRequest, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}

// IncidentRequest returns one; ErrNotFound.
func (s *Store) IncidentRequest(ctx context.Context, id string) (IncidentRequest, error) {
	var row storedIncidentRequest
	if err := s.read(ctx).Where("request_id = ?", id).Take(&row).Error; err != nil {
		return IncidentRequest{}, readErr("read a request of an incident", err)
	}
	return row.value(), nil
}

// RefuseIncidentRequest answers a request with why it isn't done, under healing's lease; one that is done is answered by SaveIncident.
// *Refused: stale_epoch, late.
func (s *Store) RefuseIncidentRequest(ctx context.Context, epoch int64, id, reason string) error {
	return s.w.do(ctx, func(t *tx) error {
		if err := t.holds(LeaseHealing, epoch); err != nil {
			return err
		}
		return t.answerRequest(id, reason)
	})
}

// WithdrawIncidentRequest deletes a request that isn't answered, so that it never will be done. *Refused late where it is answered.
func (s *Store) WithdrawIncidentRequest(ctx context.Context, id string) error {
	return s.w.do(ctx, func(t *tx) error {
		r := t.db.Where("request_id = ? AND answered_at = 0", id).Delete(&storedIncidentRequest{})
		if r.Error == nil && r.RowsAffected == 0 {
			return refuse(CodeLate, "the request %s is answered, or gone", id)
		}
		return r.Error
	})
}

// answerRequest notes that a request was done, or refused. *Refused late where it was answered or withdrawn before.
func (t *tx) answerRequest(id, refused string) error {
	r := t.db.Model(&storedIncidentRequest{}).Where("request_id = ? AND answered_at = 0", id).
		Updates(map[string]any{"answered_at": micros(time.Now()), "refused": refused})
	if r.Error == nil && r.RowsAffected == 0 {
		return refuse(CodeLate, "the request %s was withdrawn, or answered by another process", id)
	}
	return r.Error
}
