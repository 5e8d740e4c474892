"""Fit and check the weights of quote mode on SQuAD's two calibration articles.

    python -m benchmarks.answers.tune_quote --cache CACHE

Every question of theirs is asked three times of all tuning paragraphs: as it is ("answerable"),
with its own article left out ("elsewhere") and with only its own paragraph left out ("near"; other
paragraphs answer some of these after all). The reader was trained on the other tuning articles, so
only these two can say how far to trust it. Figures are of one article with weights fitted on the
other; the last lines are fitted on both.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import numpy as np

from app.answering.answer import find_passages
from app.answering.quote import Quote, Weights, best_quotes, may_answer, sentences_of, signals
from app.answering.reader import open_reader
from app.types import RetrievedPassage
from benchmarks.retrieval.bench_retrieval import make_index
from retrieval.encoders.encoder import Encoder, Progress, load_encoder
from retrieval.evaluation.evaluate import read_task
from retrieval.evaluation.squad import Question, read_squad
from retrieval.index import Index
from retrieval.reading.reader import Reader
from retrieval.reading.reader_eval import auroc
from retrieval.storage.segments import Vectors
from retrieval.types import ReadSpan, Region

SQUAD = Path("../shared/data/qa/squad_v1.1_subset.json")
SPLITS = Path(__file__).parents[1] / "splits.json"
# The rule that 500 questions of twelve tuning articles gave before there was a reader: likeness,
# first, shared, lacking, bias. Two articles are too few to weigh its parts anew.
BEFORE = (6.7, 3.1, 5.5, -1.9, -10.4)
KINDS = ("answerable", "elsewhere", "near")
ABSTAIN_ON_ANSWERABLE = (0.05, 0.075, 0.10)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as asked of one set of paragraphs."""

    question: Question
    kind: str
    passages: tuple[RetrievedPassage, ...]


class Memory(Encoder):
    """An encoder that remembers: the same sentences are met again and again."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.id, encoder.folder)
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def encode_passages(
        self, pairs: Sequence[tuple[str, str]], progress: Progress | None = None
    ) -> Vectors:
        """Vectors of (title, text) pairs, each computed once."""
        new = sorted({*pairs} - self._known.keys())
        if new:
            vectors = super().encode_passages(new, progress)
            self._known.update(zip(new, vectors, strict=True))
        return np.stack([self._known[pair] for pair in pairs])


class RememberingReader:
    """A reader that remembers: each question is weighed with many weights."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[tuple, list[ReadSpan | None]] = {}

    def read(
        self, question: str, passages: Sequence[str], regions: Sequence[Region]
    ) -> list[ReadSpan | None]:
        """What the reader found, read once."""
        key = (question, *passages)
        if key not in self._known:
            self._known[key] = self._reader.read(question, passages, regions)
        return self._known[key]


@dataclass(frozen=True, slots=True)
class Judges:
    """What weighs a sentence."""

    encoder: Memory
    reader: RememberingReader


def paragraph_id(question: Question) -> str:
    """The document id of the paragraph that a question was asked of."""
    return f"{question.title}#{question.paragraph}"


def ask(index: Index, question: Question, ids: Sequence[str]) -> list[Asked]:
    """The question with the passages found for it in each of the three settings."""
    own = paragraph_id(question)
    elsewhere = [each for each in ids if not each.startswith(question.title + "#")]
    near = [each for each in ids if each != own]
    return [
        Asked(question, kind, find_passages(index, question.text, 4, documents))
        for kind, documents in zip(KINDS, (ids, elsewhere, near), strict=True)
    ]


def answers(asked: Asked, passage: int, start: int, end: int) -> bool:
    """Whether the words hold the answer, at its own place."""
    if asked.passages[passage].document_id != paragraph_id(asked.question):
        return False
    return any(
        start <= gold.start and gold.start + len(gold.text) <= end
        for gold in asked.question.answers
    )


def examples(asked: Asked, judges: Judges) -> tuple[np.ndarray, np.ndarray]:
    """Signals (n, 5) and labels (n,) of the sentences found for a question."""
    question, passages = asked.question.text, asked.passages
    found = [each for each in sentences_of(passages) if may_answer(question, each, passages)]
    if not found:
        return np.zeros((0, 5)), np.zeros(0, bool)
    spans = judges.reader.read(question, [passage.text for passage in passages], found)
    rows = signals(question, passages, found, spans, judges.encoder)
    labels = [answers(asked, each.passage, each.start, each.end) for each in found]
    return np.array([astuple(row) for row in rows]), np.array(labels)


def fit(asked: Sequence[Asked], judges: Judges) -> Weights:
    """Weights of the reader and of the rule before it, by logistic regression over sentences.

    Near misses stay out, some of them do answer.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    found = [examples(each, judges) for each in asked if each.kind != "near"]
    rows = np.concatenate([x for x, _ in found])  # (n, 5): the reader first
    before = rows[:, 1:] @ np.array(BEFORE[:-1]) + BEFORE[-1]  # (n,) log odds
    model = LogisticRegression(C=10, max_iter=2000)
    model.fit(np.stack([rows[:, 0], before], axis=1), np.concatenate([y for _, y in found]))
    read, share = model.coef_[0]
    scaled = [share * weight for weight in BEFORE]
    scaled[-1] += float(model.intercept_[0])
    return Weights(*(round(float(weight), 2) for weight in (read, *scaled)))


def measure(asked: Sequence[Asked], judges: Judges, weights: Weights) -> dict[str, float]:
    """Shares: answerable with a quote that answers; abstentions by kind; and quotes an answer."""
    found = [(each, quotes_of(each, judges, weights)) for each in asked]
    abstain = {
        f"abstain_{kind}": _mean(not quotes for each, quotes in found if each.kind == kind)
        for kind in KINDS
    }
    answerable = [(each, quotes) for each, quotes in found if each.kind == "answerable"]
    hits = (any(answers(a, q.passage, q.start, q.end) for q in quotes) for a, quotes in answerable)
    sizes = (len(quotes) for _, quotes in answerable if quotes)
    return {"hit": _mean(hits), **abstain, "quotes": _mean(sizes)}


def separation(asked: Sequence[Asked], judges: Judges, weights: Weights) -> dict[str, float]:
    """How often the best quote of an answerable question scores above that of another kind."""
    open_weights = replace(weights, threshold=float("-inf"))
    best: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for each in asked:
        quotes = quotes_of(each, judges, open_weights)
        best[each.kind].append(quotes[0].score if quotes else float("-inf"))
    return {f"auroc_{k}": round(auroc(best["answerable"], best[k]), 3) for k in KINDS[1:]}


def quotes_of(asked: Asked, judges: Judges, weights: Weights) -> list[Quote]:
    """What quote mode says to a question."""
    question, passages = asked.question.text, asked.passages
    return best_quotes(question, passages, judges.encoder, judges.reader, weights)


def thresholds(asked: Sequence[Asked], judges: Judges, weights: Weights) -> list[float]:
    """The thresholds that make given shares of the answerable questions abstain."""
    open_weights = replace(weights, threshold=float("-inf"))
    found = [quotes_of(a, judges, open_weights) for a in asked if a.kind == "answerable"]
    best = [quotes[0].score for quotes in found if quotes]
    return [round(float(np.quantile(best, share)), 1) for share in ABSTAIN_ON_ANSWERABLE]


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 3)


def main() -> None:
    """Print one line of JSON for each setting; the last is what ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cache", type=Path, required=True, help="keeps the index, as for bench_retrieval"
    )
    options = parser.parse_args()
    splits = json.loads(SPLITS.read_text())["squad"]
    questions = [q for q in read_squad(SQUAD) if q.title in splits["tuning"]]
    ids = sorted({paragraph_id(question) for question in questions})
    judges = Judges(Memory(load_encoder()), RememberingReader(open_reader()))
    make_index(read_task(SQUAD), options.cache / "titles", judges.encoder, titles=True)
    index = Index.open(options.cache / "titles", judges.encoder)
    asked = [
        each
        for question in questions
        if question.title in splits["calibration"]
        for each in ask(index, question, ids)
    ]
    index.close()
    first, second = (
        [each for each in asked if each.question.title == title] for title in splits["calibration"]
    )
    for fitting, checking in ((first, second), (second, first), (asked, asked)):
        fitted = fit(fitting, judges)
        print(json.dumps(separation(checking, judges, fitted)), flush=True)
        for threshold in thresholds(fitting, judges, fitted):
            weights = replace(fitted, threshold=threshold)
            report(weights, measure(checking, judges, weights))
    report(Weights(), measure(asked, judges, Weights()))


def report(weights: Weights, figures: dict[str, float]) -> None:
    """One line of JSON: the weights and the figures on the articles they were not fitted on."""
    print(json.dumps({**asdict(weights), **figures}), flush=True)


if __name__ == "__main__":
    main()
