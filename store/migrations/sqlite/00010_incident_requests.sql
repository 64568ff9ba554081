-- +goose Up
-- What a person wants of an incident, told to a process that doesn't heal: the one that does reads it here, until it expires, and
-- answers. Times are the database's.
CREATE TABLE incident_requests (
    request_id  TEXT   NOT NULL PRIMARY KEY,
    incident_id TEXT   NOT NULL,
    verb        TEXT   NOT NULL,
    asked_by    TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    asked_at    INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    answered_at INTEGER NOT NULL DEFAULT 0,
    refused     TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX incident_requests_expiry ON incident_requests (expires_at);

-- +goose Down
DROP TABLE incident_requests;
