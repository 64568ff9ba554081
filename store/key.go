package store

import (
	"context"
	"time"
)

// SettingKey is the row of desired state that names the key which governance signs with: its history says who rotated it.
const SettingKey = "governance.key"

// PutKey names the key in force by its id, and keeps its public half in the audit, so that what it signed can be proven
// after it is gone. *Refused conflict unless previous was in force until now, "" for none: another process was quicker.
func (s *Store) PutKey(ctx context.Context, id string, public []byte, previous string, c Change) error {
	c.Setting, c.Value, c.Was = SettingKey, id, &previous
	return s.w.do(ctx, func(t *tx) error {
		now := time.Now()
		if _, err := t.set(c, now); err != nil {
			return err
		}
		return t.record(now, c.By, KindPublicKey, id, map[string]any{"public": public})
	})
}

// signedInForce refuses a decision that another key has signed than the one in force, where one is named.
func (t *tx) signedInForce(d PolicyDecision) error {
	if len(d.Envelope) == 0 {
		return nil
	}
	row, err := t.setting(SettingKey)
	if err != nil {
		return err
	}
	if row.Value != "" && row.Value != d.Key {
		return refuse(CodeKey, "this process signs with the key %q, and %s is in force since %s by %s; see Keys in docs/operations.md",
			d.Key, row.Value, fromMicros(row.ChangedAt).Format(time.RFC3339), row.Owner)
	}
	return nil
}
