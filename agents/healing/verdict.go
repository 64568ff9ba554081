package healing

import (
	"context"
	"encoding/json"

	"aura/store"
)

// KindVerdict is the audit's kind of a person's verdict on an executed action; Subject is the action's id, Detail a
// PersonVerdict.
const KindVerdict = "action.verdict"

// PersonVerdict says whether an incident would have ended without an action.
type PersonVerdict struct {
	IncidentID string `json:"incident_id"`
	Needless   bool   `json:"needless"`
	Reason     string `json:"reason"`
}

// maxVerdicts bounds how many verdicts are looked at: the newest.
const maxVerdicts = 1000

// Verdicts are people's newest verdicts: needless or not, by the action's id.
func Verdicts(ctx context.Context, s *store.Store) (map[string]bool, error) {
	rows, err := s.Audit(ctx, store.AuditFilter{Kind: KindVerdict}, 0, maxVerdicts)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(rows))
	for _, r := range rows { // latest first
		var v PersonVerdict
		if _, newer := out[r.Subject]; !newer && json.Unmarshal(r.Detail, &v) == nil {
			out[r.Subject] = v.Needless
		}
	}
	return out, nil
}
