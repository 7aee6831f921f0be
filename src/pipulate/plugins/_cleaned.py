"""HTML that code drew which nobody has approved: what of it may stand on a page of ours.

Nothing that runs, no address but those of the preview, no name by which the page knows a part of
its own. What acts must be spelled exactly as below, all else is left out.
"""

import json
import re
from functools import partial
from urllib.parse import quote, unquote

TAGS = """a article aside b button caption code dd del details dl div dt em fieldset figure footer
form h1 h2 h3 h4 header hr i img input ins label legend li main mark meter nav ol option p pre
progress section select small span strong sub summary sup table tbody td textarea tfoot th thead
time tr u ul"""
SHOWN = "class type value placeholder checked selected open rows colspan hidden"
LOOKS = {' id="bulk"': " hidden", ' id="state"': ' class="inline"'}  # as in a list that acts

MORE = "datalist figcaption output blockquote svg text rect"  # tags of a page that acts
# Attributes without a way to act; those of pictures are numbers and words.
PLAIN = """role title scope tabindex min max step maxlength inputmode autofocus novalidate required
disabled readonly multiple rowspan cols name aria-label aria-live aria-sort aria-invalid
aria-current data-label data-value data-sort data-order data-filter data-every data-ticked
data-column data-columns data-next data-close hx-confirm
viewBox x y width height rx text-anchor"""
# Names that style and script know of a list; all others get a word before them, so that none is
# a name of the page itself.
OURS = "listing rows add state kept again count found bulk bulk-value views"
WORD = "[A-Za-z][A-Za-z0-9_-]{0,80}"
EVENT = "click|submit|change|input|keyup|search|load|revealed|toggle|focusout|every [1-9]\\d*s"
TRIGGER = rf"({EVENT})( (once|changed|(delay|throttle):\d+m?s))*"
SWAP = "innerHTML|outerHTML|beforebegin|afterbegin|beforeend|afterend|delete|none"
NEAR = "tr|td|li|ul|p|form|label|article|tbody|details|fieldset"
SAFE = {
    "hx-trigger": rf"{TRIGGER}(, ?{TRIGGER})*",
    "hx-swap": rf"{SWAP}|morph(:innerHTML|:outerHTML)?",
    "hx-sync": r"(this|closest \w+):(drop|abort|replace|queue( first| last| all)?)",
    "hx-params": r"none|\w[\w.,-]*",
    "hx-push-url": "true|false",
    "hx-ext": "morph",
    "autocomplete": "off|new-password",
}
ADDRESSES = "href action hx-get hx-post hx-put hx-patch hx-delete data-sortable data-options"
NAMES, AIMS = "id for form list", "hx-target hx-include"
FIELDS = "input select textarea button"  # only they have a name: no form or picture hides ours
ASKED = "?&=%+,;:@!$()*/"  # stand in the part of an address behind "?" as they are
WRAPS = {"<tr": ("<table><tbody>", "</tbody></table>"), "<tbody": ("<table>", "</table>")}


def still(text):
    """A page as a picture: nothing in it acts, no address is asked."""
    import nh3

    for mark, look in LOOKS.items():
        text = text.replace(mark, look)
    allowed = {"*": {*SHOWN.split()}}
    return nh3.clean(text, tags={*TAGS.split()}, attributes=allowed, url_schemes=set())


def live(text, profile, at):
    """A part of a page that acts below `at` alone, where /{profile}/ of the draft is."""
    import nh3

    allowed = {*f"{SHOWN} {PLAIN} {ADDRESSES} {NAMES} {AIMS} hx-vals hx-swap-oob".split(), *SAFE}
    head, tail = next((w for tag, w in WRAPS.items() if text.startswith(tag)), ("", ""))
    clean = nh3.clean(
        head + text + tail,  # a row without its table would be none
        tags={*TAGS.split(), *MORE.split()},
        attributes={"*": allowed - {"name"}} | {tag: {"name"} for tag in FIELDS.split()},
        attribute_filter=partial(meant, profile=profile, at=at),
        url_schemes=set(),
        link_rel=None,
    )
    inner = clean.startswith(head) and clean.endswith(tail)
    return clean[len(head) : len(clean) - len(tail)] if inner else clean


def meant(tag, name, value, *, profile, at):
    """What becomes of an attribute; None: it is left out."""
    if name in ADDRESSES.split():
        return address(value, profile, at, name)
    if name in SAFE:
        return value if re.fullmatch(SAFE[name], value) else None
    if name in NAMES.split():
        return known(value)
    if name in AIMS.split():
        return aim(value)
    if name == "hx-vals":
        return values(value)
    if name == "hx-swap-oob":
        return elsewhere(value)
    return value


def address(value, profile="", at="", name="href"):
    """An address of an app, with its profile or bare, as one below `at`; one of this page stays.

    None for all others. So whatever is meant is asked of the preview, and of nobody else."""
    if value == "" or (name == "href" and re.fullmatch(r"\?[^#\s]*", value)):
        return value if name in ("hx-get", "href") else None
    path = r"((?:/[A-Za-z0-9_*~.:%+-]+)+)(\?[^#\s]*)?(#.*)?"
    found = re.fullmatch(f"(?:/{re.escape(profile)}(?=/))?{path}", value)
    if not found or any(set(unquote(part)) <= {"."} for part in found[1].split("/")[1:]):
        return None
    if name == "data-options" and not re.search(r"/options/\w+$", found[1]):
        return None
    return at + found[1] + quote(found[2] or "", safe=ASKED)


def known(value):
    """A name for an element that no part of the page itself has."""
    if not re.fullmatch(WORD, value):
        return None
    return value if value in OURS.split() else f"try-{value}"


def aim(value):
    """What an answer replaces, or a request takes along: within the preview."""
    if found := re.fullmatch(f"#({WORD})", value):
        return f"#{known(found[1])}"
    return value if re.fullmatch(rf"this|closest ({NEAR})|find [a-z0-9]+", value) else None


def elsewhere(value):
    """Where a part of an answer goes by itself; a new notice takes the place of the last one."""
    if value == "true":
        return value
    found = re.fullmatch(f"({SWAP}):#({WORD})", value)
    if not found:
        return None
    return "innerHTML:#try-notices" if found[2] == "notices" else f"{found[1]}:#{known(found[2])}"


def values(value):
    """What a click sends along, as JSON: no expression."""
    try:
        given = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return json.dumps(given) if isinstance(given, dict) else None
