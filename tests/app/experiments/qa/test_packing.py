"""What a budget of tokens holds, and what it leaves out."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.answering.prompt import Reading
from app.experiments.qa.packing import pack_to_budget
from app.types import RetrievedPassage

FRAME = 10  # words of a template


def passage(name, words):
    text = " ".join([name] * words)
    return RetrievedPassage(name, "d", "", "", text, None, 0, len(text), 0.0, {})


def words(reading):
    return (
        FRAME + len(reading.question.split()) + sum(len(p.text.split()) for p in reading.passages)
    )


def packed(sizes, budget, question="one two"):
    passages = tuple(passage(f"p{place}", size) for place, size in enumerate(sizes))
    found = pack_to_budget(Reading(question, passages), words, budget)
    return found and ([p.passage_id for p in found.reading.passages], found.dropped)


def test_each_passage_is_taken_if_it_still_fits():
    assert packed([5, 5, 5], FRAME + 2 + 15) == (["p0", "p1", "p2"], ())
    assert packed([5, 5, 5], FRAME + 2 + 14) == (["p0", "p1"], (2,))
    assert packed([5, 9, 3], FRAME + 2 + 8) == (["p0", "p2"], (1,))


def test_of_two_alike_the_earlier_is_taken():
    assert packed([7, 7], FRAME + 2 + 7) == (["p0"], (1,))


def test_the_question_is_never_cut():
    assert packed([1], FRAME + 2) == ([], (0,))
    assert packed([1], FRAME + 1) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 40), max_size=12), st.integers(FRAME + 2, 200))
def test_within_the_budget_and_nothing_that_would_have_fitted_is_dropped(sizes, budget):
    kept, dropped = packed(sizes, budget)
    places = [int(name[1:]) for name in kept]
    assert sorted([*places, *dropped]) == list(range(len(sizes)))
    assert places == sorted(places)
    used = FRAME + 2 + sum(sizes[place] for place in places)
    assert used <= budget
    before = {place: sum(sizes[p] for p in places if p < place) for place in dropped}
    assert all(FRAME + 2 + before[place] + sizes[place] > budget for place in dropped)
