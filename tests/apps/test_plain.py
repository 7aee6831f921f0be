"""A class without fields: its pages and tools, on the settings of the profile."""

import pytest

NOTEPAD = '''
from pipulate import CrudApp, DictLikeDB, tool

class Weather(CrudApp):
    """What it is like outside."""
    plural = "weather"

    @staticmethod
    @tool(kind="read")
    async def now(table, caller, where: str = "here"):
        """Now."""
        return f"{DictLikeDB(table).get('sky')} {where}, says {caller.actor}"

    @staticmethod
    @tool
    def set(table, caller, sky: str):
        """Set it."""
        DictLikeDB(table)["sky"] = sky

@Weather.rt("/", methods=["GET"])
async def page(table, profile, caller, where: str = "here"):
    return f"{await Weather.now(table, caller, where)} in {profile.name} <b>"
'''


@pytest.fixture
def weather(plugin, house):
    assert plugin(NOTEPAD).problem is None
    return house.shelf.get("weather")


def test_its_tools_work_on_the_settings_of_the_profile_plain_and_async(weather, call, house):
    call("profile_add", name="Other")
    call("weather_set", sky="blue")
    assert call("weather_now", "mcp", where="there") == "blue there, says mcp"
    assert call("weather_now", at="other") == "None here, says user"
    assert house.settings_of(str(house.profiles.at().id))["sky"] == "blue"


def test_its_tools_are_listed_as_all_are(weather, house):
    tools = {tool["name"]: tool for tool in house.tools.listing()}
    assert tools["weather_now"]["class"] == "read"
    assert [*tools["weather_set"]["schema"]["properties"]] == ["sky"]
    assert not [
        name for name in tools if name.startswith("weather_") and name[8:] in ("add", "list")
    ]
    assert ("weather", "app") in [(row["name"], row["kind"]) for row in house.shelf.listing()]


def test_its_pages_are_those_it_has(serve, until):
    (serve.home / "apps/weather.py").write_text(NOTEPAD)
    page = until(lambda: (got := serve.client.get("/default/weather?where=up")).is_success and got)
    assert "None up, says user in Default &lt;b&gt;" in page.text
    assert serve.client.get("/default/weather/1").status_code == 404


def test_without_a_docstring_it_is_not_described_as_the_base_class_is(plugin):
    source = NOTEPAD.replace('    """What it is like outside."""\n', "")
    assert plugin(source).apps[0].description == ""


def test_a_class_with_nothing_at_all_is_refused(plugin):
    problem = plugin(
        "from pipulate import CrudApp\nclass Empty(CrudApp):\n    title = ''\n"
    ).problem
    assert "has no fields" in problem.what
