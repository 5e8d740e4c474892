"""A spreadsheet's values as a person sees them in their cells. Pure."""

import datetime as dt
import math
import re
from decimal import ROUND_HALF_UP, Decimal

_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.')
_CURRENCY = re.compile(r"\[\$([^\]-]*)[^\]]*\]|([$€£¥])")


def shown(value: object, number_format: str) -> str:
    """The text of a cell's value: dates in ISO form, numbers with the digits of their format."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.datetime():
            return value.isoformat(sep=" ", timespec="minutes")
        case dt.time():
            return value.isoformat(timespec="minutes")
        case int() | float():
            return _number(value, number_format)
        case _:
            return str(value)


def _number(value: int | float, number_format: str) -> str:
    positive = _first_section(number_format)
    sign = _currency(positive)
    digits = _QUOTED.sub("", _CURRENCY.sub("", positive))
    if not math.isfinite(value) or "E+" in digits.upper() or not re.search(r"[0#]", digits):
        text = f"{value:.10g}"
    else:
        percent = "%" in digits
        places = len(re.sub(r"[^0#?]", "", digits.partition(".")[2]))
        group = "," if re.search(r"[#0],[#0]", digits) else ""
        exact = Decimal(repr(value)) * (100 if percent else 1)
        rounded = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
        text = f"{rounded:{group}f}" + ("%" if percent else "")
    return f"-{sign}{text[1:]}" if text.startswith("-") else f"{sign}{text}"


def _first_section(number_format: str) -> str:
    return number_format.partition(";")[0]


def _currency(number_format: str) -> str:
    match = _CURRENCY.search(number_format)
    return (match.group(1) or match.group(2) or "").strip() if match else ""
