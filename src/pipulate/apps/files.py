"""Files of the home: uploads and outputs, served by id from a table, never by path."""

import contextlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from pipulate.core.fields import File
from pipulate.core.problems import Conflict, Missing, Problem, Refused
from pipulate.core.profiles import Profile
from pipulate.core.store import Database, now
from pipulate.core.tools import Caller

TRASH = ".trash"  # folder of what was put away, one folder a file, named by its number
TRASH_SECONDS = 30 * 86_400
OURS, FRESH = ("runs/", "uploads/"), 5.0  # folders the program writes; seconds it is left to do so
PICTURES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".webp": "webp"}
TEXTS = {".csv", ".ini", ".json", ".log", ".md", ".py", ".sql", ".toml", ".tsv", ".txt", ".yml"}


def shown_as(name: str) -> str:
    """The type under which a browser may show a file; "" for one that is only downloaded."""
    suffix = Path(name).suffix.lower()
    if suffix in PICTURES:
        return f"image/{PICTURES[suffix]}"
    return "text/plain; charset=utf-8" if suffix in TEXTS else ""


class Files:
    """The files table and the folder below it."""

    def __init__(self, db: Database, folder: Path):
        self.db, self.folder = db, folder

    def table(self, profile: Profile):
        return self.db.table("files", scoped=True, logged=False).xtra(profile_id=profile.id)

    async def upload(self, profile: Profile, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Stream a body to disk under a temporary name, then keep it; returns the file's id."""
        folder, safe = self.folder / "uploads" / secrets.token_hex(6), _safe(name)
        folder.mkdir(parents=True)
        part, final = folder / ".part", folder / safe
        try:
            with open(part, "wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
            if not part.stat().st_size:
                raise Problem("That file is empty.", "Choose another one.")
            part.replace(final)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            what = f"The upload could not be kept ({error.strerror})."
            raise Problem(what, "Free space.") from error
        return self.record(profile, final)

    def record(self, profile: Profile, path: Path) -> int:
        """The id of a file in the home, entered at first sight."""
        table, kept = self.table(profile), path.relative_to(self.folder).as_posix()
        found = table("path = ?", (kept,), limit=1)
        if not found:
            about = {"name": path.name, "size": path.stat().st_size, "created_utc": now()}
            found = [table.insert(path=kept, **about)]
        return found[0]["id"]

    def get(self, profile: Profile, file_id: int) -> File:
        """A file of this profile by id. Raises Missing."""
        row = self.table(profile)[file_id]
        path = (self.folder / row["path"]).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            raise Missing(f"The file {row['name']} is gone from disk.", "Run its step again.")
        return File(path, row["name"])

    def names(self, profile: Profile, references: Iterable[str]) -> dict[str, str]:
        """{"file:12": its name} of those that are there."""
        keys = [int(said.removeprefix("file:")) for said in references]
        found = self.table(profile)(f"id IN ({', '.join('?' * len(keys))})", keys)
        return {f"file:{row['id']}": row["name"] for row in found}

    def take_in(self, said: str | File, caller: Caller) -> str:
        """The reference ("file:12") of a file a row is to keep; one from elsewhere is copied."""
        file = self.resolve(said, caller)
        path = file.path.resolve()
        if not path.is_relative_to(self.folder.resolve()):
            folder = self.folder / "uploads" / secrets.token_hex(6)
            folder.mkdir(parents=True)
            path = Path(shutil.copyfile(path, folder / _safe(path.name)))
        return f"file:{self.record(caller.profile, path)}"

    def in_step(self, profile: Profile, known: Iterable[str]) -> tuple[list[str], list[str]]:
        """Bring the table in step with the folder. Returns the references of the profile's files

        that are not among the `known`, and the known ones that are gone."""
        known, there = set(known), self._there()
        kept = {row["path"]: row for row in self.db.all("SELECT * FROM files")}
        for path in there.keys() - kept.keys():
            if not self._busy(path, there[path]):
                about = {"path": path, "name": Path(path).name, "size": there[path].st_size}
                self._all.insert(profile_id=self._owner(path), created_utc=now(), **about)
        for path, row in kept.items():
            if path.startswith(TRASH):
                self._look_after(row, f"file:{row['id']}" in known)
            elif path not in there:
                self._all.delete(row["id"])
            elif there[path].st_size != row["size"]:
                self._all.update(id=row["id"], size=there[path].st_size)
        rows = self.table(profile)("path NOT LIKE ?", [f"{TRASH}/%"])
        found = [f"file:{row['id']}" for row in rows]
        return [ref for ref in found if ref not in known], [*known.difference(found)]

    @property
    def _all(self):
        return self.db.table("files", logged=False)

    @staticmethod
    def _busy(path: str, about: os.stat_result) -> bool:
        """Whether the program may still be writing a file that it enters by itself."""
        return path.startswith(OURS) and about.st_mtime > time.time() - FRESH

    def _there(self) -> dict[str, os.stat_result]:
        """The files below the folder, by path; no links, nothing that starts with a dot."""
        found = {}
        for top, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if name[0] != "."]
            for path in (Path(top, name) for name in names if name[0] != "."):
                with contextlib.suppress(OSError, UnicodeError):
                    kept, about = path.relative_to(self.folder).as_posix(), path.lstat()
                    if stat.S_ISREG(about.st_mode) and kept.encode():  # no name in odd bytes
                        found[kept] = about
        return found

    def _owner(self, path: str) -> int:
        """The profile of a file nobody entered: its run's, else the first."""
        run = re.match(r"runs/(\d{1,18})/", path)
        ran = "SELECT profile_id AS id FROM runs WHERE id = ?"
        first = "SELECT id FROM profiles WHERE deleted_utc IS NULL ORDER BY position LIMIT 1"
        return ((run and self.db.one(ran, (int(run[1]),))) or self.db.one(first))["id"]

    def put_away(self, profile: Profile, said: str) -> None:
        """Move a file to the trash for 30 days; in_step() brings back one that is known again."""
        file = self.resolve(said, Caller("system", profile))
        row = self.table(profile)[int(said.removeprefix("file:"))]
        if not row["path"].startswith(TRASH):
            self._move(row, f"{TRASH}/{row['id']}/{row['path']}", file.path)

    def _look_after(self, row: dict[str, Any], wanted: bool) -> None:
        """A file in the trash: brought back when it is wanted again, or its time may be over."""
        path = self.folder / row["path"]
        try:
            put_away = path.lstat().st_ctime
        except OSError:
            return self._all.delete(row["id"])
        if wanted:
            self._move(row, row["path"].split("/", 2)[2], path)
        elif put_away < time.time() - TRASH_SECONDS:
            path.unlink()
            self._all.delete(row["id"])

    def _move(self, row: dict[str, Any], to: str, path: Path) -> None:
        target = self.folder / to
        if target.exists():
            target = target.with_name(f"{row['id']}-{target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        self._all.update(id=row["id"], path=target.relative_to(self.folder).as_posix())

    def address_maker(self, profile: Profile) -> Callable[[Path], str]:
        """A function from a path in the home to its download address."""

        def address(path: Path) -> str:
            if path.is_relative_to(self.folder) and path.exists():
                with contextlib.suppress(Conflict):  # another profile's file
                    return f"/files/{profile.slug}/{self.record(profile, path)}"
            return ""

        return address

    def resolve(self, said: str | File, caller: Caller) -> File:
        """The file a field names: "file:12" (an upload), or a path that a person gave.

        The model and MCP reach only uploads and outputs, not the rest of the disk."""
        said = str(said.path if isinstance(said, File) else said).strip()
        if found := re.fullmatch(r"file:(\d{1,15})", said):
            return self.get(caller.profile, int(found[1]))
        none = Problem(f"There is no file {said[:300]!r}.", "Check the path, or upload the file.")
        try:
            path = (caller.cwd or Path.home()) / Path(said).expanduser()
            inside = path.resolve().is_relative_to(self.folder.resolve())
            if caller.actor in ("model", "mcp") and not inside:
                what = "That path is outside of Pipulate's files."
                raise Refused(what, "Ask the user to upload it.")
            if not path.is_file():
                raise none
        except (OSError, ValueError, RuntimeError):  # too long, NUL, forbidden, ~nobody
            raise none from None
        return File(path)


def _safe(name: str) -> str:
    last = Path(name.replace("\\", "/")).name
    return re.sub(r"[^\w. -]", "_", last)[-60:].strip(".") or "file"
