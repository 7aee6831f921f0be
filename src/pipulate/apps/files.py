"""Files of the home: uploads and outputs, served by id from a table, never by path."""

from contextlib import suppress
import filecmp
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from pipulate.core.fields import File
from pipulate.core.problems import Conflict, Missing, Problem, Refused
from pipulate.core.profiles import Profile
from pipulate.core.store import Database, Row, now
from pipulate.core.tools import Caller

TRASH = ".trash"  # folder of what was put away, one folder a file, named by its number
TRASH_SECONDS = 30 * 86_400
OURS, FRESH = ("runs/", "uploads/"), 5.0  # folders the program writes; seconds it is left to do so
PORTION = 10_000  # new files that one look enters: it has 5 s
PLAIN = ".csv .ini .json .log .md .py .sql .toml .tsv .txt .yml"
SHOWN = dict.fromkeys(PLAIN.split(), "text/plain; charset=utf-8")
SHOWN |= {f".{kind}": f"image/{kind}" for kind in ("gif", "jpeg", "png", "webp")}
SHOWN[".jpg"] = "image/jpeg"
DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|(com|lpt)\d)(?=\.|$)")  # Windows has no such files
ENTER = """INSERT INTO files (path, name, size, created_utc, profile_id) VALUES (?1, ?2, ?3, ?4,
    coalesce((SELECT profile_id FROM runs
        WHERE id = CAST(substr(?1, 6) AS INTEGER) AND ?1 GLOB 'runs/' || id || '/*'),
    (SELECT id FROM profiles WHERE deleted_utc IS NULL ORDER BY position LIMIT 1)))"""


def shown_as(name: str) -> str:
    """The type under which a browser may show a file; "": it is only downloaded."""
    return SHOWN.get(Path(name).suffix.lower(), "")


class Files:
    """The files table and the folder below it."""

    def __init__(self, db: Database, folder: Path):
        self.db, self.folder = db, folder
        self._all = db.table("files", logged=False)

    def table(self, profile: Profile):
        return self._all.xtra(profile_id=profile.id)

    def new_folder(self, kind: str) -> Path:
        folder = self.folder / kind / secrets.token_hex(6)
        folder.mkdir(parents=True)
        return folder

    async def upload(self, profile: Profile, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Keep a streamed body; returns the file's id."""
        folder = self.new_folder("uploads")
        part, final = folder / ".part", folder / _safe(name)
        try:
            with part.open("wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
            if not part.stat().st_size:
                raise Problem("That file is empty.", "Choose another one.")
            if kept := self._same(profile, part, final.name):
                return kept
            part.replace(final)
        except OSError as error:
            what = f"The upload could not be kept ({error.strerror})."
            raise Problem(what, "Free space.") from error
        finally:
            if not final.exists():
                shutil.rmtree(folder, ignore_errors=True)
        return self.record(profile, final)

    def _same(self, profile: Profile, path: Path, name: str) -> int:
        where = "name = ? AND size = ? AND path GLOB 'uploads/*'"
        for row in self.table(profile)(where, [name, path.stat().st_size]):
            there = self.folder / row["path"]
            if there.is_file() and filecmp.cmp(path, there, shallow=False):
                return row["id"]
        return 0

    def record(self, profile: Profile, path: Path) -> int:
        """The id of a file in the home, entered at first sight."""
        table, there = self.table(profile), self.folder.resolve()
        kept = path.resolve().relative_to(there).as_posix()
        if found := table.keys("path = ?", [kept]):
            return found[0]
        size = path.stat().st_size
        return table.insert(path=kept, name=path.name, size=size, created_utc=now())["id"]

    def get(self, profile: Profile, file_id: int) -> File:
        """A file of this profile by id. Raises Missing."""
        row = self.table(profile)[file_id]
        path = self.folder / row["path"]
        if not self._inside(path) or not path.is_file():
            raise Missing(f"The file {row['name']} is gone from disk.", "Run its step again.")
        return File(path, row["name"])

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.folder.resolve())

    def address(self, profile: Profile, path: Path) -> str:
        """The download address of a path in the home, or ""."""
        if self._inside(path) and path.exists():
            with suppress(Conflict):  # another profile's file
                return f"/files/{profile.slug}/{self.record(profile, path)}"
        return ""

    def names(self, profile: Profile, references: Iterable[str]) -> dict[str, str]:
        """{"file:12": its name} of those that are there."""
        keys = [int(said.removeprefix("file:")) for said in references]
        return {f"file:{row['id']}": row["name"] for row in self.table(profile).these(keys)}

    def resolve(self, said: str | File, caller: Caller) -> File:
        """The file a field names: "file:12" or "file:12 a.txt", or a path that a person gave.

        The model and MCP reach only uploads and outputs, not the rest of the disk."""
        said = str(said.path if isinstance(said, File) else said).strip()
        if found := re.fullmatch(r"file:(\d{1,15})(?: (.+))?", said):
            file = self.get(caller.profile, int(found[1]))
            if found[2] in (None, file.name):
                return file
        with suppress(OSError, ValueError, RuntimeError):  # too long, NUL, ~nobody
            # Windows copies a path in quotes
            path = (caller.cwd or Path.home()) / Path(said.strip('"')).expanduser()
            if caller.actor in ("model", "mcp") and not self._inside(path):
                what = "That path is outside of Pipulate's files."
                raise Refused(what, "Ask the user to upload it.")
            if path.is_file():
                return File(path)
        if "\n" in said:  # what is in it: key=@file
            raise Problem("That is a text, no file.", "Name its path, without @.")
        raise Problem(f"There is no file {said[:300]!r}.", "Check the path, or upload the file.")

    def take_in(self, said: str | File, caller: Caller) -> str:
        """The reference ("file:12") of a file a row is to keep; one from elsewhere is copied."""
        if not self._inside(path := self.resolve(said, caller).path):
            name = _safe(path.name)
            if kept := self._same(caller.profile, path, name):
                return f"file:{kept}"
            path = Path(shutil.copyfile(path, self.new_folder("uploads") / name))
        return f"file:{self.record(caller.profile, path)}"

    # -- in step with the folder

    def in_step(self, profile: Profile, known: Iterable[str]) -> tuple[list[str], list[str]]:
        """Bring the table in step with the folder. Returns references of the profile's files: those

        not among the `known`, and the known ones that are gone."""
        known, there, gone = set(known), dict(self._there()), []
        kept = {row["path"]: row for row in self._all()}
        come = sorted((there[path].st_mtime, path) for path in there.keys() - kept.keys())
        for changed, path in come[:PORTION]:
            if not path.startswith(OURS) or changed < time.time() - FRESH:
                self.db.execute(ENTER, (path, Path(path).name, there[path].st_size, now()))
        for path, row in kept.items():
            if path.startswith(TRASH):
                try:
                    self._look_after(row, (said := f"file:{row['id']}") in known)
                except PermissionError:  # open in another program, on Windows
                    known.discard(said)
            elif path not in there:
                gone.append((row["id"],))
            elif there[path].st_size != row["size"]:
                self._all.update(id=row["id"], size=there[path].st_size)
        self.db.execute_many("DELETE FROM files WHERE id = ?", gone)
        keys = self.table(profile).keys("path NOT LIKE ?", [f"{TRASH}/%"], "id")
        found = [f"file:{key}" for key in keys]
        return [ref for ref in found if ref not in known], [*known.difference(found)]

    def _there(self) -> Iterator[tuple[str, os.stat_result]]:
        start = len(f"{self.folder}/")
        for top, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if name[0] != "."]
            for path in (os.path.join(top, name) for name in names if name[0] != "."):
                with suppress(OSError, UnicodeError):
                    kept, about = path[start:].replace(os.sep, "/"), os.lstat(path)
                    if stat.S_ISREG(about.st_mode) and kept.encode():  # no name in odd bytes
                        yield kept, about

    def put_away(self, profile: Profile, said: str) -> None:
        """Move it to the trash for 30 days; in_step() brings back one that is known again."""
        key = int(said.removeprefix("file:"))
        row, _ = self.table(profile)[key], self.get(profile, key)
        if not row["path"].startswith(TRASH):
            self._move(row, f"{TRASH}/{key}/{row['path']}")

    def _look_after(self, row: Row, wanted: bool) -> None:
        path = self.folder / row["path"]
        if wanted and path.exists():
            self._move(row, row["path"].split("/", 2)[2])
        # on Windows its st_ctime is when it was made
        elif not path.exists() or path.parent.stat().st_mtime < time.time() - TRASH_SECONDS:
            path.unlink(missing_ok=True)
            self._all.delete(row["id"])

    def _move(self, row: Row, to: str) -> None:
        if (target := self.folder / to).exists():
            target = target.with_name(f"{row['id']}-{target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / row["path"]).rename(target)
        self._all.update(id=row["id"], path=target.relative_to(self.folder).as_posix())


def _safe(name: str) -> str:
    last = re.sub(r"[^\w. -]", "_", Path(name.replace("\\", "/")).name)[-60:].strip(". ")
    return DEVICES.sub(r"_\g<0>", last) or "file"
