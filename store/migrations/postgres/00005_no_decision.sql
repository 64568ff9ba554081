-- +goose Up
-- agl_decision is NULL where governance gave no decision.
ALTER TABLE healing_actions ALTER COLUMN agl_decision DROP NOT NULL;
-- What ended without anybody's no was kept as DENIED until now.
UPDATE healing_actions SET agl_decision = (
    SELECT verdict FROM policy_decisions WHERE policy_decisions.action_id = healing_actions.action_id ORDER BY id DESC LIMIT 1
) WHERE agl_decision = 'DENIED' AND result <> 'DENIED';

-- +goose Down
UPDATE healing_actions SET agl_decision = 'DENIED' WHERE agl_decision IS NULL;
ALTER TABLE healing_actions ALTER COLUMN agl_decision SET NOT NULL;
