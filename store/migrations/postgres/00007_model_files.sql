-- +goose Up
-- Model files in parts, for the processes that have another directory. Digest and parts say when one is whole.
CREATE TABLE model_files (
    digest TEXT COLLATE "C" NOT NULL,
    part BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (digest, part)
);
-- Trees don't compress: trying to costs each write milliseconds.
ALTER TABLE model_files ALTER COLUMN data SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE model_files;
