-- What a run asked of the queue when it was submitted (JSON): priority, wishes, start time, series.
CREATE TABLE request (
    run INTEGER PRIMARY KEY,
    value TEXT NOT NULL
);

-- Stations and instruments on which no run starts. over: it was ended.
CREATE TABLE maintenance (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    over INTEGER NOT NULL
);

INSERT INTO schema_version VALUES (4);
