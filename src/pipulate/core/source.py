"""The program's own text in reading order, and the user's plugins: for readers, of any kind."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ORDER = ("__init__.py", "__main__.py", "core", "apps", "ai", "web", "doors", "plugins", "botify")
PER_TOKEN = 3.6  # characters; o200k counts a little fewer tokens


def files(apps: Path) -> dict[str, Path]:
    """{name: path} of the source, such as core/fields.py, and of plugins in the folder `apps`."""
    names = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.[pm][yd]"))
    known = [name for name in names if name.parts[0] in ORDER]  # no docs, as in a wheel
    order = sorted(known, key=lambda p: (ORDER.index(p.parts[0]), p.suffix == ".py", p))
    own = {f"home/apps/{path.name}": path for path in sorted(apps.glob("[!.]*.py"))}
    return {name.as_posix(): PACKAGE / name for name in order} | own


def tokens(text: str) -> int:
    """About how many tokens a text takes."""
    return round(len(text) / PER_TOKEN)
