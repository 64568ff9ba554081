-- +goose Up
-- Calls of a person: under which epoch of healing's lease, and when it was made; 0 for not yet.
CREATE TABLE person_calls (
    id TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    made_at INTEGER NOT NULL
);

-- +goose Down
DROP TABLE person_calls;
