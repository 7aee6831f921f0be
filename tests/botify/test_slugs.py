"""Botify addresses: every form that people paste, and the reason why others are refused."""

import pytest

from pipulate import Problem
from pipulate.botify.slugs import API, APP, Site, crawl_date, newest_first, read_address

SHOP = Site("acme-org", "acme-shop")
FIRST, SECOND = (Site("acme-org", "acme-shop", f"20250314{more}") for more in ("", "-2"))
DOTTED = Site("jane.roe", "shop.example.com", "20250314-13")


@pytest.mark.parametrize(
    ("text", "site"),
    [
        (f"https://{APP}/acme-org/acme-shop", SHOP),
        (f"https://{APP}/acme-org/acme-shop/", SHOP),
        (f"  http://{APP}/acme-org/acme-shop/keywords/explorer?x=1#top \n", SHOP),
        (f"{APP}/acme-org/acme-shop?context=%7B%22a%2Fb%22%7D", SHOP),
        (f"HTTPS://{APP.upper()}/acme-org/acme-shop", SHOP),
        (f"https://{APP}/acme-org/acme-shop/20250314/overview", FIRST),
        (f"https://{APP}/acme-org/acme-shop/20250314-2", SECOND),
        (f"https://{APP}/jane.roe/shop.example.com/20250314-13/", DOTTED),
        (f"https://{API}/v1/projects/acme-org/acme-shop/query?size=1", SHOP),
        (f"https://{API}/v1/analyses/acme-org/acme-shop/20250314-2/light", SECOND),
        (f"https://{APP}/api/v1/projects/acme-org/acme-shop/collections", SHOP),
        (f"//{APP}/acme-org/acme-shop", SHOP),
        ("acme-org/acme-shop", SHOP),
        ("acme-org/acme-shop/20250314", FIRST),
    ],
)  # fmt: skip
def test_an_address_names_owner_project_and_analysis(text, site):
    assert read_address(text) == site


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "No address"),
        ("acme-org", "names no project"),
        (f"https://{APP}/", "names no project"),
        (f"https://{APP}/account", "own page 'account'"),
        (f"https://{APP}/login?next=/acme-org/acme-shop", "own page 'login'"),
        (f"https://{API}/v1/jobs/70412", "API names no project"),
        (f"https://{API}/v1/users/jane.roe/projects", "API names no project"),
        ("https://www.acme.test/shop/shoes", "an address of www.acme.test"),
        (f"https://{APP}.evil.test/acme-org/acme-shop", "an address of"),
        (f"https://{APP}@evil.test/acme-org/acme-shop", "no plain web address"),
        (f"https://{APP}:8443/acme-org/acme-shop", "an address of"),
        (f"https://{APP}:port/acme-org/acme-shop", "cannot be read"),
        (f"ftp://{APP}/acme-org/acme-shop", "no plain web address"),
        ("javascript:alert(1)/x", "no web address"),
        ("https://[half/acme-org/acme-shop", "cannot be read"),
        (f"https://{APP}/acme-org/..", "cannot be the name"),
        (f"https://{APP}/acme-org/a%2Fb", "cannot be the name"),
        (f"https://{APP}/<b>/acme-shop", "cannot be the name"),
        ("acme-org/acme shop", "no single address"),
        ("a/b\na/c", "no single address"),
        ("x" * 3_000, "no single address"),
        ("acme-org/acme-shop/20251399", "no analysis"),
    ],
)
def test_what_is_no_address_of_a_project_is_refused_with_the_reason(text, why):
    with pytest.raises(Problem) as refused:
        read_address(text)
    assert why in refused.value.what and refused.value.next_step


def test_analyses_of_one_day_are_told_apart_and_sorted():
    slugs = ["20250314", "20250314-2", "20250314-10", "20250101"]
    assert sorted(slugs, key=newest_first, reverse=True) == [
        *("20250314-10", "20250314-2", "20250314", "20250101")
    ]
    assert crawl_date("20250314-10").isoformat() == "2025-03-14"
