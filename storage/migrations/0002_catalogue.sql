-- What runs are made of, each version once, by the digest of its content.
CREATE TABLE program (digest TEXT PRIMARY KEY, program TEXT NOT NULL);
CREATE TABLE protocol (
    digest TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    included TEXT NOT NULL DEFAULT '{}',
    first_unix_s REAL NOT NULL
);
CREATE TABLE cell (
    digest TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    value TEXT NOT NULL,
    first_unix_s REAL NOT NULL
);
ALTER TABLE run ADD COLUMN protocol TEXT;
ALTER TABLE run ADD COLUMN cell TEXT;

INSERT OR IGNORE INTO program SELECT digest, program FROM ticket;
INSERT OR IGNORE INTO program SELECT json_digest(program), program FROM run WHERE program IS NOT NULL;
INSERT OR IGNORE INTO protocol (digest, name, text, first_unix_s)
    SELECT text_digest(json_extract(extra, '$.protocol_text')), json_extract(info, '$.protocol'), json_extract(extra, '$.protocol_text'),
        json_extract(info, '$.submitted_unix_s')
    FROM run WHERE json_extract(extra, '$.protocol_text') IS NOT NULL ORDER BY run;
INSERT OR IGNORE INTO cell
    SELECT text_digest(coalesce(json_extract(extra, '$.cell_text'), json_extract(program, '$.cell'))), json_extract(info, '$.cell'),
        coalesce(json_extract(extra, '$.cell_text'), ''), json_extract(program, '$.cell'), json_extract(info, '$.submitted_unix_s')
    FROM run WHERE program IS NOT NULL ORDER BY run;
UPDATE run SET
    protocol = text_digest(json_extract(extra, '$.protocol_text')),
    cell = text_digest(coalesce(json_extract(extra, '$.cell_text'), json_extract(program, '$.cell'))),
    program = json_digest(program);
ALTER TABLE ticket DROP COLUMN program;

-- The cycle that a half-cycle belongs to; NULL: rows of release 1, in which two half-cycles are a cycle.
ALTER TABLE halfcycle ADD COLUMN cycle INTEGER;
CREATE VIEW cycle AS
    SELECT run, coalesce(cycle, number / 2 + 1) AS number, count(*) AS half_cycles,
        min(json_extract(value, '$.t_start_s')) AS t_start_s, max(json_extract(value, '$.t_end_s')) AS t_end_s,
        sum(max(json_extract(value, '$.charge_C'), 0.0)) AS charging_C,
        sum(max(-(json_extract(value, '$.charge_C')), 0.0)) AS discharging_C,
        min(json_extract(value, '$.complete')) AS complete
    FROM halfcycle GROUP BY 1, 2;

-- The laboratory, and what people did in it.
CREATE TABLE instrument (
    name TEXT NOT NULL,
    driver TEXT NOT NULL,
    model TEXT NOT NULL,
    serial TEXT NOT NULL,
    firmware TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    capabilities TEXT NOT NULL,
    first_unix_s REAL NOT NULL,
    last_unix_s REAL NOT NULL,
    PRIMARY KEY (name, driver, model, serial, firmware)
);
CREATE TABLE station (
    name TEXT NOT NULL,
    instrument TEXT NOT NULL,
    channel INTEGER NOT NULL,
    chamber TEXT NOT NULL DEFAULT '',
    first_unix_s REAL NOT NULL,
    last_unix_s REAL NOT NULL,
    PRIMARY KEY (name, instrument, channel, chamber)
);
CREATE TABLE calibration (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instrument TEXT NOT NULL,
    channel INTEGER NOT NULL,
    unix_s REAL NOT NULL,
    valid_until_unix_s REAL,
    who TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX calibration_channel ON calibration (instrument, channel, unix_s);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    unix_s REAL NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    run INTEGER,
    details TEXT NOT NULL
);
CREATE INDEX audit_run ON audit (run, id);

-- How samples are packed; 0: as release 1 did. The journal numbers its rows from its newest one on, which is
-- never deleted: AUTOINCREMENT would write a page more in each commit.
ALTER TABLE journal RENAME TO journal_1;
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    runs BLOB NOT NULL,
    samples BLOB NOT NULL,
    codec INTEGER NOT NULL DEFAULT 0
);
INSERT INTO journal SELECT id, n, crc, runs, samples, 0 FROM journal_1;
INSERT OR IGNORE INTO journal SELECT seq, 0, 0, x'', x'', 0 FROM sqlite_sequence WHERE name = 'journal_1';
DROP TABLE journal_1;
ALTER TABLE chunk ADD COLUMN codec INTEGER NOT NULL DEFAULT 0;

INSERT INTO schema_version VALUES (2);
