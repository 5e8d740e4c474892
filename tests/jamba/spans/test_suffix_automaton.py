"""The automaton allows exactly the spans of its sequences, and knows where they stand."""

from hypothesis import given
from hypothesis import strategies as st

from jamba.spans.suffix_automaton import START, SuffixAutomaton

SEQUENCES = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=4)


def spans(sequences: list[list[int]]) -> set[tuple[int, ...]]:
    return {
        tuple(sequence[start:end])
        for sequence in sequences
        for start in range(len(sequence))
        for end in range(start + 1, len(sequence) + 1)
    }


@given(SEQUENCES)
def test_what_may_follow_a_span_is_what_follows_it_somewhere(sequences):
    automaton, every = SuffixAutomaton(sequences), spans(sequences)
    for span in every | {()}:
        state = automaton.walk(span)
        assert state is not None
        assert automaton.allowed(state) == {t for t in range(4) if (*span, t) in every}


@given(SEQUENCES, st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_a_walk_succeeds_only_on_a_span_and_ends_where_it_stands(sequences, tokens):
    automaton = SuffixAutomaton(sequences)
    state = automaton.walk(tokens)
    assert (state is not None) == (tuple(tokens) in spans(sequences))
    if state is not None:
        place = automaton.first(state)
        assert sequences[place.sequence][place.end - len(tokens) : place.end] == tokens


@given(SEQUENCES)
def test_the_first_place_is_the_first(sequences):
    automaton = SuffixAutomaton(sequences)
    for span in spans(sequences):
        ends = [
            (number, end)
            for number, sequence in enumerate(sequences)
            for end in range(len(span), len(sequence) + 1)
            if tuple(sequence[end - len(span) : end]) == span
        ]
        place = automaton.first(automaton.walk(span))
        assert (place.sequence, place.end) == min(ends)


def test_there_are_at_most_two_states_a_token():
    sequence = [n % 7 * (n % 5) for n in range(500)]
    automaton = SuffixAutomaton([sequence, sequence[100:300]])
    assert len(automaton._states) <= 2 * 700
    assert automaton.first(START) is None
