import pytest

from app.answering.words import is_content, stem, stems, words


@pytest.mark.parametrize(
    ("one", "other"),
    [("opened", "opening"), ("cities", "city"), ("renews", "renewed"), ("bridge's", "Bridge")],
)
def test_forms_of_a_word_meet(one, other):
    assert stem(one) == stem(other)


def test_numbers_and_short_words_stay_whole():
    assert [stem(word) for word in ("1911s", "as", "bed")] == ["1911s", "as", "bed"]
    assert words("3.4 million, (it's) e-mail") == ["3.4", "million", "it's", "e", "mail"]


def test_content_words():
    assert stems("When was the bridge opened?") == {"bridg", "open"}
    assert is_content("7")
    assert not is_content("x")
    assert (is_content("May"), is_content("may")) == (True, False)
