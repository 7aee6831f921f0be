"""Files: what lies in files/ in the home, to look at, add, tag, find and throw away."""

from datetime import datetime

from pipulate import CrudApp, File


class Files(CrudApp):
    """Uploads, results of runs, and all you put into files/ in your home folder."""

    menu_icon, menu_place, order = "▤", 40, "-id"
    file: File
    tags: list[str] = []

    @property
    def folder(self) -> str:
        home = self.table.db.path.parent / "files"
        said = self.follow("file").path.parent.relative_to(home).as_posix().strip(".")
        return "uploads" if said.startswith("uploads/") else said

    @property
    def bytes(self) -> int:
        return self.follow("file").path.stat().st_size

    @property
    def changed(self) -> datetime:
        return datetime.fromtimestamp(int(self.follow("file").path.stat().st_mtime)).astimezone()

    @classmethod
    def before_list(cls, table, files):
        come, gone = files(row.file for row in table())
        for file in come:
            table.insert(file=file)
        for row in table() if gone else ():
            if row.file in gone:
                table.delete(row.id)

    def deleted(self):
        self.put_away("file")
