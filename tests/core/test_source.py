"""The program's own text: complete, in reading order, with the user's plugins."""

from pipulate.core import source


def test_the_source_comes_in_reading_order_with_the_plugins_of_the_user_last(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    found = [*source.files(tmp_path)]
    layers = [*dict.fromkeys(name.split("/")[0] for name in found)]
    assert layers == [*source.ORDER, "home"]
    assert found[-1] == "home/apps/mine.py"
    package = {p.relative_to(source.PACKAGE).as_posix() for p in source.PACKAGE.rglob("*.py")}
    assert package <= {*found} and "plugins/contract.md" in found


def test_the_source_is_listed_where_a_wheel_has_put_the_manual_beside_it(tmp_path, monkeypatch):
    for name in ("core/a.py", "plugins/contract.md", "docs/README.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x = 1")
    monkeypatch.setattr(source, "PACKAGE", tmp_path)
    assert [*source.files(tmp_path / "apps")] == ["core/a.py", "plugins/contract.md"]


def test_a_token_is_about_four_characters():
    assert source.tokens("x" * 3_600) == 1_000
