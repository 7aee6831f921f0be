"""Hello: a pipeline of three steps, the last one slow on purpose."""

from typing import Literal

from pipulate import Pipeline

hello = Pipeline("Hello", "Greets somebody, then counts the letters.")


@hello.step
def person(name: str):
    """Who shall be greeted?"""
    return name.strip()


@hello.step
def greeting(person, mark: Literal["!", "."] = "!"):
    """How shall the greeting end?"""
    return f"Hello, {person}{mark}"


@hello.step
async def letters(greeting, job):
    """Counts the letters, slowly."""
    for n, letter in enumerate(greeting, 1):
        await job.progress(n, len(greeting), f"at {letter!r}")
    return len(greeting)
