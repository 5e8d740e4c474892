"""Values as a person sees them in a sheet."""

import datetime as dt

import pytest

from retrieval.parse.shown import shown


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (None, "General", ""),
        (True, "General", "TRUE"),
        ("text", "@", "text"),
        (12, "General", "12"),
        (0.1 + 0.2, "General", "0.3"),
        (1234567.891, "#,##0.00", "1,234,567.89"),
        (0.125, "0.0%", "12.5%"),
        (1234.5, '"$"#,##0', "$1,235"),
        (1234.5, "[$€-407]#,##0.00", "€1,234.50"),
        (-5, "$#,##0.00;[Red]-$#,##0.00", "-$5.00"),
        (6.02e23, "0.00E+00", "6.02e+23"),
        (dt.datetime(2024, 3, 1), "m/d/yy", "2024-03-01"),
        (dt.datetime(2024, 3, 1, 9, 30), "m/d/yy h:mm", "2024-03-01 09:30"),
        (dt.time(9, 30), "h:mm", "09:30"),
    ],
)
def test_shown(value, number_format, text):
    assert shown(value, number_format) == text
