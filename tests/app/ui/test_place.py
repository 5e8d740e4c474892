"""The page's address names the collection and the chat."""

import pytest

from app.ui.place import Place, number


@pytest.mark.parametrize("place", [Place(), Place(3), Place(3, 14)])
def test_an_address_leads_back(place):
    pairs = [pair.split("=") for pair in place.address().lstrip("?").split("&") if pair]
    assert Place.read(dict(pairs)) == place


@pytest.mark.parametrize("text", [None, "", "-1", "1e3", "٣", "<b>", "9" * 20, "1 or 1=1"])
def test_what_is_no_number_is_nowhere(text):
    assert number(text) is None
