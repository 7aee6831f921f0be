"""What is kept of Botify: how old a list is, which service is meant."""

from datetime import UTC, datetime, timedelta

import pytest

from pipulate.botify.account import Account, age, demo_service


@pytest.mark.parametrize(
    ("past", "words"),
    [
        ({"seconds": 5}, "just now"),
        ({"seconds": -5}, "just now"),
        ({"minutes": 1}, "1 minute ago"),
        ({"minutes": 59}, "59 minutes ago"),
        ({"hours": 2}, "2 hours ago"),
        ({"days": 3}, "3 days ago"),
    ],
)
def test_an_age_is_told_in_words(past, words):
    assert age((datetime.now(UTC) - timedelta(**past)).isoformat()) == words


def test_a_profile_in_the_demo_never_uses_the_token(connected, service):
    table = connected.settings_of("1").store
    assert Account(table).connection().token == service.token
    Account(table).own["botify_demo"] = True
    shown = Account(table).connection()
    assert shown.demo and shown.token != service.token and shown.url == demo_service().url


def test_the_settings_list_hides_the_token(connected, service):
    kept = Account(connected.settings_of("1").store).kept
    assert service.token not in str(dict(kept.items())) and kept["token"] == service.token
