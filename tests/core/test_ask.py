"""Questions in SQL: they read rows, and can neither write nor reach a secret, however they try."""

import re
from itertools import islice

import pytest

from pipulate.core.ask import answer, ask
from pipulate.core.problems import Problem, Refused
from pipulate.core.store import Database

SECRET = "hunter-2-hunter"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


@pytest.fixture
def path(tmp_path):
    """A store with two rows of books, a search index, and a secret in each place that holds some"""
    db = Database(tmp_path / "pipulate.db")
    for sql in (
        "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, rating INTEGER)",
        "INSERT INTO books VALUES (1, 'Dune', 5), (2, 'Emma', NULL)",
        "CREATE VIRTUAL TABLE words USING fts5 (title)",
        "INSERT INTO words VALUES ('the dune'), ('an emma')",
        "CREATE TABLE secrets (id TEXT, value TEXT)",
        f"INSERT INTO secrets VALUES ('a', '{SECRET}')",
        "CREATE TABLE store (scope TEXT, key TEXT, value TEXT, secret INTEGER)",
        f"INSERT INTO store VALUES ('', 'token', '{SECRET}', 1)",
        "CREATE INDEX by_value ON store (value)",
        "ANALYZE",
    ):
        db.execute(sql)
    yield db.path
    db.close()


def everything(path):
    """The whole content of the store and its folder, to see that nothing changed."""
    db = Database(path)
    names = [r["name"] for r in db.all("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {name: db.all(f'SELECT * FROM "{name}"') for name in names}
    found["settings"] = [db.one(f"PRAGMA {name}") for name in ("user_version", "journal_mode")]
    db.close()
    return found, {p.name for p in path.parent.iterdir()}


def test_rows_come_by_name_and_say_whether_there_are_more(path):
    said = ask(path, "SELECT title, rating FROM books ORDER BY title", limit=1)
    assert (said.columns, said.rows) == (["title", "rating"], [{"title": "Dune", "rating": 5}])
    assert said.more and not ask(path, "SELECT * FROM books", limit=2).more
    assert ask(path, "SELECT id FROM books WHERE 0").columns == ["id"]


def test_columns_of_one_name_are_told_apart(path):
    said = ask(path, 'SELECT 1 AS id, 2 AS id, 3 AS "id 2"')
    assert said.rows == [{"id": 1, "id 2": 2, "id 2 2": 3}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; -- that is all",
        "-- first\nSELECT 1 /* last */ ;;",
        "VALUES (1)",
        "SELECT 1 FROM pragma_table_info('books') LIMIT 1",
        "EXPLAIN QUERY PLAN SELECT * FROM books",
        "SELECT 1 FROM words WHERE words MATCH 'dune' ORDER BY bm25(words)",
        "SELECT count(*), median(rating), json_group_array(title) FROM books",
        "SELECT 1 FROM sqlite_schema WHERE name LIKE 'book%' AND name GLOB 'b*'",
        "SELECT row_number() OVER (ORDER BY title) FROM books",
        "SELECT strftime('%Y', 'now') > '2000'",
    ],
)
def test_all_that_only_reads_is_answered(path, sql):
    assert ask(path, sql).rows


@pytest.mark.parametrize(
    "sql",
    """DELETE FROM books
    INSERT INTO books VALUES (3, 'x', 1)
    UPDATE books SET rating = 1 RETURNING id
    REPLACE INTO books VALUES (1, 'x', 1)
    WITH gone AS (SELECT 1) DELETE FROM books
    EXPLAIN DELETE FROM books
    CREATE TABLE x (a)
    CREATE TEMP TABLE x (a)
    CREATE TABLE x AS SELECT * FROM books
    CREATE VIEW x AS SELECT 1
    CREATE TRIGGER x AFTER INSERT ON books BEGIN SELECT 1; END
    CREATE VIRTUAL TABLE temp.x USING fts5vocab(main, words, row)
    CREATE INDEX x ON books (title)
    DROP TABLE books
    ALTER TABLE books RENAME TO x
    INSERT INTO words (words) VALUES ('optimize')
    ATTACH 'x.db' AS x
    DETACH main
    VACUUM
    VACUUM INTO 'x.db'
    REINDEX
    ANALYZE
    BEGIN
    BEGIN IMMEDIATE
    SAVEPOINT x
    COMMIT
    PRAGMA query_only = 0
    PRAGMA writable_schema = 1
    PRAGMA journal_mode = delete
    PRAGMA user_version = 9
    PRAGMA wal_checkpoint(TRUNCATE)
    PRAGMA database_list
    SELECT * FROM pragma_database_list
    SELECT * FROM pragma_wal_checkpoint
    SELECT load_extension('x')
    SELECT fts3_tokenizer('simple')
    SELECT sqlite_log(1, 'x')
    SELECT writefile('x', 'y')
    SELECT readfile('/etc/passwd')
    SELECT edit('x')
    SELECT * FROM sqlite_dbpage""".splitlines(),
)
def test_nothing_can_be_written_attached_or_switched(path, sql, monkeypatch):
    monkeypatch.chdir(path.parent)
    before = everything(path)
    with pytest.raises(Problem):
        ask(path, sql.strip())
    assert everything(path) == before


@pytest.mark.parametrize(
    "sql",
    """SELECT * FROM secrets
    SELECT value FROM main.secrets
    SELECT [value] FROM "SECRETS" AS books
    SELECT count(*) FROM secrets
    SELECT count(*) FROM secrets WHERE value LIKE 'h%'
    SELECT 1 FROM books ORDER BY (SELECT value FROM secrets)
    SELECT * FROM books NATURAL JOIN secrets
    WITH s AS MATERIALIZED (SELECT * FROM secrets) SELECT * FROM s
    SELECT * FROM (SELECT value AS title FROM secrets UNION SELECT title FROM books)
    SELECT * FROM store
    SELECT key FROM store WHERE value > ''
    SELECT max(Value) FROM Store
    SELECT json_group_object(key, value) FROM store
    SELECT key FROM store INDEXED BY by_value ORDER BY value
    SELECT sum(length(value)) OVER () FROM store
    SELECT * FROM sqlite_stat4
    SELECT * FROM sqlite_stat1""".splitlines(),
)
def test_no_secret_is_read_compared_or_counted(path, sql):
    with pytest.raises(Refused) as caught:
        ask(path, sql.strip())
    assert SECRET not in str(caught.value)


def test_the_names_of_settings_are_no_secret(path):
    assert ask(path, "SELECT key, secret FROM store").rows == [{"key": "token", "secret": 1}]


@pytest.mark.parametrize("last", ["SELECT 2", "DELETE FROM books", "SELECT ';'", "nonsense"])
def test_a_second_statement_is_refused_before_the_first_is_run(path, last):
    with pytest.raises(Problem, match="more than one"):
        ask(path, f"SELECT * FROM books; /* and */ {last}", limit=1)


@pytest.mark.parametrize(
    ("sql", "said", "place"),
    [
        ("SELECT titel FROM books", "no such column: titel", "(line 1, column 8)"),
        ("SELECT id,\n  'é', , id FROM books", 'near ",": syntax error', "(line 2, column 8)"),
        ("SELECT * FROM book", "no such table: book", ""),
        ("SELECT title FROM", "incomplete input", ""),
        ("SELECT a(1)", "no such function: a", "(line 1, column 8)"),
    ],
)
def test_a_fault_is_told_in_sqlites_words_with_its_place(path, sql, said, place):
    with pytest.raises(Problem, match=re.escape(said)) as caught:
        ask(path, sql)
    assert place in caught.value.what


@pytest.mark.parametrize(
    ("sql", "said"),
    [("", "no query"), ("-- none", "no query"), ("SELECT ?", "value is missing")],
)
def test_what_is_no_question_says_what_it_lacks(path, sql, said):
    with pytest.raises(Problem, match=said):
        ask(path, sql)


@pytest.mark.parametrize("sql", ["SELECT 'a\0b'", "SELECT '\ud800'", "SELECT '\u202e'", "\ufeff"])
def test_odd_text_is_a_problem_or_an_answer_and_nothing_worse(path, sql):
    try:
        assert ask(path, sql).rows
    except Problem as problem:
        assert problem.what


@pytest.mark.parametrize("what", ["count(*)", "i", "hex(randomblob(1000))"])
def test_a_query_without_end_is_stopped_in_time(path, what):
    with pytest.raises(Problem, match=r"stopped after 0\.2 s"):
        list(answer(path, ENDLESS.format(what), seconds=0.2))


def test_the_row_limit_ends_even_an_endless_answer(path):
    said = ask(path, ENDLESS.format("i"), limit=10)
    assert [row["i"] for row in said.rows] == [*range(1, 11)] and said.more


def test_an_answer_can_be_left_half_read(path):
    lines = answer(path, ENDLESS.format("i"))
    assert list(islice(lines, 3)) == [("i",), (1,), (2,)]
    lines.close()


def test_a_value_of_enormous_size_is_refused(path):
    with pytest.raises(Problem, match="too big"):
        ask(path, "SELECT zeroblob(900000000)")


def test_writing_goes_on_while_a_question_is_read(path):
    lines = answer(path, "SELECT * FROM books")
    next(lines)
    db = Database(path)
    db.execute("INSERT INTO books VALUES (3, 'Ulysses', 4)")
    assert len(list(lines)) == 2 and len(ask(path, "SELECT * FROM books").rows) == 3
    db.close()
