from app.answering.followup import Turn
from app.answering.prompt import Reading, messages_with_documents, pack, question_text
from app.types import RetrievedPassage


def passage(text: str, document: str = "d1", title: str = "") -> RetrievedPassage:
    return RetrievedPassage("p", document, "a.txt", title, text, None, 0, len(text), 1.0, {})


ONE, TWO = passage("The first words.", "d1", "First"), passage("The second words.", "d2")


def test_passages_are_packed_in_order_while_they_fit():
    assert pack([ONE, passage("x" * 100), TWO], [16, 100, 17], 40) == (ONE, TWO)
    assert pack([ONE, TWO], [1, 1], 0) == ()


def test_the_question_is_last():
    messages = messages_with_documents(Reading("Why?", (ONE, TWO)))
    assert "[1] First\nThe first words.\n\n[2] The second words." in messages[0]["content"]
    assert messages[-1] == {"role": "user", "content": "Why?"}


def test_earlier_turns_stand_before_the_question_and_behind_the_passages():
    reading = Reading("Why?", (ONE,), (Turn("Who?", "She."),))
    assert question_text(reading) == "Question: Who?\nAnswer: She.\n\nQuestion: Why?"
    alone = messages_with_documents(Reading("Why?", (ONE,)))
    assert messages_with_documents(reading)[0] == alone[0]
