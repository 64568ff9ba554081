-- +goose Up
-- Faults, and people's verdicts on actions, are looked up by kind.
CREATE INDEX audit_kind ON audit (kind, seq);

-- +goose Down
DROP INDEX audit_kind;
