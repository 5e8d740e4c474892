"""From an index to training examples: groups, mined spans, windows, batches."""

import random
import re
import shutil

import pytest

from retrieval.ingest.writer import IndexWriter
from retrieval.records import Scored, titled
from retrieval.spider.mined_spans import MinedSpans, mine_spans
from retrieval.spider.mining_groups import NEIGHBOURS, mining_groups
from retrieval.spider.recurring_spans import PAPER, Occurrence
from retrieval.spider.spider_data import SpanBatches, draw_rows, query_window
from retrieval.storage.store import Store
from retrieval.training.training_batches import numbers_of
from retrieval.types import Extracted, RetrievalError

pytestmark = pytest.mark.java

SENTENCES = (
    "The Pennock Weir was built by Tomas Berg in the valley of the mill.",
    "Salmon pass the Pennock Weir in spring, the river trust says.",
    "Maria Lind planted apple trees on the slope above the orchard road.",
    "The river trust asked Tomas Berg for a ladder that salmon can climb.",
    "Nobody has climbed the orchard road since the flood of that winter.",
)


def filler(seed: int) -> str:
    """Eight sentences of ten words that stand nowhere else."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("bdfgklmnprst", k=9)) for _ in range(80)]
    return " ".join(" ".join(words[n : n + 10]).capitalize() + "." for n in range(0, 80, 10))


ARTICLE = "\n\n".join(f"{SENTENCES[n % 5]} {filler(n)}" for n in range(8))
ABSTRACTS = {
    f"abstract{n}": f"Flow over a {shape} plate at {speed} speed was measured in the wind tunnel."
    for n, (shape, speed) in enumerate(
        [("flat", "low"), ("curved", "high"), ("flat", "high"), ("rough", "low"), ("flat", "no")]
    )
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """An index of one long document, one article in three entries, and five lone abstracts."""
    path = tmp_path_factory.mktemp("mixed") / "index"
    with IndexWriter(path, None) as writer:
        writer.add("long", "long.txt", Extracted("A long one", ARTICLE, (), "text/plain"))
        for n in range(3):
            entry = Extracted("River", SENTENCES[n], (), "text/plain")
            writer.add(f"river{n}", f"river{n}", entry, whole=True)
        for id, text in ABSTRACTS.items():
            writer.add(id, id, Extracted("", text, (), "text/plain"), whole=True)
        writer.commit()
    return path


@pytest.fixture
def store(mixed):
    opened = Store.open(mixed)
    yield opened
    opened.close()


@pytest.fixture
def spans(mixed, store, tmp_path):
    mine_spans(mixed, store, tmp_path / "spans.db", PAPER, lambda done, total: None)
    mined = MinedSpans(tmp_path / "spans.db")
    yield mined
    mined.close()


def all_rows(store):
    return {p.row: p for p in store.placed_after(0, 1000)}


def nearest(question, k):
    return [Scored(id, 1.0) for id in [*ABSTRACTS, "gone", "river0"]][:k]


def test_documents_articles_and_neighbourhoods(store):
    groups = list(mining_groups(store, nearest))
    placed = all_rows(store)
    of = [{placed[row].document_id for row in group.rows} for group in groups]
    assert of[0] == {"long"}
    assert of[1] == {"river0", "river1", "river2"}
    assert [group.neighbourhood for group in groups] == [False] * 2 + [True] * 5
    for group, id in zip(groups[2:], ABSTRACTS, strict=True):
        assert placed[group.rows[0]].document_id == id  # a passage is the first of its own
        assert len(group.rows) == len(set(group.rows)) == 6 <= NEIGHBOURS
        assert group.texts == tuple(placed[row].text for row in group.rows)


def test_groups_go_on_behind_a_row(store):
    groups = list(mining_groups(store, nearest))
    assert list(mining_groups(store, nearest, groups[1].through)) == groups[2:]


def test_mined_spans_stand_where_they_say(spans, store):
    placed = all_rows(store)
    words = {spans[n].words for n in range(len(spans))}
    assert any("river trust" in found for found in words)
    assert any("speed was measured in the wind tunnel" in found for found in words)
    for n in range(len(spans)):
        span = spans[n]
        for o in span.occurrences:
            held = placed[span.rows[o.passage]].text[o.start : o.end]
            assert held.lower().split() == span.words.split()


def test_a_neighbourhood_counts_only_what_its_own_passage_shares(spans, store):
    placed = all_rows(store)
    lone = [
        spans[n] for n in range(len(spans)) if placed[spans[n].rows[0]].document_id in ABSTRACTS
    ]
    assert lone
    assert all(span.occurrences[0].passage == 0 for span in lone)
    assert spans.groups[0] >= 1
    assert 1 <= spans.groups[1] <= 5


def test_stopped_mining_goes_on_to_the_same_spans(mixed, store, spans, tmp_path, monkeypatch):
    monkeypatch.setattr("retrieval.spider.mined_spans.BATCH", 1)
    other = tmp_path / "stopped.db"

    def stop(done, total):
        if done > len(ABSTRACTS):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine_spans(mixed, store, other, PAPER, stop)
    half = MinedSpans(other)
    assert 0 < half.progress[1] < spans.progress[1]
    half.close()
    heard = []
    mine_spans(mixed, store, other, PAPER, lambda *of: heard.append(of))
    whole = MinedSpans(other)
    assert [whole[n] for n in range(len(whole))] == [spans[n] for n in range(len(spans))]
    assert heard[-1] == (len(all_rows(store)), len(all_rows(store)))
    whole.close()


def test_a_query_is_a_window_of_another_passage_with_the_span(spans, store):
    placed = all_rows(store)
    by_text = {titled(p.title, p.text, " [SEP] "): p for p in placed.values()}
    batches = SpanBatches(store, spans, separator=" [SEP] ", size=8, seed=3)
    for step in range(len(batches) // 8):
        for (_, number), triple in zip(
            numbers_of(step, 8, len(batches), 3), batches.batch(step), strict=True
        ):
            words = spans[number].words
            positive, negative = by_text[triple.positive], by_text[triple.negative]
            assert words in " ".join(positive.text.lower().split())
            assert words not in " ".join(negative.text.lower().split())
            assert len(re.findall(r"\w+|[^\w\s]", triple.query)) >= 5


def test_windows_are_fresh_each_epoch_and_the_same_for_the_same_step(spans, store):
    one, again = (
        SpanBatches(store, spans, separator="\n", size=len(spans), seed=1) for _ in range(2)
    )
    assert one.batch(0) == again.batch(0)
    first, second = one.batch(0), one.batch(1)
    assert {t.query for t in first} != {t.query for t in second}
    assert sorted(n for _, n in numbers_of(0, len(spans), len(spans), 1)) == list(range(len(spans)))


def test_an_index_that_lost_passages_is_noticed(mixed, spans, tmp_path):
    copy = shutil.copytree(mixed, tmp_path / "copy")
    with IndexWriter(copy, None) as writer:
        for document in writer.find("long.txt"):
            writer.remove(document)
        writer.commit()
    smaller = Store.open(copy)
    batches = SpanBatches(smaller, spans, separator="\n", size=len(spans), seed=1)
    with pytest.raises(RetrievalError, match="train anew"):
        batches.batch(0)
    smaller.close()


def test_a_window_always_holds_the_span_that_it_may_lose():
    text = "one two three four five the Pennock Weir, six seven eight nine ten eleven"
    start = text.index("Pennock")
    span = Occurrence(0, start, start + len("Pennock Weir"))
    kept = lost = 0
    for seed in range(300):
        window = query_window(text, span, random.Random(seed))
        if "Pennock Weir" in window:
            kept += 1
            assert window in text
        else:
            lost += 1
            assert "Pennock" not in window
            assert "Weir" not in window
            assert len(window.split()) >= 5
    assert 0.4 < kept / (kept + lost) < 0.6


@pytest.mark.parametrize("text", ["Pennock Weir", "the Pennock Weir", "Pennock Weir."])
def test_a_short_passage_gives_a_query_too(text):
    start = text.index("Pennock")
    span = Occurrence(0, start, start + len("Pennock Weir"))
    assert all(query_window(text, span, random.Random(seed)) for seed in range(20))


def test_a_passage_is_used_twice_in_a_batch_only_where_none_else_is_left(spans):
    span = next(spans[n] for n in range(len(spans)) if len(spans[n].rows) >= 6)
    holders = {span.rows[o.passage] for o in span.occurrences}
    others = set(span.rows) - holders
    free = min(others)
    drawn = draw_rows(span, random.Random(1), others - {free})
    assert drawn[2] == free
    assert set(drawn[:2]) <= holders
    assert drawn[0] != drawn[1]
    everything = set(span.rows)
    assert set(draw_rows(span, random.Random(1), everything)) <= set(span.rows)
