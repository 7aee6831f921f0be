"""The script of every page: nothing that the content policy forbids."""

from pipulate.web.script import SCRIPT


def test_the_script_uses_nothing_that_the_policy_forbids():
    for word in (
        "eval(",
        "new Function",
        "innerHTML",
        "document.write",
        "setTimeout('",
        "insertAdjacentHTML",
    ):
        assert word not in SCRIPT, word
