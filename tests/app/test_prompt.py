from hypothesis import given
from hypothesis import strategies as st

from app.followup import Turn
from app.prompt import Reading, conversation, cut_after_passages, pack, with_documents
from app.types import RetrievedPassage


def passage(text, document="d1", title=""):
    return RetrievedPassage("p", document, "a.txt", title, text, None, 0, len(text), 1.0, {})


ONE, TWO = passage("The first words.", "d1", "First"), passage("The second words.", "d2")


def test_passages_are_packed_in_order_while_they_fit():
    long = passage("x" * 100)
    assert pack([ONE, long, TWO], len, 40) == (ONE, TWO)
    assert pack([ONE, TWO], len, 0) == ()


def test_the_question_is_last():
    reading = Reading("Why?", (ONE, TWO), (Turn("Who?", "She."),))
    assert [m["content"] for m in conversation(reading)] == ["Who?", "She.", "Why?"]
    messages = with_documents(reading)
    assert messages[0]["role"] == "system"
    assert "[1] First\nThe first words." in messages[0]["content"]
    assert messages[-1] == {"role": "user", "content": "Why?"}


def test_a_prompt_is_cut_behind_each_passage():
    rendered = "<s>Read: The first words.</d> The second words.</d> Question: why?"
    segments = cut_after_passages(rendered, [ONE, TWO])
    assert [s.text for s in segments] == [
        "<s>Read: ",
        "The first words.",
        "</d> The second words.",
        "</d> Question: why?",
    ]
    assert [s.tag for s in segments] == [None, "d1", "d2", None]


@given(st.lists(st.text(min_size=1, max_size=9), max_size=4), st.text(max_size=9))
def test_nothing_is_lost_by_cutting(texts, glue):
    rendered = glue + glue.join(texts) + glue
    segments = cut_after_passages(rendered, [passage(text) for text in texts])
    assert "".join(segment.text for segment in segments) == rendered
