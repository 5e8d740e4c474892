"""Who finds the answer's words: the reader, a Jamba, both together, or the most similar sentence.

    python -m benchmarks.answers.bench_quote MODEL ../shared/data [--cache CACHE] [--questions 200]
        [--reporting] [--out FILE]

Questions of the two calibration articles, of which the bundled reader saw none, drawn by a fixed
seed: with their own passage and, given the CACHE of `bench_retrieval.py`, the four best of all.
The mixture of both is fitted to one article and tried on the other; the one fitted to both belongs
into `app.answering.quoting.Mixture`. With --reporting: SQuAD's reporting articles and PolicyQA's
reporting half, and the mixture as it ships. `forward` is the mean number of tokens that the model
reads and writes for a question; each way begins without a state of these passages. `proved` is
how often the search saw that it had the best span; `auroc` is of right against wrong passages of
an article.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from app.answering.answer import find_passages
from app.answering.prompt import Reading
from app.answering.quote import SURE, Weights, best_quotes, chosen_quotes, sentences_of
from app.answering.quoting import Mixture, proposed, weigh_spans, words
from app.answering.reader import BUNDLED, open_reader
from app.models.local_model import LocalModel
from app.models.model_types import Finished
from app.models.resolve import resolve
from app.types import CacheUse, OrbweaverError, RetrievedPassage
from benchmarks.answers.bench_reader import POLICYQA, SQUAD, K, most_similar, of_titles, pointed_at
from benchmarks.retrieval.bench_retrieval import CachedEncoder, make_index
from retrieval.encoders.encoder import Encoder, load_encoder
from retrieval.evaluation.evaluate import read_task
from retrieval.evaluation.squad import Question, exact_match, f1_score
from retrieval.index import Index
from retrieval.reading.reader import Reader
from retrieval.reading.reader_data import wrong_passages
from retrieval.reading.reader_eval import auroc
from retrieval.types import ReadSpan

EVERY = replace(Weights(), threshold=float("-inf"))  # every question is answered
NO_MODEL = CacheUse(0, 0, "none")
RIGHT = 0.5  # an F1 above it makes a proposal right, for the fit


@dataclass(frozen=True, slots=True)
class Said:
    """Words, the log odds that they answer, and what the language model did for them."""

    words: str
    odds: float | None = None
    cache: CacheUse = NO_MODEL
    proved: bool | None = None  # whether nothing better was left unseen


@dataclass(frozen=True, slots=True)
class Case:
    """A question, as the model reads it with its passages, and the answers that count."""

    title: str
    reading: Reading
    golds: tuple[str, ...]


Way = Callable[[Reading], Said]


@dataclass(frozen=True, slots=True)
class Ways:
    """Everything that answers."""

    reader: Reader
    model: LocalModel
    encoder: Encoder
    power: float | None

    def similar(self, reading: Reading) -> Said:
        """The most similar sentence."""
        return Said(most_similar(self.encoder, reading.question, _texts(reading)))

    def read(self, reading: Reading) -> Said:
        """The reader alone; of several passages the rule of quote mode chooses."""
        if len(reading.passages) > 1:
            passages, question = reading.passages, reading.question
            quotes = best_quotes(question, passages, self.encoder, self.reader, EVERY)
            return Said(pointed_at(quotes, _texts(reading)))
        return _said(self.reader.read(reading.question, _texts(reading)), reading)

    def free(self, reading: Reading) -> Said:
        """What the model writes, whatever it is."""
        *pieces, end = self.model.generate(reading)
        cache = end.cache if isinstance(end, Finished) else NO_MODEL
        return Said("".join(map(str, pieces)).strip(), cache=cache)

    def constrained(self, reading: Reading) -> Said:
        """What the model writes when it can write nothing but words of the passages."""
        found = self.model.find_spans(reading, power=self.power)
        if found is None:
            raise AssertionError("nobody cancels here")
        return replace(_said(found.spans, reading, found.cache), proved=found.is_best)

    def both(self, reading: Reading, mixture: Mixture) -> Said:
        """The reader's proposals by the log odds of both; of several passages, by the rule."""
        found = sentences_of(reading.passages)
        spans = self.reader.read(reading.question, _texts(reading), found)
        spans, quoted = weigh_spans(spans, reading, self.model, mixture)
        if len(reading.passages) == 1:
            return _said(spans, reading, quoted.cache)
        quotes = chosen_quotes(
            reading.question, reading.passages, found, spans, self.encoder, EVERY
        )
        return Said(pointed_at(quotes, _texts(reading)), cache=quoted.cache)

    def opinions(self, reading: Reading) -> Iterator[tuple[str, float, float]]:
        """The words of each proposal, and what reader and model think of it."""
        spans = self.reader.read(reading.question, _texts(reading), sentences_of(reading.passages))
        best = [span for n in proposed(spans) if (span := spans[n]) is not None]
        weighed = self.model.weigh_texts(reading, [words(span, reading) for span in best])
        for span, said in zip(best, weighed[0] if weighed else (), strict=True):
            if said is not None:
                yield words(span, reading), span.score, said


def _texts(reading: Reading) -> list[str]:
    return [passage.text for passage in reading.passages]


def _said(spans: Iterable[ReadSpan | None], reading: Reading, cache: CacheUse = NO_MODEL) -> Said:
    """The best of some spans; ties go to the first."""
    best = max((s for s in spans if s is not None), key=lambda s: s.score, default=None)
    return Said("", None, cache) if best is None else Said(words(best, reading), best.score, cache)


def gold(question: Question, text: str | None = None) -> Case:
    """A question with its own passage, or with another one of its article."""
    text = question.context if text is None else text
    title = question.title.replace("_", " ")
    passage = RetrievedPassage(text, text, title, title, text, None, 0, len(text), 0.0, {})
    return Case(question.title, Reading(question.text, (passage,)), _golds(question))


def _golds(question: Question) -> tuple[str, ...]:
    return tuple(answer.text for answer in question.answers)


def wrong(asked: Sequence[Question]) -> list[Case]:
    """Questions with a passage of their article that has no answer."""
    by_text = {question.text: question for question in asked}
    return [
        gold(by_text[each.question], each.passage)
        for each in wrong_passages(asked, asked, random.Random(0))
    ]


def measure(
    way: Way, ways: Ways, cases: Sequence[Case], others: Sequence[Case]
) -> dict[str, float]:
    """Means in percent over the cases; `others` cannot be answered."""
    for document in {p.document_id for each in cases for p in each.reading.passages}:
        ways.model.forget(document)
    began = time.perf_counter()
    said = [way(case.reading) for case in cases]
    seconds = time.perf_counter() - began
    pairs = [(each.words, case.golds) for each, case in zip(said, cases, strict=True)]
    figures: dict[str, float] = {
        "questions": len(cases),
        "exact_match": 100 * statistics.mean(exact_match(*pair) for pair in pairs),
        "f1": 100 * statistics.mean(f1_score(*pair) for pair in pairs),
        "seconds": seconds / len(cases),
    }
    if said[0].cache.prompt_tokens:
        figures["forward"] = statistics.mean(_forward(each.cache) for each in said)
    if said[0].proved is not None:
        figures["proved"] = 100 * statistics.mean(bool(each.proved) for each in said)
    if others and said[0].odds is not None:
        figures["auroc"] = 100 * auroc(_odds(said), _odds([way(o.reading) for o in others]))
    return {name: round(value, 2) for name, value in figures.items()}


def _odds(said: Sequence[Said]) -> list[float]:
    return [float("-inf") if each.odds is None else each.odds for each in said]


def _forward(cache: CacheUse) -> int:
    return cache.prompt_tokens - cache.cached_tokens + (cache.written_tokens or 0)


def fit(ways: Ways, cases: Sequence[Case]) -> Mixture:
    """The mixture by logistic regression over the proposals for some questions.

    As it ships where all proposals are right or all are wrong.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    rows, right = [], []
    for case in cases:
        for text, read, said in ways.opinions(case.reading):
            rows.append([max(-SURE, min(SURE, each)) for each in (read, said)])
            right.append(f1_score(text, case.golds) > RIGHT)
    if len({*right}) < 2:
        return Mixture()
    model = LogisticRegression(C=10, max_iter=1000).fit(rows, right)
    reader, said = (round(float(weight), 3) for weight in model.coef_[0])
    return Mixture(reader, said, round(float(model.intercept_[0]), 3))


def crosswise(ways: Ways, cases: Sequence[Case]) -> Way:
    """Both together, with the mixture fitted to the articles that a question is not from."""
    titles = sorted({case.title for case in cases})
    mixtures = {
        title: fit(ways, [case for case in cases if case.title != title]) for title in titles
    }
    by_question = {case.reading.question: mixtures[case.title] for case in cases}

    def answer(reading: Reading) -> Said:
        return ways.both(reading, by_question[reading.question])

    return answer


def report(
    name: str, ways: Ways, cases: Sequence[Case], others: Sequence[Case], ships: bool
) -> Iterator[dict[str, Any]]:
    """The figures of every way, one after another; else than as it `ships`, both are fitted."""
    single: dict[str, Way] = {
        "most similar sentence": ways.similar,
        "reader": ways.read,
        "model, free": ways.free,
        "model, constrained": ways.constrained,
    }
    for way, answer in single.items():
        yield {"set": name, "way": way, **measure(answer, ways, cases, others)}
    both = partial(ways.both, mixture=Mixture()) if ships else crosswise(ways, cases)
    yield {"set": name, "way": "both", **measure(both, ways, cases, others)}
    if not ships:
        yield {"set": name, "fitted to all": asdict(fit(ways, cases))}


def retrieved(data: Path, cache: Path, encoder: Encoder, asked: Sequence[Question]) -> list[Case]:
    """The questions with the K best of all passages."""
    cache.mkdir(parents=True, exist_ok=True)
    task = read_task(data / SQUAD)
    cached = CachedEncoder(encoder, cache / "questions.npy", list(task.queries.values()))
    make_index(task, cache / "plain", cached, titles=False)
    index = Index.open(cache / "plain", cached)
    try:
        return [
            Case(q.title, Reading(q.text, find_passages(index, q.text, K)), _golds(q))
            for q in asked
        ]
    finally:
        index.close()


def draw(questions: Sequence[Question], count: int) -> list[Question]:
    """Some questions, those of one passage side by side, no two with the same words."""
    different = list({question.text: question for question in questions}.values())
    chosen = set(random.Random(7).sample(range(len(different)), min(count, len(different))))
    return [question for n, question in enumerate(different) if n in chosen]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="a folder or a hub id")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, help="also answer from what is found there")
    parser.add_argument("--questions", type=int, default=200, help="of each set")
    parser.add_argument("--reader", type=Path, default=BUNDLED)
    parser.add_argument("--power", type=float, help="of the length, in the model's scores")
    parser.add_argument("--answer-tokens", type=int, default=48, help="longest free answer")
    parser.add_argument("--reporting", action="store_true", help="report instead of tuning")
    parser.add_argument("--out", type=Path, help="write all lines there, too, as a JSON list")
    return parser.parse_args()


def main() -> None:
    """One line of JSON for each set and way."""
    options = arguments()
    model = resolve(options.model, answer_tokens=options.answer_tokens)
    if not isinstance(model, LocalModel):
        raise OrbweaverError(f"{options.model}: only a local model can be held to words")
    ways = Ways(open_reader(options.reader), model, load_encoder(), options.power)
    split = "reporting" if options.reporting else "calibration"
    squad = draw(of_titles(options.data, SQUAD, "squad", split), options.questions)
    sets = {"SQuAD, own passage": ([gold(each) for each in squad], wrong(squad))}
    if options.reporting:
        policies = of_titles(options.data, POLICYQA, "policyqa", split)
        drawn = draw(policies, options.questions)
        sets["PolicyQA, own passage"] = ([gold(each) for each in drawn], wrong(drawn))
    if options.cache is not None:
        found = retrieved(options.data, options.cache, ways.encoder, squad)
        sets[f"SQuAD, best {K} of all passages"] = (found, [])
    lines = []
    for name, (cases, others) in sets.items():
        for figures in report(name, ways, cases, others, options.reporting):
            print(json.dumps(figures), flush=True)
            lines.append(figures)
    model.close()
    if options.out is not None:
        options.out.write_text(json.dumps(lines, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
