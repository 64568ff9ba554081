-- +goose Up
-- Times are integer microseconds UTC, 0 = never. Ids are UUIDv7 text: time-ordered, so inserts append to the index.
CREATE TABLE applications (
    id          TEXT    NOT NULL PRIMARY KEY,
    client_id   TEXT    NULL UNIQUE,
    features    TEXT    NOT NULL,
    body_digest BLOB    NOT NULL,
    source      TEXT    NOT NULL,
    trace_id    TEXT    NOT NULL,
    accepted_at INTEGER NOT NULL
);
-- No foreign key to applications: one bad row would fail the whole group commit. The writer looks instead.
CREATE TABLE decisions (
    id                     TEXT    NOT NULL PRIMARY KEY,
    application_id         TEXT    NOT NULL,
    decision               TEXT    NOT NULL,
    probability_of_default REAL    NULL,
    reasons                TEXT    NOT NULL,
    model_version          INTEGER NOT NULL,
    model_digest           TEXT    NOT NULL,
    champion_generation    INTEGER NOT NULL,
    mode                   TEXT    NOT NULL,
    mode_generation        INTEGER NOT NULL,
    rule                   TEXT    NOT NULL,
    decided_at             INTEGER NOT NULL,
    latency_us             INTEGER NOT NULL,
    trace_id               TEXT    NOT NULL,
    incarnation            INTEGER NOT NULL
);
-- Every outcome that came in. application is our id, empty for kind unknown; application_id is what the sender wrote.
CREATE TABLE feedback (
    id             INTEGER PRIMARY KEY,
    application    TEXT    NOT NULL,
    application_id TEXT    NOT NULL,
    outcome        TEXT    NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind IN ('joined', 'early', 'duplicate', 'contradicting', 'unknown')),
    observed_at    INTEGER NOT NULL,
    received_at    INTEGER NOT NULL
);
CREATE INDEX feedback_application ON feedback (application);
-- At most one outcome stands: it is early until the decision is there, then joined.
CREATE UNIQUE INDEX feedback_stands ON feedback (application) WHERE kind IN ('joined', 'early');
CREATE INDEX feedback_early ON feedback (application) WHERE kind = 'early';
CREATE INDEX feedback_loose ON feedback (received_at) WHERE kind = 'unknown';

CREATE TABLE model_versions (
    number        INTEGER NOT NULL PRIMARY KEY,
    digest        TEXT    NOT NULL,
    schema_digest TEXT    NOT NULL,
    schema_name   TEXT    NOT NULL,
    metrics       TEXT    NOT NULL,
    window_from   INTEGER NOT NULL,
    window_to     INTEGER NOT NULL,
    window_rows   INTEGER NOT NULL,
    seed          TEXT    NOT NULL,
    file          TEXT    NOT NULL,
    note          TEXT    NOT NULL,
    created_by    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
);
CREATE TABLE aliases (
    alias   TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL REFERENCES model_versions (number)
);
CREATE TABLE alias_history (
    id         INTEGER PRIMARY KEY,
    alias      TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    previous   INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    changed_by TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
);

CREATE TABLE desired_state (
    setting    TEXT    NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    held_by    TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
);
INSERT INTO desired_state (setting, value, generation, owner, reason, held_by, changed_at) VALUES
    ('mode', 'MODEL', 1, 'aura', 'initial', '', 0),
    ('champion', '0', 0, 'aura', 'initial', '', 0);
CREATE TABLE config_history (
    id         INTEGER PRIMARY KEY,
    setting    TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    previous   TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    held_by    TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
);

CREATE TABLE agent_incarnations (
    agent       TEXT    NOT NULL,
    instance    TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    PRIMARY KEY (agent, instance)
);
CREATE TABLE agent_health (
    agent       TEXT    NOT NULL,
    instance    TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    cause       TEXT    NOT NULL,
    watermark   INTEGER NOT NULL,
    queue       INTEGER NOT NULL,
    beat_at     INTEGER NOT NULL,
    PRIMARY KEY (agent, instance)
);
-- The store's own bookkeeping: the sweeper's floor, how far was purged.
CREATE TABLE store_marks (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- +goose Down
DROP TABLE store_marks;
DROP TABLE agent_health;
DROP TABLE agent_incarnations;
DROP TABLE config_history;
DROP TABLE desired_state;
DROP TABLE alias_history;
DROP TABLE aliases;
DROP TABLE model_versions;
DROP TABLE feedback;
DROP TABLE decisions;
DROP TABLE applications;
