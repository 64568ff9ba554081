-- +goose Up
-- What other processes need to know of an agent: how late it is, whether it can be restarted, the generation of the setting that
-- it follows, and when its process last said so, by the database's clock.
ALTER TABLE agent_health ADD COLUMN queue_age_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agent_health ADD COLUMN p50_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agent_health ADD COLUMN stuck BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agent_health ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agent_health ADD COLUMN saved_at BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE agent_health DROP COLUMN queue_age_us;
ALTER TABLE agent_health DROP COLUMN p50_us;
ALTER TABLE agent_health DROP COLUMN stuck;
ALTER TABLE agent_health DROP COLUMN generation;
ALTER TABLE agent_health DROP COLUMN saved_at;
