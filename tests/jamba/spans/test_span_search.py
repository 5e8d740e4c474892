"""The search finds what trying every span would, and stops when it has cost enough."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jamba.cache.snapshots import SnapshotStore
from jamba.config import JambaConfig
from jamba.engine import Engine
from jamba.network.model import Jamba
from jamba.spans.literal import LiteralSpans, Word
from jamba.spans.span_search import Effort, SearchCancelled, search, weigh
from jamba.training.initialise import initialise
from tests.jamba.random_models import VOCABULARY, draw_fields

END = 2  # the models' own
TEXTS = st.lists(st.lists(st.integers(6, 12), min_size=1, max_size=6), min_size=1, max_size=3)
PROMPTS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=12)
relaxed = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def engine(model):
    opened = Engine(model, SnapshotStore())
    yield opened
    opened.close()


def language_of(texts):
    """Texts in which every token is a word."""
    return LiteralSpans([[Word((token,), (token,)) for token in text] for text in texts])


def all_spans(texts):
    return {
        tuple(text[i:j])
        for text in texts
        for i in range(len(text))
        for j in range(i + 1, len(text) + 1)
    }


def logprob(model, prompt, tokens):
    """Of the tokens and an end behind the prompt, by reading it all anew."""
    ids = [*prompt, *tokens]
    rows = model.logits(torch.tensor([ids]))[0].double().log_softmax(-1)[len(prompt) - 1 :]
    ended = [*tokens, END]
    return float(sum(row[token] for row, token in zip(rows, ended, strict=True)))


def run(engine, prompt, texts, effort, others=()):
    return search(partial(engine.submit, prompt), language_of(texts), {END}, others, effort)


@relaxed
@given(prompt=PROMPTS, texts=TEXTS, power=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_search_without_a_limit_finds_the_best_of_all_spans(engine, prompt, texts, power):
    found = run(engine, prompt, texts, Effort(tokens=10**6, power=power, longest=8))
    assert found.is_best
    every = {span: logprob(engine.model, prompt, span) for span in all_spans(texts)}
    best = max(every, key=lambda span: every[span] / (len(span) + 1) ** power)
    assert found.spans[0].score(power) == pytest.approx(
        every[best] / (len(best) + 1) ** power, abs=1e-3
    )
    for span in found.spans:
        assert span.logprob == pytest.approx(every[span.tokens], abs=1e-3)
    scores = [span.score(power) for span in found.spans]
    assert all(left >= right for left, right in pairwise(scores))


@pytest.mark.parametrize("seed", range(4))
def test_so_it_does_for_any_architecture(seed):
    drawn = Jamba(JambaConfig(**draw_fields(seed))).eval().requires_grad_(False)
    initialise(drawn, seed)
    texts = [[6, 7, 8, 9, 7], [7, 8, 10, 6], [8, 9, 7, 8]]
    every = {span: logprob(drawn, [50, 51], span) for span in all_spans(texts)}
    with Engine(drawn, SnapshotStore()) as engine:
        found = run(engine, [50, 51], texts, Effort(tokens=10**6, longest=8))
    assert {span.tokens for span in found.spans} <= every.keys()
    best = max(value / (len(span) + 1) for span, value in every.items())
    assert found.spans[0].score(1.0) == pytest.approx(best, abs=1e-3)


@relaxed
@given(prompt=PROMPTS, texts=TEXTS)
def test_the_first_path_takes_the_likeliest_token_each_time(engine, prompt, texts):
    found = run(engine, prompt, texts, Effort(tokens=0))
    spans, written = all_spans(texts), ()
    while True:
        row = engine.model.logits(torch.tensor([[*prompt, *written]]))[0, -1]
        ways = {t for t in range(6, 13) if (*written, t) in spans} | ({END} if written else set())
        token = max(ways, key=lambda t: float(row[t]))
        if token == END:
            break
        written = (*written, token)
    assert {span.tokens for span in found.spans} == {
        written[:n] for n in range(1, len(written) + 1)
    }
    assert found.cost.more_tokens == 0
    assert found.cost.first.generated_tokens == len(written)


@relaxed
@given(prompt=PROMPTS, texts=TEXTS, tokens=st.integers(0, 30))
def test_a_search_costs_no_more_than_it_may(engine, prompt, texts, tokens):
    found = run(engine, prompt, texts, Effort(tokens=tokens, longest=4))
    assert found.cost.more_tokens <= tokens
    assert {span.tokens for span in found.spans} <= all_spans(texts)
    if found.is_best:
        every = run(engine, prompt, texts, Effort(tokens=10**6, longest=4))
        assert found.spans[0] == every.spans[0]


@relaxed
@given(prompt=PROMPTS, others=st.lists(st.lists(st.integers(6, 40), max_size=5).map(tuple)))
def test_what_is_asked_about_is_weighed_as_reading_it_would(engine, prompt, others):
    submit = partial(engine.submit, prompt)
    weighed, cost = weigh(submit, [(), *others], {END})
    for tokens, found in zip(others, weighed[1:], strict=True):
        assert found.tokens == tokens
        assert found.logprob == pytest.approx(logprob(engine.model, prompt, tokens), abs=1e-3)
    assert cost.more_tokens == sum(map(len, others))
    beside = run(engine, prompt, [[7, 8]], Effort(tokens=0), others)
    assert beside.others == weighed[1:]


def test_what_holds_an_end_cannot_be_weighed(engine):
    assert weigh(partial(engine.submit, [7]), [(8, END, 9)], {END})[0] == (None,)


def test_nothing_to_write_is_no_span(engine):
    assert run(engine, [7, 8], [], Effort()).spans == ()


def test_a_cancelled_search_ends_at_once(engine):
    def submit(params):
        request = engine.submit([7, 8], params)
        engine.cancel(request)
        return request

    with pytest.raises(SearchCancelled):
        search(submit, language_of([[7, 8]]), {END})


def test_what_is_found_does_not_depend_on_what_was_cached(engine):
    texts = [[6, 7, 8, 9], [7, 8, 10], [6, 7]]
    first, again = (run(engine, [50, 51], texts, Effort(tokens=9)) for _ in range(2))
    assert again.spans == first.spans
    assert first.cost.first.cached_tokens == 0
    assert again.cost.first.cached_tokens == 2


def test_nobody_reads_a_prompt_again_for_every_path(model):
    with Engine(model) as forgetful:
        found = run(forgetful, [50, 51], [[6, 7, 8, 9]], Effort(tokens=100), [(9, 9)])
    assert found.cost.more_tokens == 2 + 2
