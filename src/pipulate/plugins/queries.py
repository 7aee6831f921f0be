"""Queries: questions in SQL, kept under a name."""

from fasthtml.common import H1, A, Aside, Button, Details, Div, Form, Header, Input, P, Pre, Summary
from fasthtml.common import RedirectResponse, Textarea
from pipulate import CrudApp, CsvFile, DataTable, Text

TABLES = """SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '*_fts*'
    AND name NOT GLOB 'sqlite_*' AND name != 'secrets' ORDER BY name NOT GLOB 'app_*', name"""


class Query(CrudApp):
    """Questions in SQL to all your rows, kept under a name. They can only read."""

    plural, menu_icon, menu_place, links = "queries", "⌕", 45, {"Write a query": "run"}
    title: str
    sql: Text

    def __ft__(self):
        return A(self.title, href=f"queries/{self.id}/run"), Pre(self.sql)


@Query.rt("/run", methods=["GET"])
@Query.rt("/{id}/run", methods=["GET"])
def run(table, profile, id: int = 0, sql: Text = ""):
    """The page of a kept query, or of a new one, with the tables that there are."""
    at = f"/{profile.slug}/queries"
    title, sql = (table[id].title, table[id].sql) if id else ("", sql)
    ask = {"hx_get": f"{at}/answer", "hx_include": "#sql", "hx_target": "#answer"}
    edit = {"hx_patch": f"{at}/{id}", "hx_trigger": "change", "hx_swap": "none"} if id else {}
    keep = {"hx_post": f"{at}/save", "hx_target": "#main", "hx_push_url": "true"}
    form = Form(
        Input(name="title", value=title, placeholder="Title", aria_label="Title", **edit),
        Textarea(sql, name="sql", id="sql", rows=8, autofocus=True, aria_label="SQL", **edit),
        Button("Run", title="Ctrl+Enter", hx_disabled_elt="this", **ask),
        Button("CSV", name="csv", value="yes", cls="secondary"),
        "" if id else Button("Save", cls="secondary", **keep),
        action=f"{at}/answer",
    )
    shown = Div(id="answer", hx_trigger="load", **ask) if sql else Div(id="answer")
    tables = (row["name"] for row in table.db.ask(TABLES).rows)
    beside = (Details(Summary(name), ", ".join(table.db.columns(name))) for name in tables)
    head = Header(H1("Query"), A("All queries", href=at), cls="head")
    return head, Div(Div(form, shown), Aside(*beside), cls="beside")


@Query.rt("/answer", methods=["GET"])
def answer(table, profile, sql: Text, csv: bool = False):
    """What a query gives: the first rows, or all of them as CSV."""
    if csv:
        lines = table.db.stream(sql, seconds=60, values={"profile": profile.id})
        return CsvFile("query.csv", next(lines), lines)
    said = table.db.ask(sql, limit=200, seconds=4, values={"profile": profile.id})
    told = P(f"{len(said.rows)} rows{', more in the CSV' * said.more} · {said.seconds:.3f} s")
    return told, DataTable(said.rows), Div(id="notices", hx_swap_oob="innerHTML")  # errors are over


@Query.rt("/save", methods=["POST"])
def save(table, title: str, sql: Text):
    """Keep a query under a title."""
    return RedirectResponse(f"{table.insert(title=title, sql=sql).id}/run", 303)
