"""Builder, with a scripted model: from a wish to a file that has passed and waits for a yes."""

import json
import re

import pytest

from model_server import Reply
from pipulate.plugins.builder import block, free
from serving import hear

BAD = """```python
# apps/plants.py
from pipulate import CrudApp

class Plant(CrudApp):
    name str
```"""
PLANT = '''# apps/plants.py
"""Plants, and when they want water."""

from datetime import date

from pipulate import CrudApp, tool


class Plant(CrudApp):
    """Plants with watering dates."""

    name: str
    last_watered: date | None = None

    @tool
    def water(self):
        """Watered today."""
        self.table.update(id=self.id, last_watered=date.today())
'''
GOOD = f"Here it is:\n```python\n{PLANT}```\nEnjoy."
HEARD = 60  # seconds: a trial is a process of its own, on a machine that may be busy


@pytest.fixture(scope="module")
def server(talking):
    talking.client.timeout = HEARD
    talking.act("POST", "/default/assistant/remarks", {"value": "quiet"})
    return talking


def test_a_file_that_does_not_pass_goes_back_to_the_model_with_its_faults(server, model):
    model.requests.clear()
    model.script(BAD, GOOD)
    made = server.call("builder_run", wish="An app for my plants")["output"]
    assert (made["name"], made["tries"], made["problems"]) == ("plants", 2, [])
    first, second = ("".join(m["content"] for m in r["messages"]) for r in model.requests)
    assert "# Writing a plugin for Pipulate" in first and "An app for my plants" in first
    assert "line 5: invalid syntax" in second and "name str" in second
    assert (server.home / f"quarantine/plants/{made['hash']}.py").read_text() == PLANT
    assert not any((server.home / "apps").iterdir())


def test_a_model_that_never_gets_it_right_ends_with_what_is_wrong_and_where_to_mend_it(
    server, model
):
    model.script(*[f"{BAD}\n{n}" for n in range(4)])
    with pytest.raises(AssertionError, match="After 4 tries.*invalid syntax.*/default/plugins/"):
        server.call("builder_run", wish="An app that will not do")
    assert not any((server.home / "apps").iterdir())


def test_one_empty_answer_ended_the_build_and_resuming_it_only_said_the_same_again(server, model):
    model.script("", "Sorry.", "Sorry!", "```python\n```")
    with pytest.raises(AssertionError, match="After 4 tries") as failed:
        server.call("builder_run", wish="An app that comes late")
    run = int(re.search(r"'run': (\d+)", str(failed.value))[1])
    model.requests.clear()
    model.script(GOOD)
    assert server.call("builder_run", run=run)["output"]["tries"] == 1
    assert "In try 4 you wrote" in model.requests[0]["messages"][0]["content"]


def test_asked_in_the_chat_the_model_starts_the_builder_and_can_approve_nothing(server, model):
    wish = ("builder_run", {"wish": "make me an app for my plants"})
    model.script(Reply(tools=[wish]), GOOD, "Look at it and approve it.")
    with server.socket("/default") as tab:
        tab.send(
            json.dumps({"msg": "make me an app for my plants", "HEADERS": {"HX-Request": "true"}})
        )
        hear(tab, "Look at it and approve it.", HEARD)
    told = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "tool"][-1]
    output = json.loads(told)["output"]
    assert output["address"].startswith("/default/plugins/plants/")
    assert not any((server.home / "apps").iterdir())
    names = [tool["name"] for tool in server.call("tools")]
    assert [name for name in names if "approve" in name] == []


def test_a_change_gets_the_file_as_it_is_and_keeps_its_name(server, model):
    (server.home / "apps/pots.py").write_text(PLANT.replace("Plant", "Pot"))
    changed = PLANT.replace("Plant", "Pot").replace("name: str", 'name: str\n    size: str = ""')
    model.script(f"```python\n{changed}```")
    made = server.call("builder_run", wish="With sizes", plugin="pots")["output"]
    assert made["name"] == "pots" and made["problems"] == []
    assert "class Pot(CrudApp)" in model.requests[-1]["messages"][0]["content"]
    assert "size" not in (server.home / "apps/pots.py").read_text()
    with pytest.raises(AssertionError, match="no plugin 'pans'.*Yours: pots"):
        server.call("builder_run", wish="With lids", plugin="pans")


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Yes:\n```\na\n```\nor\n```py\nlonger one\n```", "longer one\n"),
        ("```python\ncut = 1", "cut = 1\n"),
        ("plain = 1", "plain = 1\n"),
    ],
)
def test_the_source_is_found_in_an_answer(answer, source):
    assert block(answer) == source


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("# apps/plants.py\n", "plants"),
        ("class WineBottle(CrudApp):", "winebottle"),
        ('p = Pipeline("Page audit", "x")', "page_audit"),
        ("nothing", "wish"),
        ("# apps/tasks.py\n", "tasks_2"),
        ("# apps/mine.py\n", "mine_2"),
        ("# apps/../../x.py\n", "wish"),
    ],
)
def test_a_new_file_gets_a_name_that_is_free(source, name):
    assert free(source, ["mine"]) == name
