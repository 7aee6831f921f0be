"""Files over HTTP: by number and profile alone; shown only as what cannot run, else downloaded."""

import pytest

PAGE = b"<script>alert(1)</script>"
KINDS = {
    "a.png": "image/png",
    "a.JPG": "image/jpeg",
    "a.gif": "image/gif",
    "a.webp": "image/webp",
    "a.txt": "text/plain; charset=utf-8",
    "a.csv": "text/plain; charset=utf-8",
    "a.html": "",
    "a.svg": "",
    "a.xml": "",
    "a.pdf": "",
    "a.js": "",
    "a.txt.html": "",
    "a": "",
}


@pytest.fixture
def upload(serve):
    """upload(name): the address of a file whose content is a page with a script."""

    def uploading(name, profile="default"):
        answer = serve.client.put(f"/files/{profile}", params={"name": name}, content=PAGE)
        return f"/files/{profile}/{answer.text.removeprefix('file:')}"

    return uploading


def test_only_pictures_and_plain_text_are_shown_and_nothing_in_them_runs(serve, upload):
    for name, kind in KINDS.items():
        answer = serve.client.get(upload(name) + "/view")
        assert answer.status_code == 200 and answer.content == PAGE
        way, type_said = answer.headers["content-disposition"], answer.headers["content-type"]
        assert (
            (way.split(";")[0], type_said) == ("inline", kind) if kind else way[:10] == "attachment"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        rules = answer.headers.get_list("content-security-policy")
        assert "sandbox" in rules and any("object-src 'none'" in rule for rule in rules)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("tail", ["", "/view"])
def test_a_download_is_never_shown(serve, upload, tail):
    name = "a.png" if not tail else "a.html"
    answer = serve.client.get(upload(name) + tail)
    assert answer.headers["content-disposition"].startswith("attachment")


def test_another_profiles_file_and_one_that_is_not_there_are_missing(serve, upload):
    serve.client.post("/default/call/profile_add", data={"name": "Other"})
    other = upload("secret.txt", "other")
    for address in (other.replace("other", "default"), "/files/default/99", "/files/nobody/1"):
        for tail in ("", "/view"):
            assert serve.client.get(address + tail).status_code == 404


@pytest.mark.parametrize(
    "path", ["..%2f..%2fpipulate.db", "uploads", "1%2f..%2f2", "../../pipulate.db", "-1", "1.txt"]
)
def test_nothing_is_served_by_its_path(serve, upload, path):
    upload("a.txt")
    for tail in ("", "/view"):
        answer = serve.client.get(f"/files/default/{path}{tail}")
        assert answer.status_code == 404 and b"SQLite" not in answer.content
