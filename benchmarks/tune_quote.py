"""Fit and check the weights of quote mode on the tuning articles of SQuAD.

    python -m benchmarks.tune_quote [--questions 1000] [--articles 32]

Every question is asked three times of all tuning paragraphs: as it is ("answerable"), with its own
article left out ("elsewhere") and with only its own paragraph left out ("near"; other paragraphs
answer some of these after all). Weights are fitted on every other article, figures are of the rest.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import numpy as np

from app.answer import find_passages
from app.quote import Weights, best_quotes, may_answer, sentences_of, signals
from app.types import RetrievedPassage
from retrieval.encoder import Encoder, Progress, load_encoder
from retrieval.index import Index
from retrieval.segments import Vectors
from retrieval.squad import Question, read_squad
from retrieval.types import Extracted
from retrieval.writer import IndexWriter

SQUAD = Path("../shared/data/qa/squad_v1.1_subset.json")
SPLITS = Path(__file__).parent / "splits.json"
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
        super().__init__(encoder.id, encoder._folder)
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


def paragraph_id(question: Question) -> str:
    """The document id of the paragraph that a question was asked of."""
    return f"{question.title}/{question.paragraph}"


def build(questions: Sequence[Question], folder: Path, encoder: Encoder) -> None:
    """One document a paragraph, under its article's title, as documents have titles."""
    paragraphs = {paragraph_id(question): question for question in questions}
    with IndexWriter(folder, encoder) as writer:
        for name, question in paragraphs.items():
            title = question.title.replace("_", " ")
            text = Extracted(title, question.context, (), "text/plain")
            writer.add(name, name, text, whole=True)
        writer.commit()


def ask(index: Index, question: Question, ids: Sequence[str]) -> list[Asked]:
    """The question with the passages found for it in each of the three settings."""
    own = paragraph_id(question)
    elsewhere = [each for each in ids if not each.startswith(question.title + "/")]
    near = [each for each in ids if each != own]
    return [
        Asked(question, kind, find_passages(index, question.text, 4, documents))
        for kind, documents in zip(KINDS, (None, elsewhere, near), strict=True)
    ]


def answers(asked: Asked, passage: int, start: int, end: int) -> bool:
    """Whether the words hold the answer, at its own place."""
    if asked.passages[passage].document_id != paragraph_id(asked.question):
        return False
    return any(
        start <= gold.start and gold.start + len(gold.text) <= end
        for gold in asked.question.answers
    )


def examples(asked: Asked, encoder: Memory) -> tuple[np.ndarray, np.ndarray]:
    """Signals (n, 4) and labels (n,) of the sentences found for a question."""
    question = asked.question.text
    found = sentences_of(asked.passages)
    candidates = [c for c in found if may_answer(question, c, asked.passages)]
    if not candidates:
        return np.zeros((0, 4)), np.zeros(0, bool)
    rows = signals(question, asked.passages, candidates, encoder)
    labels = [answers(asked, c.passage, c.start, c.end) for c in candidates]
    return np.array([astuple(row) for row in rows]), np.array(labels)


def fit(asked: Sequence[Asked], encoder: Memory) -> Weights:
    """Logistic regression over single sentences; near misses stay out, some of them do answer."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    found = [examples(each, encoder) for each in asked if each.kind != "near"]
    model = LogisticRegression(C=10, max_iter=2000)
    model.fit(np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found]))
    weights = [round(float(w), 1) for w in (*model.coef_[0], model.intercept_[0])]
    return Weights(*weights)


def measure(asked: Sequence[Asked], encoder: Memory, weights: Weights) -> dict[str, float]:
    """Shares: answerable with a quote that answers; abstentions by kind; and quotes an answer."""
    found = [(a, best_quotes(a.question.text, a.passages, encoder, weights)) for a in asked]
    abstain = {
        f"abstain_{kind}": _mean(not quotes for each, quotes in found if each.kind == kind)
        for kind in KINDS
    }
    answerable = [(each, quotes) for each, quotes in found if each.kind == "answerable"]
    hits = (any(answers(a, q.passage, q.start, q.end) for q in quotes) for a, quotes in answerable)
    sizes = (len(quotes) for _, quotes in answerable if quotes)
    return {"hit": _mean(hits), **abstain, "quotes": _mean(sizes)}


def thresholds(asked: Sequence[Asked], encoder: Memory, weights: Weights) -> list[float]:
    """The thresholds that make given shares of the answerable questions abstain."""
    open_weights = replace(weights, threshold=float("-inf"))
    found = [
        best_quotes(each.question.text, each.passages, encoder, open_weights)
        for each in asked
        if each.kind == "answerable"
    ]
    best = [quotes[0].score for quotes in found if quotes]
    return [round(float(np.quantile(best, share)), 1) for share in ABSTAIN_ON_ANSWERABLE]


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 3)


def main() -> None:
    """Print one line of JSON for each setting; the last is what ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--articles", type=int, default=32)
    options = parser.parse_args()
    titles = json.loads(SPLITS.read_text())["squad"]["tuning"][: options.articles]
    questions = [q for q in read_squad(SQUAD) if q.title in titles]
    chosen = random.Random(0).sample(questions, options.questions)
    ids = sorted({paragraph_id(question) for question in questions})
    memory = Memory(load_encoder())
    with tempfile.TemporaryDirectory() as folder:
        build(questions, Path(folder) / "index", memory)
        index = Index.open(Path(folder) / "index", memory)
        asked = [each for question in chosen for each in ask(index, question, ids)]
        index.close()
    fitting = [each for each in asked if titles.index(each.question.title) % 2 == 0]
    checking = [each for each in asked if titles.index(each.question.title) % 2 == 1]
    fitted = fit(fitting, memory)
    for threshold in thresholds(fitting, memory, fitted):
        for margin in (0.0, 2.0):
            weights = replace(fitted, threshold=threshold, margin=margin)
            report(weights, measure(checking, memory, weights))
    report(Weights(), measure(checking, memory, Weights()))


def report(weights: Weights, figures: dict[str, float]) -> None:
    """One line of JSON: the weights and the figures on the articles they were not fitted on."""
    print(json.dumps({**asdict(weights), **figures}), flush=True)


if __name__ == "__main__":
    main()
