"""Files: what lies in files/ in the home, to look at, add, tag, find and throw away."""

from datetime import datetime

from pipulate import CrudApp, File, tool
from pipulate.plugins import _folder


class Files(CrudApp):
    """Uploads, results of runs, and all you put into files/ in your home folder."""

    menu_icon, menu_place, order = "▤", 40, "-id"
    file: File
    tags: list[str] = []

    @property
    def folder(self) -> str:
        return _folder.place(self.table.db, self.follow("file").path)

    @property
    def run(self) -> str:
        return _folder.run_of(self.table.db, self.folder)

    @property
    def bytes(self) -> int:
        return self.follow("file").path.stat().st_size

    @property
    def changed(self) -> datetime:
        return datetime.fromtimestamp(int(self.follow("file").path.stat().st_mtime)).astimezone()

    before_list = classmethod(lambda cls, table, files: _folder.in_step(table, files))

    @tool(kind="outside")
    def open_folder(self):
        """Show where the file lies, in your file manager."""
        return _folder.show(self.follow("file").path.parent)

    def deleted(self):
        _folder.put_away(self)
