"""Nothing a document says becomes markup, and nothing in app/ui makes HTML another way."""

import ast
from pathlib import Path

import pytest

from app.ui.escape import Html, html, join

UI = Path(__file__).parents[3] / "app" / "ui"

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)",
    "</textarea></title><svg onload=alert(1)>",
    "&lt;script&gt;",
    "{0.__class__} {text} ${alert(1)} {{value}}",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_values_are_text(text):
    made = html('<p title="{text}">{text}</p>', text=text)
    inside = made.removeprefix('<p title="').removesuffix("</p>")
    assert not set("<>") & set(inside.replace('">', "", 1))
    assert inside.count('"') == 1  # only the one that ends the attribute
    assert "'" not in inside


def test_html_is_not_escaped_twice():
    assert html("<b>{inner}</b>", inner=html("<i>{x}</i>", x="&")) == "<b><i>&amp;</i></b>"
    assert join([html("<i></i>"), "<x>"]) == "<i></i>&lt;x&gt;"
    assert isinstance(join([]), Html)


def test_direction_overrides_and_controls_are_shown_as_replacement():
    assert html("{x}", x="a\u202eb\x00c\nd\te") == "a\ufffdb\ufffdc\nd\te"
    assert join(["a\u202eb"]) == "a\ufffdb"


def calls(tree, names):
    """Calls of a plain name in `names`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


@pytest.mark.parametrize("path", sorted(UI.glob("*.py")), ids=lambda path: path.name)
def test_html_is_made_from_literal_templates_only(path):
    """`html(...)` gets a literal; nobody else calls Markup or writes tags in an f-string."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for call in calls(tree, {"html"}):
        assert isinstance(call.args[0], ast.Constant), f"{path.name}:{call.lineno}"
    if path.name == "escape.py":
        return
    made = [call for call in calls(tree, {"Markup", "Html"}) if call.args]
    assert not made, "HTML made without escaping"
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            literal = [part.value for part in node.values if isinstance(part, ast.Constant)]
            assert "<" not in "".join(literal), f"{path.name}:{node.lineno}"
