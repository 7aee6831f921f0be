"""A plugin's source read without running it: what breaks the contract, and what it reaches for."""

import ast
import importlib.util
import re
import sys

PUBLIC = importlib.import_module("pipulate").__all__
LARGEST = 100_000  # characters of a plugin file
UNREAD = (SyntaxError, ValueError, RecursionError, MemoryError)  # the latter two: nested too deep
TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")  # whoever approves would read something else
ROUTES = 'Pages are functions under @Book.rt("/x", methods=["GET"]).'
INSTEAD = {
    "fastapi": ROUTES,
    "flask": ROUTES,
    "django": ROUTES,
    "pydantic": "Fields are the annotated attributes of a CrudApp, or a step's parameters.",
    "sqlalchemy": "Rows are read and written through `table`.",
    "sqlite3": "Rows are read and written through `table`.",
    "apsw": "Rows are read and written through `table`.",
    "jinja2": "Elements are in fasthtml.common.",
    "ctypes": "Stay within Python.",
} | dict.fromkeys(("requests", "httpx", "aiohttp", "urllib3"), "Use fetch(url) of pipulate.")
NETWORK = {"socket", "http", "urllib", "ftplib", "smtplib", "imaplib", "poplib", "ssl", "asyncore"}
NETWORK |= {"webbrowser", "xmlrpc", "socketserver", "telnetlib"}
FILES = {"os", "pathlib", "shutil", "tempfile", "glob", "zipfile", "tarfile", "io", "fileinput"}
PROGRAMS = {"subprocess", "multiprocessing", "pty", "signal", "runpy", "code"}
NAMES = {"open": "files", "fetch": "network", "eval": "code made while it runs"}
NAMES |= dict.fromkeys(("exec", "compile", "__import__"), NAMES["eval"])
POWERS = dict.fromkeys(NETWORK, "network") | dict.fromkeys(FILES, "files")
POWERS |= dict.fromkeys(PROGRAMS, "other programs") | {"importlib": NAMES["eval"]}
INSIDES = ("__subclasses__", "__globals__", "__builtins__", "__bases__", "__mro__", "__code__")
POWERS |= dict.fromkeys(("sys", "gc", "inspect", "builtins"), "Python's own insides")


def faults(text):
    """What has to be mended before it is run, each as a sentence with its line."""
    try:
        tree = ast.parse(text)
    except UNREAD as error:
        what = str(getattr(error, "msg", error)) or "It is nested too deep."
        return [f"line {getattr(error, 'lineno', None) or 1}: {what}"]
    lines = (n for n, line in enumerate(text.split("\n"), 1) if TURNED.search(line))
    found = [f"line {n}: A character in it turns round what is shown." for n in lines]
    found += [f"line {line}: {why}" for line, name in imported(tree) if (why := refused(name))]
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    for node in calls:
        if named(node.func) in ("fast_app", "serve", "FastHTML"):
            found.append(f"line {node.lineno}: {named(node.func)} is not used. {ROUTES}")
    bases = (named(b) for n in ast.walk(tree) if isinstance(n, ast.ClassDef) for b in n.bases)
    if "CrudApp" not in bases and not any(named(n.func) == "Pipeline" for n in calls):
        found.append("It defines no class of CrudApp and no Pipeline.")
    if len(text) > LARGEST:
        found.append(f"It is longer than {LARGEST:,} characters.")
    return found


def refused(name):
    """Why this import cannot be, or nothing."""
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
        name = named(node)
        found.add(NAMES.get(name) if isinstance(node, ast.Name) else "")
        found.add("Python's own insides" if name in INSIDES else "")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found.add(asked(node))
    return sorted(filter(None, found))


def asked(call):
    """A tool or the model, when that is what a call of job asks."""
    if call.func.attr == "model":
        return "the model"
    if call.func.attr != "tool":
        return ""
    first = call.args[0] if call.args else None
    return f"the tool {first.value if isinstance(first, ast.Constant) else 'of some name'}"


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
