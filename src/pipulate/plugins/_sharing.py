"""A plugin as one file that goes to other machines, and such a file (or a .py) taken in.

It waits in quarantine; its rows come once it is approved. Shell and page use both by their tools.
"""

import base64
import contextlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

from fasthtml.common import A, Button, Form, Input, Label, Small
from starlette.responses import Response

from pipulate import File, Problem, Ref, Secret, tool
from pipulate.plugins import _drafts

LARGEST = 50_000_000  # bytes of all files that rows take along


@tool(kind="read", seconds=60)
def share(table, caller, house, name: str, data: bool = False):
    """A plugin of the user's as what plugin_take takes in elsewhere; data: with its rows."""
    own = [row for row in house.shelf.listing() if row["origin"] != "bundled"]
    found = [row for row in own if name in (row["name"], Path(row["file"]).stem)]
    if not found:
        raise Problem(f"You have no plugin {name!r}.", "See Plugins.")
    path, apps = Path(found[0]["file"]), house.shelf.apps
    package = {"pipulate": version("pipulate"), "name": path.stem}
    package |= {"source": path.read_bytes().decode(), "origin": found[0]["origin"]}
    package |= {"version": found[0]["version"], "data": {}, "files": {}}
    for slug in [row["name"] for row in own if data and row["file"] == str(path)]:
        if hasattr(apps.get(slug), "table_name"):  # pipelines have fields, too, but no rows
            package["data"][slug] = rows(apps[slug], caller)
            package["files"] |= files(apps[slug], caller, package["data"][slug])
    return package


async def download(visit, name: str, data: bool = False):
    """What the tool says, as a file (?data=yes: with its rows)."""
    package = await visit.call("plugin_share", name=name, data=data)
    text = json.dumps(package, ensure_ascii=False, indent=1)
    head = {"content-disposition": f'attachment; filename="{package["name"]}.json"'}
    return Response(text, headers=head, media_type="application/json")


def rows(app, caller):
    """The rows of an app in the order of its list, without secrets; what numbers mean is named."""
    state, shown = app.state_of(""), [f for f in app.fields.values() if f.type is not Secret]
    keys = app.plain(caller).keys(*app.where(caller, state), app.order(state))
    known = {row.id: row for row in app.rows(caller).these(keys)}
    labels = app.labels(caller, known.values())
    told = ((k, vars(known[k])) for k in keys if k in known)
    return [{"id": k} | {f.name: app.called(f, v[f.name], labels) for f in shown} for k, v in told]


def files(app, caller, rows):
    """{"file:12 a.txt": its bytes in base 64} of what these rows name. Raises Problem."""
    found = {}
    for said in {row[name] for row in rows for name in app.of_type(File)} - {None}:
        with contextlib.suppress(Problem):  # it may be gone from the disk
            found[said] = app.house.files.resolve(said, caller).path
    if sum(path.stat().st_size for path in found.values()) > LARGEST:
        what = f"The files of its rows have more than {LARGEST:,} bytes."
        raise Problem(what, "Share it without its rows, and send these by themselves.")
    content = {said: path.read_bytes() for said, path in found.items()}
    return {said: base64.b64encode(b).decode() for said, b in content.items() if b}


@tool(kind="bulk", seconds=600)
async def take(table, caller, house, file: File):
    """Take in a shared plugin or a .py: it waits for approval; then the same file adds its rows

    (answer: what plugin_draft says and how many, or {name, address, added: {app: rows}})."""
    file = house.files.resolve(file, caller)
    name, text, data, packed = read(file)
    apps = house.shelf.listing()
    own = [row for row in apps if row["origin"] != "bundled"]
    live = [row["name"] for row in own if row["hash"] == _drafts.digest(text)[:12]]
    if not live:
        count = sum(map(len, data.values()))
        wish = (
            f"With {count:,} row{'s' * (count != 1)}: bring the file in again after your approval."
        )
        origin = f"from {file.name}"
        found = _drafts.told(table, caller, name, text, origin, wish if count else "")
        return found | {"rows": count}
    if other := data.keys() - {*live}:
        what = f"It holds rows of {', '.join(sorted(other))}, which is no app of its own."
        raise Problem(what, "Nothing was added; add them yourself: pipulate import.")
    await unpack(house, caller, data, packed)
    added = await add(house, caller, data)
    first = [*data, *live][0]  # where the rows are, if any came along
    return {"name": name, "address": f"/{caller.profile.slug}/{first}", "added": added}


async def unpack(house, caller, data, packed):
    """Keep the files that came along; the rows name them as they are called here.

    Any other name of a file means another one here, or one of the user's: it goes."""

    async def whole(content):
        yield content

    named = {}
    for said, content in packed.items():
        key = await house.files.upload(caller.profile, said.partition(" ")[2], whole(content))
        named[said] = f"file:{key}"
    for app, given in data.items():
        held = house.shelf.crud(app).of_type(File)
        for row in given:
            row |= {name: named.get(str(row[name])) for name in held if name in row}


async def add(house, caller, data):
    """Add rows, those to which others refer before these: {app: how many}. Raises Problem."""
    added, reports, again = dict.fromkeys(data, 0), {}, True
    order = sorted(data, key=lambda app: len(house.shelf.crud(app).of_type(Ref)))
    while again:  # what waits for another row comes to stand before the rest of its list
        for app in order:
            given = data[app]
            reports[app] = await brought(house, caller, app, given) if given else {"add": 0}
            added[app] += reports[app]["add"]
        left = {app: report for app, report in reports.items() if report.get("skip")}
        again = left and any(report["add"] for report in reports.values())
    for app, report in left.items():
        row = report["skipped"][0]
        why = "; ".join(f"{field} {said}" for field, said in row["why"].items())
        what = f"Left out of {app}: {report['skip']:,}, such as row {row['row']}: {why}."
        raise Problem(what, "Bring the file in once more when that is mended: none comes twice.")
    return added


async def brought(house, caller, app, given):
    """The report of an import; what is there already is not added again."""
    with tempfile.TemporaryDirectory(dir=house.files.folder, prefix=".") as folder:
        path = Path(folder, "rows.json")
        path.write_text(json.dumps(given), "utf-8")
        match = sorted({key for row in given for key in row} - {"id"})
        asked = {"app": app, "file": str(path), "match": match}
        return await house.tools.call("rows_import", asked, caller)


def read(file):
    """(name, source, {app: rows}, {file's name: bytes}) of a file. Raises Problem."""
    try:
        text = file.path.read_text("utf-8")
        if file.name.endswith(".py"):
            return Path(file.name).stem, text, {}, {}
        package = json.loads(text)
        name, source, data = (package[key] for key in ("name", "source", "data"))
        packed = {k: base64.b64decode(v) for k, v in package.get("files", {}).items()}
        plain = isinstance(name, str) and isinstance(source, str) and source.encode()
        if plain and all(isinstance(row, dict) for rows in data.values() for row in rows):
            return name, source, data, packed
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise Problem("That is no shared plugin.", "Make one with `pipulate share`, or name a .py.")


def form(profile, style):
    """A form that brings a shared plugin, or a .py, in."""
    box = {"name": "file", "placeholder": "path on this machine, or choose", "required": True}
    pick = Input(type="file", data_upload="file", accept=".json,.py", aria_label="Choose a file")
    return Form(
        Label("What Share gave, or a .py", Input(**box), pick),
        Small("It is tried, then waits for your approval. Its rows come when you bring the same "
              "file in once more after that, and none of them twice."),
        Button("Bring it in", cls="secondary"),
        hx_post=f"/{profile.slug}/call/plugin_take",
        style=style,
    )  # fmt: skip


def links(profile, path):
    """The links that download a file of the user's, as `pipulate share` prints it."""
    at = f"/{profile.slug}/plugins/{path.stem}/share"
    rows = A("with its rows", href=f"{at}?data=yes", download=True)
    return Small(A("Share", href=at, download=True), " · ", rows)
