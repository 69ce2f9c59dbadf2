-- Low-rate things: one row each, values as JSON where nothing is searched in them.
CREATE TABLE schema_version (version INTEGER PRIMARY KEY);

CREATE TABLE run (
    run INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    info TEXT NOT NULL,
    program TEXT,
    extra TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE ticket (
    run INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    digest TEXT NOT NULL,
    program TEXT NOT NULL,
    state TEXT NOT NULL,
    offset_s REAL NOT NULL,
    anchor_unix_s REAL NOT NULL,
    PRIMARY KEY (run, segment)
);
CREATE TABLE spectrum (
    run INTEGER NOT NULL,
    t_start_s REAL NOT NULL,
    spectrum TEXT NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (run, t_start_s)
);
CREATE TABLE halfcycle (
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, number)
);
CREATE TABLE verdict (
    run INTEGER NOT NULL,
    time_s REAL NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, time_s, kind)
);
CREATE TABLE gap (
    run INTEGER NOT NULL,
    t_from_s REAL NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, t_from_s)
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER,
    value TEXT NOT NULL
);
CREATE INDEX event_run ON event (run, id);
CREATE TABLE guards (
    run INTEGER PRIMARY KEY,
    t_s REAL NOT NULL,
    state TEXT NOT NULL
);
CREATE TABLE result (
    run INTEGER PRIMARY KEY,
    value TEXT NOT NULL
);

-- Samples: a journal row per commit, a chunk row per run and stretch, a sealed file per run.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    n INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    runs BLOB NOT NULL,
    samples BLOB NOT NULL
);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    seq0 INTEGER NOT NULL,
    n INTEGER NOT NULL,
    t0_s REAL NOT NULL,
    t1_s REAL NOT NULL,
    journal INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    t_s BLOB NOT NULL,
    voltage_V BLOB NOT NULL,
    current_A BLOB NOT NULL,
    charge_C BLOB NOT NULL,
    step BLOB NOT NULL,
    visit BLOB NOT NULL,
    half_cycle BLOB NOT NULL,
    flags BLOB NOT NULL,
    UNIQUE (run, seq0)
);
CREATE TABLE sealed (
    run INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    n INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    journal INTEGER NOT NULL,
    last BLOB NOT NULL,
    sealed_unix_s REAL NOT NULL
);

INSERT INTO schema_version VALUES (1);
