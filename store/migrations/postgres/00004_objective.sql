-- +goose Up
-- How many decisions of each minute (of the epoch) there were, and how many in time; it outlives the applications.
CREATE TABLE objective_minutes (
    minute BIGINT PRIMARY KEY,
    decided BIGINT NOT NULL,
    in_time BIGINT NOT NULL
);

-- +goose Down
DROP TABLE objective_minutes;
