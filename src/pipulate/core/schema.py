"""The whole data model on one page: one script per version, run in order, backed up before each.

Tables of apps (app_books …) are made from their classes when a plugin loads, not here.
"""

PROFILES = """slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL, position REAL NOT NULL,
        deleted_utc TEXT, version INTEGER NOT NULL DEFAULT 1"""
FILES = """profile_id INTEGER NOT NULL, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        size INTEGER NOT NULL, run_id INTEGER, created_utc TEXT NOT NULL"""
MESSAGES = """profile_id INTEGER NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL, calls TEXT,
        state TEXT NOT NULL, at_utc TEXT NOT NULL, turn TEXT"""


def numbered(table: str, columns: str) -> str:
    """A table anew, where the number of a row that is gone is never given again."""
    return f"""
    ALTER TABLE {table} RENAME TO old_{table};
    CREATE TABLE {table} (id INTEGER PRIMARY KEY AUTOINCREMENT, {columns});
    INSERT INTO {table} SELECT * FROM old_{table};
    DROP TABLE old_{table};
    """


MIGRATIONS = [
    f"""
    CREATE TABLE profiles (id INTEGER PRIMARY KEY, {PROFILES});
    CREATE TABLE old_slugs (slug TEXT PRIMARY KEY, profile_id INTEGER NOT NULL);

    -- settings: one JSON value per scope ('' or a profile's id) and key
    CREATE TABLE store (
        scope TEXT NOT NULL DEFAULT '', key TEXT NOT NULL, value TEXT NOT NULL,
        secret INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (scope, key)) WITHOUT ROWID;

    -- append-only log; images: [{{table, id, before, after}}] as JSON, deflated when long
    CREATE TABLE events (
        id INTEGER PRIMARY KEY, at_utc TEXT NOT NULL, profile_id INTEGER, actor TEXT NOT NULL,
        verb TEXT NOT NULL, target TEXT NOT NULL, summary TEXT NOT NULL,
        images BLOB, turn TEXT, undo_of INTEGER);
    CREATE INDEX events_by_profile ON events (profile_id, id);

    CREATE TABLE approvals (
        id TEXT PRIMARY KEY, tool TEXT NOT NULL, arguments TEXT NOT NULL, hash TEXT NOT NULL,
        profile_id INTEGER NOT NULL, actor TEXT NOT NULL, turn TEXT, expires_utc TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting', result TEXT);

    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, profile_id INTEGER NOT NULL, pipeline TEXT NOT NULL,
        name TEXT NOT NULL DEFAULT '', inputs TEXT NOT NULL DEFAULT '{{}}', locked_utc TEXT,
        created_utc TEXT NOT NULL, deleted_utc TEXT, version INTEGER NOT NULL DEFAULT 1);
    CREATE INDEX runs_by_pipeline ON runs (profile_id, pipeline, id);

    -- one row per try of a step; owner: the engine process whose lock says it is alive
    CREATE TABLE attempts (
        id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs, step TEXT NOT NULL,
        state TEXT NOT NULL, key TEXT NOT NULL, inputs TEXT NOT NULL, output TEXT, error TEXT,
        checkpoint TEXT, owner TEXT NOT NULL, started_utc TEXT NOT NULL, ended_utc TEXT);
    CREATE INDEX attempts_by_run ON attempts (run_id, step, id);
    CREATE UNIQUE INDEX attempts_once ON attempts (run_id, step) WHERE state = 'running';

    CREATE TABLE files (id INTEGER PRIMARY KEY, {FILES});

    CREATE TABLE messages (id INTEGER PRIMARY KEY, {MESSAGES});
    """,
    """
    -- what events changed, in parts of [{table, id, before, after}] (core/images.py), apart from
    -- the log, so that listing it reads none of it; changed and deleted count the rows
    CREATE TABLE images (
        event_id INTEGER NOT NULL, part INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (event_id, part)) WITHOUT ROWID;
    INSERT INTO images SELECT id, 0, images FROM events WHERE images IS NOT NULL;
    ALTER TABLE events ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE events ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
    UPDATE events SET changed = 1 + substr(target, instr(target || ' +', ' +') + 2)
        WHERE images IS NOT NULL;
    UPDATE events SET deleted = changed WHERE verb LIKE '%\\_delete' ESCAPE '\\';
    ALTER TABLE events DROP COLUMN images;

    -- one undo may take back many events, and a redone event may be undone again; an event is
    -- undone while the newest event that took it back is not undone itself
    CREATE TABLE undone (
        event_id INTEGER NOT NULL, by_event INTEGER NOT NULL,
        PRIMARY KEY (event_id, by_event)) WITHOUT ROWID;
    INSERT INTO undone SELECT undo_of, id FROM events WHERE undo_of IS NOT NULL;
    DROP INDEX IF EXISTS events_undone;
    ALTER TABLE events DROP COLUMN undo_of;
    CREATE INDEX events_by_turn ON events (turn) WHERE turn IS NOT NULL;

    -- values of Secret fields; rows and events hold only a reference such as "…1234 id"
    CREATE TABLE secrets (id TEXT PRIMARY KEY, value TEXT NOT NULL, created_utc TEXT NOT NULL);
    """
    # the rows of a profile whose making was undone stay its own
    + numbered("profiles", PROFILES),
    numbered("files", FILES),  # "file:12" in a row is that file or none
    """
    -- what a step asked or did outside of its output, kept by the step's key: kind is question,
    -- effect (job.once) or model; state is waiting, intent or done; value is the answer as JSON
    CREATE TABLE records (
        id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs, step TEXT NOT NULL,
        key TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
        about TEXT NOT NULL DEFAULT '{}', value TEXT, at_utc TEXT NOT NULL,
        UNIQUE (run_id, step, key, kind, name));

    -- parent: the step of another run that this one was fed from, such as 12/measure
    ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
    ALTER TABLE attempts ADD COLUMN source TEXT NOT NULL DEFAULT '';
    ALTER TABLE attempts ADD COLUMN log TEXT NOT NULL DEFAULT '';
    ALTER TABLE attempts ADD COLUMN resumes INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX attempts_stopped ON attempts (run_id, step)
        WHERE state IN ('failed', 'interrupted');

    """
    # a tab that comes back says the last one it has
    + numbered("messages", MESSAGES)
    + """
    ALTER TABLE messages ADD COLUMN thinking TEXT NOT NULL DEFAULT '';
    CREATE INDEX messages_by_profile ON messages (profile_id, id);
    """,
]
