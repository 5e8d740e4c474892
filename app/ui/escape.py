"""The only way to make HTML on the page: literal templates, with every value escaped."""

import re
from collections.abc import Iterable
from typing import LiteralString

from markupsafe import Markup

Html = Markup  # HTML that is safe to show; every other str is text and will be escaped

# Control characters hide things; direction overrides make "gpj.exe" read "exe.jpg".
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def html(template: LiteralString, **values: object) -> Html:
    """Fill `{name}` places of a literal template; values that are not `Html` are escaped.

    Text is safe between tags and inside double-quoted attributes, nowhere else.
    """
    return Markup(template).format(**{name: _safe(value) for name, value in values.items()})


def join(parts: Iterable[Html], separator: Html | None = None) -> Html:
    """Put pieces of HTML one after the other; a piece that is text is escaped."""
    return (Markup() if separator is None else separator).join(map(_safe, parts))


def visible(value: object) -> str:
    """`value` as text without control characters and overrides; new lines and tabs stay."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", str(value))


def _safe(value: object) -> str:
    return value if isinstance(value, Markup) else visible(value)
