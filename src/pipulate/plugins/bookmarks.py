"""Bookmarks: addresses worth going back to; their titles are fetched when asked for."""

from pipulate import CrudApp, Problem, Url, fetch, tool


class Bookmark(CrudApp):
    """Pages to come back to, with tags."""

    menu_icon, menu_place = "★", 30
    title: str = ""
    url: Url
    tags: list[str] = []

    def __str__(self):
        return self.title or self.url

    @tool(kind="outside")
    def fetch_title(self):
        """Read the page and take over its title."""
        page = fetch(self.url)
        if page.status != 200 or not page.title:
            raise Problem(f"{self.url} gave no title ({page.status}).", "Type one instead.")
        self.table.update(id=self.id, title=page.title[:300])
        return f"The title is “{page.title[:60]}”."
