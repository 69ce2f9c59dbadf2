-- A run's samples are sealed in parts, about one a day. A part covers the run's samples number first to
-- first + n - 1; rows says how many of them it kept. closes: with it the whole of an ended run is in files.
-- hours: its roll-up over hours, for plots.
CREATE TABLE part (
    run INTEGER NOT NULL,
    part INTEGER NOT NULL,
    file TEXT NOT NULL,
    first INTEGER NOT NULL,
    n INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    t0_s REAL NOT NULL,
    t1_s REAL NOT NULL,
    sha256 TEXT NOT NULL,
    journal INTEGER NOT NULL,
    last BLOB NOT NULL,
    hours BLOB,
    closes INTEGER NOT NULL,
    sealed_unix_s REAL NOT NULL,
    PRIMARY KEY (run, part)
);

-- The one file that a run had before becomes its part 0. Its times are in the file only: any may be in it.
INSERT INTO part
SELECT run, 0, file, 0, n, n, 0.0, 9e999, sha256, journal, last, NULL, 1, sealed_unix_s FROM sealed;
DROP TABLE sealed;

-- Files that others have taken the place of, and that are to be deleted.
CREATE TABLE superseded (
    file TEXT PRIMARY KEY,
    unix_s REAL NOT NULL
);

-- The roll-up of a chunk over minutes, for plots.
ALTER TABLE chunk ADD COLUMN minutes BLOB;

INSERT INTO schema_version VALUES (3);
