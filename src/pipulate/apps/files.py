"""Files of the home: uploads and outputs, served by id from a table, never by path."""

import contextlib
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from pipulate.core.fields import File
from pipulate.core.problems import Conflict, Missing, Problem, Refused
from pipulate.core.profiles import Profile
from pipulate.core.store import Database, now
from pipulate.core.tools import Caller


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
        table, kept = self.table(profile), str(path.relative_to(self.folder))
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
