-- Built for few bytes a task: a table or index here is there because a question needs it; names of tasks are found
-- by a scan (25 ms for 100,000). Times are microseconds since the epoch (UTC); jobs.began and jobs.ended count from jobs.started, which takes
-- half the room. Paths below the project's folder are relative to it, others absolute. A text that is no valid
-- Unicode (a file name of stray bytes) is a BLOB: its UTF-8 with lone surrogates let through.

CREATE TABLE migrations (
    version INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    applied INTEGER NOT NULL,
    shape   INTEGER  -- checksum of the schema after it: damage to the schema itself is found by it
);

-- The one head that may write. pid NULL: the last head closed the store cleanly.
CREATE TABLE lease (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    epoch         INTEGER NOT NULL,
    beat          INTEGER NOT NULL,
    host          TEXT,
    boot          TEXT,
    pid           INTEGER,
    process_start INTEGER,
    since         INTEGER,
    run           TEXT
);
INSERT INTO lease (id, epoch, beat) VALUES (1, 0, 0);

CREATE TABLE runs (
    id        INTEGER PRIMARY KEY,
    flow      TEXT NOT NULL,
    number    INTEGER NOT NULL,
    name      TEXT,
    status    TEXT NOT NULL,
    started   INTEGER NOT NULL,
    ended     INTEGER,
    ran       INTEGER NOT NULL DEFAULT 0,
    skipped   INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    queued    INTEGER NOT NULL DEFAULT 0,
    running   INTEGER NOT NULL DEFAULT 0,
    waiting   INTEGER NOT NULL DEFAULT 0,
    capacity  INTEGER NOT NULL DEFAULT 0,
    first_job INTEGER NOT NULL,  -- its jobs are numbered from here ...
    last_job  INTEGER,           -- ... to here; NULL: to the newest
    host      TEXT NOT NULL,
    user      TEXT NOT NULL,
    pid       INTEGER NOT NULL,
    git       TEXT NOT NULL,
    python    TEXT NOT NULL,
    version   TEXT NOT NULL,
    tags      TEXT NOT NULL,  -- JSON list
    params    TEXT NOT NULL,  -- JSON object
    argv      TEXT NOT NULL,  -- JSON list
    message   TEXT NOT NULL DEFAULT '',
    UNIQUE (flow, number)
);
CREATE INDEX runs_open ON runs (status) WHERE status = 'running';
CREATE INDEX runs_name ON runs (name) WHERE name IS NOT NULL;

CREATE TABLE tasks (
    id         INTEGER PRIMARY KEY,
    key        BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    task_group TEXT,
    manifest   TEXT NOT NULL,
    last       INTEGER NOT NULL  -- its newest job
);

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL,
    task          INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    executor      TEXT NOT NULL,
    executor_id   TEXT,
    state         TEXT NOT NULL,
    started       INTEGER NOT NULL,
    began         INTEGER,
    ended         INTEGER,
    exit_code     INTEGER,
    signal        INTEGER,
    cause         TEXT,
    max_rss_bytes INTEGER,
    cpu_us        INTEGER,
    host          TEXT,  -- NULL: the run's own host
    pid           INTEGER,
    log           TEXT,  -- relative to the store's folder; NULL: where logs stand by default
    detail        TEXT,
    cpus          INTEGER NOT NULL DEFAULT 1,
    memory_bytes  INTEGER,
    gpus          INTEGER NOT NULL DEFAULT 0
);
-- Few rows each. The jobs of a run need no index: one head writes at a time, so they are a range of numbers.
CREATE INDEX jobs_bad ON jobs (run, state) WHERE state <> 'succeeded';
CREATE INDEX jobs_again ON jobs (run, task) WHERE attempt > 1;

CREATE TABLE files (
    id   INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE
);

-- One file that a job read (made = 0) or made (made = 1), as it looked. size NULL: it was not there.
CREATE TABLE edges (
    job      INTEGER NOT NULL,
    made     INTEGER NOT NULL,
    file     INTEGER NOT NULL,
    size     INTEGER,
    mtime_ns INTEGER,
    ctime_ns INTEGER,  -- NULL: the same as mtime_ns
    inode    INTEGER,
    sha256   BLOB,
    racy     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, made, file)
) WITHOUT ROWID;
-- Who made a file, newest first, without passing by all who read it; job stands in every index of this table anyway.
CREATE INDEX edges_file ON edges (file, made);

CREATE TABLE reasons (
    job      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    code     TEXT NOT NULL,
    detail   TEXT,
    PRIMARY KEY (job, position)
) WITHOUT ROWID;

-- What a function call gave: body is JSON (kind 'json') or a path below values/ (any other kind).
CREATE TABLE "values" (
    job  INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT,
    PRIMARY KEY (job, name)
) WITHOUT ROWID;

CREATE TABLE labels (
    task  INTEGER NOT NULL,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (task, name)
) WITHOUT ROWID;

-- What the decision needs, one row per output. A task without outputs has the row of file = -task.
CREATE TABLE latest (
    file      INTEGER PRIMARY KEY,
    task      INTEGER NOT NULL,
    job       INTEGER NOT NULL,
    signature INTEGER NOT NULL,
    ok        INTEGER NOT NULL
);

-- Jobs that may have begun and whose rows above are not written yet: JSON, one row per turn of the head.
-- Written before the jobs exist, one page and one statement; emptied by the next group commit.
CREATE TABLE intents (
    id     INTEGER PRIMARY KEY,
    starts TEXT NOT NULL
);
