"""Answers as HTML: citations, support, honesty, figures, and no markup of the documents' own."""

import re
from dataclasses import replace

import pytest

from app.types import (
    Answer,
    AnswerMode,
    CacheUse,
    Check,
    Checking,
    Citation,
    Outcome,
    RetrievedPassage,
    Sentence,
    Timings,
)
from app.ui import conversation
from retrieval.types import Part

PASSAGE = RetrievedPassage(
    passage_id="d1#0",
    document_id="d1",
    document="a <i>b</i>.pdf",
    title="A",
    text="The mill <script>x</script>\n\nwas built in 1788.",
    page=3,
    start=10,
    end=60,
    score=0.91234,
    parts={"bm25": Part(12.3456, 1)},
)
CITED = Citation(1, "d1#0", "d1", "a <i>b</i>.pdf", 3, 12, 40, "built in 1788")
ANSWER = Answer(
    question="When? <img src=x>",
    searched="When? <img src=x>",
    text="It was built in 1788.",
    mode=AnswerMode.QUOTE,
    sentences=(Sentence("It was built in 1788.", (1,)),),
    citations=(CITED,),
    passages=(PASSAGE,),
    timings=Timings(0.08, None, 0.51),
    cache=CacheUse(0, 0, "none"),
    model=None,
)


def test_a_citation_is_a_button_that_names_its_words():
    shown = conversation.turn(ANSWER)
    button = re.search(r'<button type="button" class="cite"[^>]*>1</button>', shown).group()
    for part in ('data-document="d1"', 'data-start="12"', 'data-end="40"', 'data-page="3"'):
        assert part in button
    assert 'aria-label="Source 1: a &lt;i&gt;b&lt;/i&gt;.pdf, page 3"' in button


def test_a_second_look_is_told_while_it_lasts_and_afterwards():
    doing = conversation.pending("Why?", (PASSAGE,), "", Checking(3, differ=True))
    assert "1 passage found, comparing 3 drafts…" in doing
    checked = replace(ANSWER, mode=AnswerMode.FREE, check=Check(3, Outcome.AGREED))
    assert "3 drafts agree ·" in conversation.turn(checked)


def test_the_words_that_answer_are_strong_within_their_quote():
    said = "It was built <fast>\n\nin 1788."
    cited = replace(CITED, start=12, end=12 + len(said), text=said, focus=(36, 40))
    answer = replace(ANSWER, sentences=(Sentence(said, (1,)),), citations=(cited,))
    shown = conversation.turn(answer)
    assert "It was built &lt;fast&gt;\nin <strong>1788</strong>." in shown


def test_nothing_of_a_document_is_markup():
    shown = conversation.turns([ANSWER]) + conversation.pending("<b>q</b>", (PASSAGE,), "<u>t</u>")
    shown += conversation.failed("<b>q</b>", "<u>no</u>")
    for markup in ("<script", "<img", "<i>", "<b>q", "<u>"):
        assert markup not in shown


def test_a_generated_sentence_without_support_says_so():
    free = replace(
        ANSWER,
        mode=AnswerMode.FREE,
        sentences=(Sentence("It was built in 1788.", (1,)), Sentence("It burned.", ())),
    )
    shown = conversation.turn(free)
    assert shown.count("not supported") == 1
    assert re.search(r"It burned\. <span[^>]*>not supported", shown)


def test_not_saying_is_an_answer_with_the_nearest_passages_open():
    shown = conversation.turn(replace(ANSWER, mode=AnswerMode.ABSTAIN, sentences=(), citations=()))
    assert conversation.NOT_SAID in shown
    assert '<details class="evidence" open>' in shown
    nothing = replace(ANSWER, mode=AnswerMode.ABSTAIN, sentences=(), citations=(), passages=())
    assert "Nothing near this question" in conversation.turn(nothing)


def test_a_removed_citation_says_so_and_opens_nothing():
    gone = Citation(1, "removed", "removed", "removed", None, 0, 0, "removed", removed=True)
    shown = conversation.turn(replace(ANSWER, citations=(gone,), passages=()))
    assert 'class="cite' in shown
    assert "removed</li>" in shown
    assert "data-action" not in shown


def test_scores_and_ranks_of_each_retriever():
    shown = conversation.turn(ANSWER)
    assert "12.346 <small>#1</small>" in shown
    assert "<dt>dense</dt><dd>not found</dd>" in shown
    assert "<dt>fused</dt><dd>0.912</dd>" in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "answered in 510 ms · search 80 ms · no language model took part"),
        (
            {
                "model": "m",
                "timings": Timings(0.1, 0.4, 3.21),
                "cache": CacheUse(1812, 1640, "disk"),
            },
            "answered in 3.2 s · search 100 ms · first words after 400 ms · "
            "1,640 of 1,812 prompt tokens from cache (disk) · m",
        ),
        (
            {"model": "m", "cache": CacheUse(812, 0, "none")},
            "answered in 510 ms · search 80 ms · 0 of 812 prompt tokens from cache · m",
        ),
    ],
)
def test_figures(changes, said):
    assert f'<p class="figures">{said}</p>' in conversation.turn(replace(ANSWER, **changes))


def test_a_follow_up_shows_what_was_searched():
    shown = conversation.turn(replace(ANSWER, searched="When? mill"))
    assert "searched for “When? mill”" in shown
    assert "searched for" not in conversation.turn(ANSWER)


def test_the_page_scrolls_to_the_newest_once():
    assert conversation.turns([ANSWER, replace(ANSWER)]).count("data-bring") == 1
    assert "data-bring" in conversation.pending("q", None, "")
    assert "data-bring" not in conversation.pending("q", (PASSAGE,), "words")
