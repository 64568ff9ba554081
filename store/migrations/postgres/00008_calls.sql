-- +goose Up
-- Calls of a person: under which epoch of healing's lease, and when it was made; 0 for not yet.
CREATE TABLE person_calls (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    made_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE person_calls;
