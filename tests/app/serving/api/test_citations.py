"""What a citation opens: the words, the page, and nothing where they are gone."""

import pytest

from app.serving.service import Gone
from app.types import AnswerMode
from tests.app.serving.api.shelf import QUESTION, ask, shelf_id

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models


def test_free_answers_link_or_mark_each_sentence(service):
    answer = service.answer(shelf_id(service), QUESTION, mode=AnswerMode.FREE)
    assert answer.model is not None
    numbers = {citation.number for citation in answer.citations}
    assert all(set(sentence.citations) <= numbers for sentence in answer.sentences)


def test_a_citation_opens_on_its_words(http, service):
    cited = ask(http, service).json()["citations"][0]
    where = (shelf_id(service), cited["document_id"])
    view = service.view(*where, cited["start"], cited["end"], cited["page"])
    assert view.words == cited["text"]
    assert view.has_picture
    image = service.picture(*where, cited["page"], cited["start"], cited["end"])
    assert image.png.startswith(b"\x89PNG")
    assert image.boxes
    assert all(0 <= side <= 1 for box in image.boxes for side in box)


def test_words_that_are_not_there_are_gone(service):
    digest = service.library.documents(shelf_id(service))[0].digest
    for start, end in ((0, 0), (-5, 3), (0, 10**9)):
        with pytest.raises(Gone):
            service.view(shelf_id(service), digest, start, end, None)
    with pytest.raises(Gone, match="removed"):
        service.view(shelf_id(service), "0" * 64, 0, 1, None)


def test_the_page_shows_hostile_words_as_text(service):
    from app.ui import conversation, source

    where = shelf_id(service)
    answer = service.answer(where, "How much does the bell of Hathersby weigh?")
    cited = answer.citations[0]
    shown = conversation.turn(answer) + source.opened(
        service.view(where, cited.document_id, cited.start, cited.end, None)
    )
    assert "40 stone" in shown
    for markup in ("<script", "<img", "<b>"):
        assert markup not in shown
    assert "&lt;script&gt;" in shown
