"""A plugin's source, not run: what in it breaks the contract, and what it reaches for."""

import ast
import importlib.util
import re
import sys

PUBLIC = importlib.import_module("pipulate").__all__
LARGEST = 100_000  # characters of a plugin file
UNREAD = (SyntaxError, ValueError, RecursionError, MemoryError)  # the latter two: nested too deep
TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")  # whoever approves would read something else
ROUTES = 'Pages are functions under @Book.rt("/x", methods=["GET"]).'


def each(told):
    """{name: what is said of it}, of {what is said: names}."""
    return {name: said for said, names in told.items() for name in names.split()}


INSTEAD = {
    ROUTES: "fastapi flask django",
    "Fields are the annotated attributes of a CrudApp, or a step's parameters.": "pydantic",
    "Rows are read and written through `table`.": "sqlalchemy sqlite3 apsw",
    "Elements are in fasthtml.common.": "jinja2",
    "Stay within Python.": "ctypes",
    "Use fetch(url) of pipulate.": "requests httpx aiohttp urllib3",
}
MADE, INSIDES = "code made while it runs", "Python's own insides"
POWERS = {
    "network": """socket http urllib ftplib smtplib imaplib poplib ssl asyncore webbrowser xmlrpc
        socketserver telnetlib""",
    "files": "os pathlib shutil tempfile glob zipfile tarfile io fileinput",
    "other programs": "subprocess multiprocessing pty signal runpy code",
    INSIDES: "sys gc inspect builtins",
    MADE: "importlib",
}
NAMES = {"files": "open", "network": "fetch", MADE: "eval exec compile __import__"}
DEEP = {INSIDES: "__subclasses__ __globals__ __builtins__ __bases__ __mro__ __code__"}
INSTEAD, POWERS, NAMES, DEEP = map(each, (INSTEAD, POWERS, NAMES, DEEP))


def faults(text):
    """What has to be mended before it is run: sentences with their line."""
    try:
        tree = ast.parse(text)
    except UNREAD as error:
        what = str(getattr(error, "msg", error)) or "It is nested too deep."
        return [f"line {getattr(error, 'lineno', None) or 1}: {what}"]
    lines = (n for n, line in enumerate(text.split("\n"), 1) if TURNED.search(line))
    found = [f"line {n}: A character in it turns round what is shown." for n in lines]
    found += [f"line {line}: {why}" for line, name in imported(tree) if (why := refused(name))]
    calls = [(named(n.func), n.lineno) for n in ast.walk(tree) if isinstance(n, ast.Call)]
    for name, line in calls:
        if name in ("fast_app", "serve", "FastHTML"):
            found.append(f"line {line}: {name} is not used. {ROUTES}")
    bases = (named(b) for n in ast.walk(tree) if isinstance(n, ast.ClassDef) for b in n.bases)
    if "CrudApp" not in bases and "Pipeline" not in dict(calls):
        found.append("It defines no class of CrudApp and no Pipeline.")
    if len(text) > LARGEST:
        found.append(f"It is longer than {LARGEST:,} characters.")
    return found


def refused(name):
    """Why a plugin may not import a module, in a sentence; "" when it may."""
    root, _, rest = name.partition(".")
    if root in INSTEAD:
        return f"{root} is not used in plugins. {INSTEAD[root]}"
    if root == "pipulate" and rest not in PUBLIC:
        return f"pipulate has no public name {rest!r}; it has {', '.join(PUBLIC)}."
    if root not in sys.stdlib_module_names and importlib.util.find_spec(root) is None:
        return f"The package {root} is not installed. Use the standard library."
    return ""


def powers(text):
    """What a source reaches for beyond its own rows, in words; more may hide behind a trick."""
    try:
        tree, found = ast.parse(text), set()
    except UNREAD:
        return []
    for _, name in imported(tree):
        root, _, rest = name.partition(".")
        found.add(POWERS.get(root) or NAMES.get(rest if root == "pipulate" else ""))
        known = root in sys.stdlib_module_names or root in ("pipulate", "fasthtml")
        found.add("" if known else f"the package {root}")
    for node in ast.walk(tree):
        found.add(NAMES.get(named(node)) if isinstance(node, ast.Name) else "")
        found.add(DEEP.get(named(node)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found.add(asked(node))
    return sorted(filter(None, found))


def asked(call):
    """A tool or the model, when that is what a call of job asks."""
    if call.func.attr != "tool":
        return "the model" if call.func.attr == "model" else ""
    names = [str(arg.value) for arg in call.args[:1] if isinstance(arg, ast.Constant)]
    return f"the tool {''.join(names) or 'of some name'}"


def imported(tree):
    """(line, dotted name) of every import; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{a.name}") for a in node.names)


def named(node):
    """The last name of an expression: Pipeline in pipulate.Pipeline."""
    return getattr(node, "id", None) or getattr(node, "attr", None) or ""
