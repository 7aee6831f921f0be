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
    "files": "os pathlib shutil tempfile glob zipfile tarfile io fileinput gzip bz2 lzma codecs",
    "other programs": "subprocess multiprocessing pty signal runpy code posix nt",
    INSIDES: "sys gc inspect builtins",
    MADE: "importlib pickle marshal",
    # nothing outside; a module of Python's that no line here has is named itself
    "": """__future__ abc array ast asyncio base64 binascii bisect calendar cmath collections
        colorsys concurrent contextlib contextvars copy csv dataclasses datetime decimal difflib
        email enum fnmatch fractions functools graphlib hashlib heapq hmac html ipaddress
        itertools json keyword locale math mimetypes numbers operator platform pprint queue random
        re reprlib secrets statistics string struct textwrap threading time traceback types typing
        unicodedata uuid warnings weakref xml zlib zoneinfo""",
}
NAMES = {"files": "open os Path", "network": "fetch", MADE: "eval exec compile __import__"}
DEEP = {INSIDES: "__subclasses__ __globals__ __builtins__ __bases__ __mro__ __code__"}
BROWSER = "the browser and its log-ins"
CALLS = {
    "network": """urlopen open_connection open_unix_connection create_connection start_server
        create_server create_datagram_endpoint""",
    "other programs": """system popen startfile fork forkpty posix_spawn posix_spawnp
        execl execle execlp execlpe execv execve execvp execvpe
        spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe create_subprocess_exec
        create_subprocess_shell subprocess_exec subprocess_shell ProcessPoolExecutor""",
    "the model": "model",
    BROWSER: "browser",
}
INSTEAD, POWERS, NAMES, DEEP, CALLS = map(each, (INSTEAD, POWERS, NAMES, DEEP, CALLS))


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
        found |= {module(name), CALLS.get(name.rpartition(".")[2])}
    for node in ast.walk(tree):
        found.add(NAMES.get(named(node)) if isinstance(node, ast.Name) else "")
        found.add(DEEP.get(named(node)))
        found.add(asked(node) if isinstance(node, ast.Call) else "")
    return sorted(filter(None, found))


def module(name):
    """What an imported name reaches for: `os` and `pipulate.fetch` do, `urllib.parse` does not."""
    root, _, rest = name.partition(".")
    if root in ("pipulate", "fasthtml"):
        return NAMES.get(rest.rpartition(".")[2])
    if root not in sys.stdlib_module_names:
        return f"the package {root}"
    known = "" if name.startswith("urllib.parse") else POWERS.get(root)
    return f"the module {root}" if known is None else known


def asked(call):
    """What a call reaches for by its name: a program, a tool, the model, the browser."""
    if named(call.func) != "tool" or not isinstance(call.func, ast.Attribute):
        return CALLS.get(named(call.func))
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
