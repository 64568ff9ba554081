-- +goose Up
-- 1 from when an outcome is joined until its announcement was heard. What is joined already counts as announced.
ALTER TABLE feedback ADD COLUMN to_announce INTEGER NOT NULL DEFAULT 0;
CREATE INDEX feedback_to_announce ON feedback (id) WHERE to_announce = 1;

-- +goose Down
DROP INDEX feedback_to_announce;
ALTER TABLE feedback DROP COLUMN to_announce;
