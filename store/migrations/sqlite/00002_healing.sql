-- +goose Up
-- Times of incidents and healing_actions are ISO-8601 text in UTC with microseconds, for SQL's own date functions; the others are
-- integer microseconds UTC, 0 = never.
-- One holder a name at a time; the epoch is the n-th holder's. process is the opened store that the holder lives in.
CREATE TABLE leases (
    name        TEXT    NOT NULL PRIMARY KEY,
    holder      TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    process     TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    taken_at    INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
-- The state of the agent that holds the lease of the same name.
CREATE TABLE checkpoints (
    name  TEXT    NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    state BLOB    NOT NULL,
    at    INTEGER NOT NULL
);

CREATE TABLE incidents (
    incident_id   TEXT    NOT NULL PRIMARY KEY,
    incident_type TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('OPEN', 'MITIGATING', 'RESOLVED', 'FAILED')),
    state         TEXT    NOT NULL,
    fingerprint   TEXT    NOT NULL,
    target        TEXT    NOT NULL,
    onset_at      TEXT    NULL,
    detected_at   TEXT    NOT NULL,
    resolved_at   TEXT    NULL,
    degraded      INTEGER NOT NULL,
    restored_at   TEXT    NULL,
    updated_at    TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    document      TEXT    NOT NULL
);
CREATE UNIQUE INDEX incidents_one_open ON incidents (fingerprint) WHERE status IN ('OPEN', 'MITIGATING');
CREATE INDEX incidents_detected ON incidents (detected_at, incident_id);
CREATE INDEX incidents_fingerprint ON incidents (fingerprint, resolved_at);

CREATE TABLE healing_actions (
    action_id    TEXT    NOT NULL PRIMARY KEY,
    incident_id  TEXT    NOT NULL REFERENCES incidents (incident_id),
    action_type  TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    rung         INTEGER NOT NULL,
    is_undo      INTEGER NOT NULL,
    params       TEXT    NOT NULL,
    inverse      TEXT    NOT NULL,
    digest       TEXT    NOT NULL,
    agl_decision TEXT    NOT NULL CHECK (agl_decision IN ('PENDING', 'APPROVED', 'DENIED', 'MODIFIED', 'ESCALATED')),
    proposed_at  TEXT    NOT NULL,
    executed_at  TEXT    NULL,
    finished_at  TEXT    NULL,
    undone_at    TEXT    NULL,
    result       TEXT    NOT NULL,
    document     TEXT    NOT NULL
);
CREATE INDEX healing_actions_incident ON healing_actions (incident_id);
CREATE INDEX healing_actions_proposed ON healing_actions (proposed_at, action_id);
CREATE INDEX healing_actions_executed ON healing_actions (executed_at);

-- status is PENDING, ESCALATED (waits for a person), or final: APPROVED, DENIED, MODIFIED, WITHDRAWN.
CREATE TABLE policy_requests (
    request_id  TEXT    NOT NULL PRIMARY KEY,
    incident_id TEXT    NOT NULL,
    action_id   TEXT    NOT NULL,
    action_type TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    proposer    TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('PENDING', 'ESCALATED', 'APPROVED', 'DENIED', 'MODIFIED', 'WITHDRAWN')),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX policy_requests_waiting ON policy_requests (created_at) WHERE status IN ('PENDING', 'ESCALATED');
CREATE TABLE policy_decisions (
    id          INTEGER PRIMARY KEY,
    request_id  TEXT    NOT NULL REFERENCES policy_requests (request_id),
    incident_id TEXT    NOT NULL,
    action_id   TEXT    NOT NULL,
    verdict     TEXT    NOT NULL CHECK (verdict IN ('APPROVED', 'DENIED', 'MODIFIED', 'ESCALATED')),
    rule        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    decided_by  TEXT    NOT NULL,
    inputs      TEXT    NOT NULL,
    envelope    BLOB    NOT NULL,
    decided_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
-- A request is decided once; it may have been handed to a person before.
CREATE UNIQUE INDEX policy_decisions_final ON policy_decisions (request_id) WHERE verdict <> 'ESCALATED';
CREATE INDEX policy_decisions_action ON policy_decisions (action_id);

CREATE TABLE used_nonces (
    nonce     TEXT    NOT NULL PRIMARY KEY,
    action_id TEXT    NOT NULL,
    at        INTEGER NOT NULL
);
-- What an action did, written in the transaction that did it.
CREATE TABLE executed_actions (
    action_id TEXT    NOT NULL PRIMARY KEY,
    effect    TEXT    NOT NULL,
    epoch     INTEGER NOT NULL,
    at        INTEGER NOT NULL
);
ALTER TABLE config_history ADD COLUMN person INTEGER NOT NULL DEFAULT 0;
ALTER TABLE config_history ADD COLUMN action_id TEXT NOT NULL DEFAULT '';
CREATE INDEX config_history_setting ON config_history (setting, id);

CREATE TABLE references_ (
    id            TEXT    NOT NULL PRIMARY KEY,
    made_at       INTEGER NOT NULL,
    model_version INTEGER NOT NULL,
    rows          INTEGER NOT NULL,
    document      TEXT    NOT NULL,
    made_by       TEXT    NOT NULL,
    reason        TEXT    NOT NULL
);
INSERT INTO desired_state (setting, value, generation, owner, reason, held_by, changed_at) VALUES
    ('reference', '', 0, 'aura', 'initial', '', 0);

-- Outcomes of verified actions, one an action.
CREATE TABLE memory_chunks (
    id          INTEGER PRIMARY KEY,
    kind        TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    action_type TEXT    NOT NULL,
    incident_id TEXT    NOT NULL,
    action_id   TEXT    NOT NULL UNIQUE,
    healed      INTEGER NOT NULL,
    took_us     INTEGER NOT NULL,
    document    TEXT    NOT NULL,
    at          INTEGER NOT NULL
);
CREATE INDEX memory_chunks_kind ON memory_chunks (kind, id);

-- Append-only: hash = SHA-256 (prev, record). The mark audit in store_marks holds the last record's seq and hash.
CREATE TABLE audit (
    seq     INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    prev    TEXT    NOT NULL,
    hash    TEXT    NOT NULL
);
CREATE INDEX audit_subject ON audit (subject, seq);
-- +goose StatementBegin
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd
-- REPLACE deletes without that trigger, so a record may only come after the last.
-- +goose StatementBegin
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN NEW.seq <= (SELECT MAX(seq) FROM audit)
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE audit;
DROP TABLE memory_chunks;
DELETE FROM desired_state WHERE setting = 'reference';
DROP TABLE references_;
DROP INDEX config_history_setting;
ALTER TABLE config_history DROP COLUMN action_id;
ALTER TABLE config_history DROP COLUMN person;
DROP TABLE executed_actions;
DROP TABLE used_nonces;
DROP TABLE policy_decisions;
DROP TABLE policy_requests;
DROP TABLE healing_actions;
DROP TABLE incidents;
DROP TABLE checkpoints;
DROP TABLE leases;
DELETE FROM store_marks WHERE name = 'audit';
