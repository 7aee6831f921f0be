"""Fetching a file over real HTTP: whole, resumed, without a token; and what may go wrong."""

import errno
import random

import pytest

from pipulate import Problem
from pipulate.botify import download
from pipulate.botify.download import Download
from pipulate.botify.stand_in import Job

CONTENT = random.Random(1).randbytes(50_000)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)


@pytest.fixture
def at(service):
    """at(link): the address of a file of 50,000 bytes; its nth link."""
    service.jobs.append(Job(1, {}, [], 0, "DONE", CONTENT))
    return lambda link=1: f"{service.files}/signed/1/{link}/x.gz"


@pytest.fixture
def fetch(tmp_path, at, service):
    """fetch(): the bytes that came, and the tags that were kept meanwhile."""

    def fetching(link=None, part=tmp_path / "x.part", tag="", renew=lambda: at(2)):
        tags = []
        getting = Download(part, tag, lambda done, total: None)
        size = getting.fetch(link or at(), tags.append, renew)
        assert size == part.stat().st_size
        return part.read_bytes(), tags

    return fetching


def ranges(service):
    return [r["headers"].get("range", "") for r in service.seen if r["origin"] == "files"]


def test_a_file_comes_whole_and_nothing_of_the_account_goes_out(fetch, service):
    assert fetch() == (CONTENT, ['"1-50000"'])
    assert all("authorization" not in seen["headers"] for seen in service.seen)


def test_a_file_of_the_demo_is_fetched_past_a_proxy_of_the_environment(fetch, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch()[0] == CONTENT


def test_what_breaks_off_goes_on_where_it_stopped(fetch, service):
    service.form.resets = (8_192, 16_384)
    assert fetch()[0] == CONTENT
    first, second, third = ranges(service)
    assert first == "" and second.startswith("bytes=") and third.startswith("bytes=")
    assert int(third[6:-1]) > int(second[6:-1]) > 0


def test_of_a_server_that_failed_it_was_said_that_the_file_ended_too_early(fetch, service):
    service.fault("GET /signed", "502", times=99)
    with pytest.raises(Problem, match="answered with 502"):
        fetch()


def test_what_an_earlier_try_has_left_is_used(fetch, service, tmp_path):
    (tmp_path / "x.part").write_bytes(CONTENT[:20_000])
    assert fetch(tag='"1-50000"')[0] == CONTENT
    assert ranges(service) == ["bytes=20000-"]


def test_another_version_begins_anew(fetch, tmp_path):
    (tmp_path / "x.part").write_bytes(b"old" * 100)
    assert fetch(tag='"other"')[0] == CONTENT


def test_without_a_tag_nothing_is_put_together(fetch, service, tmp_path):
    (tmp_path / "x.part").write_bytes(b"old" * 100)
    service.form.etag = False
    assert fetch()[0] == CONTENT
    assert ranges(service) == [""]


def test_a_server_that_knows_no_ranges_sends_all_again(fetch, service):
    service.form.ranges, service.form.resets = False, (8_192,)
    assert fetch()[0] == CONTENT


def test_a_file_that_was_whole_already_is_not_fetched_again(fetch, service, tmp_path):
    (tmp_path / "x.part").write_bytes(CONTENT)
    assert fetch(tag='"1-50000"')[0] == CONTENT
    assert len(ranges(service)) == 1


def test_a_file_without_a_length_comes_whole(fetch, service):
    service.form.length = False
    assert fetch()[0] == CONTENT


def test_a_download_that_stays_short_is_no_file(fetch, service, tmp_path):
    service.form.short = 100
    with pytest.raises(Problem, match="cannot be fetched") as problem:
        fetch()
    assert "goes on" in problem.value.next_step


@pytest.mark.parametrize("kind", ["500", "502", "reset"])
def test_a_server_that_stumbles_is_asked_again(fetch, service, kind):
    service.fault("signed", kind, times=3)
    assert fetch()[0] == CONTENT
    service.fault("signed", kind, times=99)
    with pytest.raises(Problem, match="cannot be fetched"):
        fetch(tag='"never"')


def test_a_server_that_is_too_busy_is_asked_again(fetch, service):
    service.fault("signed", "429", times=2)
    assert fetch()[0] == CONTENT


def test_a_link_that_has_expired_is_renewed_once(fetch, service):
    service.form.expired = 1
    assert fetch()[0] == CONTENT
    service.form.expired = 9
    with pytest.raises(Problem, match="not valid any more"):
        fetch(tag='"never"')


def test_a_redirect_is_followed_and_one_in_circles_is_not(fetch, service):
    service.form.redirect = "once"
    assert fetch()[0] == CONTENT
    service.form.redirect = "loop"
    with pytest.raises(Problem, match="in circles") as problem:
        fetch()
    assert "Run this step again" in problem.value.next_step, "an export costs credits"
    assert all("authorization" not in seen["headers"] for seen in service.seen)


def test_a_full_disk_is_told_and_what_came_stays(fetch, monkeypatch, tmp_path):
    def full(self, answer, have):
        self.part.write_bytes(CONTENT[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Download, "_written", full)
        with pytest.raises(Problem, match="disk is full: [0-9,]+ bytes are free") as problem:
            fetch()
    assert "goes on" in problem.value.next_step
    assert fetch(tag='"1-50000"')[0] == CONTENT


def test_an_address_that_is_none_is_told(fetch):
    with pytest.raises(Problem):
        fetch("http://[half")
