"""Files: what lies in files/ in the home, to look at, add, tag, find and throw away."""

from datetime import datetime

from pipulate import CrudApp, File


class Files(CrudApp):
    """Uploads, results of runs, and all you put into files/ in your home folder."""

    menu_icon, menu_place = "▤", 40
    file: File
    tags: list[str] = []

    @property
    def folder(self) -> str:
        folder = self.follow("file").path.parent
        return folder.relative_to(self.table.db.path.parent / "files").as_posix().strip(".")

    @property
    def bytes(self) -> int:
        return self.follow("file").path.stat().st_size

    @property
    def changed(self) -> datetime:
        return datetime.fromtimestamp(self.follow("file").path.stat().st_mtime).astimezone()

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
