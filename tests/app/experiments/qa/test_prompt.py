"""The paper's prompt word for word, and how prompts lose words."""

from app.answering.prompt import Reading
from app.experiments.qa.prompt import chat_messages, document_messages, paper_parts, shortened
from app.types import RetrievedPassage


def passage(text, title=""):
    return RetrievedPassage("p", "d", "", title, text, None, 0, len(text), 0.0, {})


BRIDGE, MILL = passage("It opened in 1911. ", "Bridge"), passage("It is old.")


def paper(*passages, question="When did it open"):
    return "".join(paper_parts(Reading(question, passages)))


def test_the_papers_prompts():
    assert paper() == "Answer these questions:\nQ: when did it open?\nA:"
    assert paper(BRIDGE) == (
        "Bridge\n\nIt opened in 1911.\n\n"
        "Based on this text, answer these questions:\nQ: when did it open?\nA:"
    )
    assert paper(BRIDGE, MILL, question="Why?") == (
        "Bridge\n\nIt opened in 1911.\n\nIt is old.\n\n"
        "Based on these texts, answer these questions:\nQ: why?\nA:"
    )


def test_pieces_are_tokenised_as_the_whole(jamba_folder):
    from jamba.tokens.chat import load_tokenizer

    tokenizer = load_tokenizer(jamba_folder)
    pieces = paper_parts(Reading("Why?", (BRIDGE, MILL, passage("Two\nlines."))))
    apart = [id for piece in pieces for id in tokenizer.encode(piece)]
    assert apart == tokenizer.encode("".join(pieces))


def test_a_closed_book_does_not_ask_for_documents():
    for said in (chat_messages(Reading("Why?", ())), document_messages(Reading("Why?", ()))):
        assert "document" not in said[0]["content"].lower()
    assert "[1] It is old." in chat_messages(Reading("Why?", (MILL,)))[0]["content"]


def words(reading):
    """A length in words, with ten for the frame."""
    return 10 + len(reading.question.split()) + sum(len(p.text.split()) for p in reading.passages)


def test_a_long_prompt_loses_the_end_of_its_last_passages():
    texts = tuple(passage(" ".join(f"{name}{n}" for n in range(40))) for name in "abc")
    whole = Reading("one two", texts)
    assert shortened(whole, words, 132) == whole
    for limit in (131, 100, 60, 30, 13):
        cut = shortened(whole, words, limit)
        assert limit - 16 <= words(cut) <= limit
        assert cut.question == whole.question
        for ours, theirs in zip(cut.passages, texts, strict=False):
            assert theirs.text.startswith(ours.text)
        assert all(ours == theirs for ours, theirs in zip(cut.passages[:-1], texts, strict=False))
    assert shortened(whole, words, 12).passages == ()
    longer = Reading("one two three four", texts)  # is cut where the other is: the states serve it
    assert shortened(longer, words, 60).passages == shortened(whole, words, 60).passages
    assert shortened(whole, words, 11) is None
