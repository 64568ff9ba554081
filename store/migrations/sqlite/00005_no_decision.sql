-- +goose Up
-- agl_decision is NULL where governance gave no decision. SQLite can't take NOT NULL from a column, so there is a new one.
ALTER TABLE healing_actions ADD COLUMN decided TEXT NULL CHECK (decided IN ('PENDING', 'APPROVED', 'DENIED', 'MODIFIED', 'ESCALATED'));
UPDATE healing_actions SET decided = agl_decision;
ALTER TABLE healing_actions DROP COLUMN agl_decision;
ALTER TABLE healing_actions RENAME COLUMN decided TO agl_decision;
-- What ended without anybody's no was kept as DENIED until now.
UPDATE healing_actions SET agl_decision = (
    SELECT verdict FROM policy_decisions WHERE policy_decisions.action_id = healing_actions.action_id ORDER BY id DESC LIMIT 1
) WHERE agl_decision = 'DENIED' AND result <> 'DENIED';

-- +goose Down
ALTER TABLE healing_actions ADD COLUMN decided TEXT NOT NULL DEFAULT 'DENIED' CHECK (decided IN ('PENDING', 'APPROVED', 'DENIED', 'MODIFIED', 'ESCALATED'));
UPDATE healing_actions SET decided = agl_decision WHERE agl_decision IS NOT NULL;
ALTER TABLE healing_actions DROP COLUMN agl_decision;
ALTER TABLE healing_actions RENAME COLUMN decided TO agl_decision;
