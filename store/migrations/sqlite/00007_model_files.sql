-- +goose Up
-- Empty here: the database's directory is one process's, and has the files.
CREATE TABLE model_files (
    digest TEXT NOT NULL,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (digest, part)
);

-- +goose Down
DROP TABLE model_files;
