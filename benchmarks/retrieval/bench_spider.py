"""An encoder adapted to each collection's own passages, without a question: does it find more?

    python -m benchmarks.retrieval.bench_spider ../shared/data --cache CACHE [--steps 300]
        [--batch-size 64]

For SQuAD's subset, the four judged collections and a corpus of long documents: BM25, the packaged
MiniLM, MiniLM adapted by Spider's recurring spans, and the hybrids of BM25 with each. Reported on
SQuAD's reporting articles and on all folds of the collections; a hybrid's weight is chosen on the
tuning articles, or for each fold on the other four. The encoder sees the passages of the whole
collection and none of its questions. Differences come with a paired test.

The long documents (three books, twenty accident reports) have no questions. They are asked made-up
ones, sentences with a gap (`retrieval/reading/gap_questions.py`), whose own passage alone is right:
they share words with it, which favours BM25 more than people's questions do. Every second one
tunes.

CACHE keeps indexes, models and vectors, outside the repository; a stopped run goes on from there.
About ten minutes a hundred steps of 64 on two cores, and two for embedding a thousand passages.
--mining only measures how many passages a minute are mined for spans.
"""

import argparse
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.experiments.significance import compare, in_words
from benchmarks.retrieval.bench_retrieval import RESULTS, CachedEncoder
from benchmarks.retrieval.prepared import (
    SMALL,
    SQUAD,
    Prepared,
    fold_queries,
    prepare,
    squad_queries,
)
from benchmarks.retrieval.tune_fusion import FOLDS, ids, scored
from retrieval.encoders.encoder import load_encoder
from retrieval.evaluation.answer_match import answer_rank
from retrieval.evaluation.evaluate import PerQuery, match_answers, measure_each
from retrieval.evaluation.squad import read_squad
from retrieval.evaluation.tasks import Task
from retrieval.fusion import Fusion, Method, hybrid
from retrieval.index import Index
from retrieval.ingest.build import build_index
from retrieval.ingest.reembed import reembed
from retrieval.ingest.writer import IndexWriter
from retrieval.reading.gap_questions import gap_questions
from retrieval.spider.recurring_spans import spider_spans
from retrieval.storage.store import Store
from retrieval.training.encoder_runs import Start, train_spider
from retrieval.training.encoder_train import EncoderTraining
from retrieval.types import Extracted, Mode

LONG = "long documents"
BOOKS = ("federalist.txt", "holmes.txt", "war_and_peace_full.txt")
MADE_UP = 1_000  # questions about the long documents
K = 20
JUDGED, ANSWERED = ("nDCG@10", "R@20"), ("AnswerString@1", "AnswerString@5", "AnswerString@20")
WEIGHTS = [Fusion(Method.CONVEX, round(0.1 * step, 1)) for step in range(11)]
SYSTEMS = ("BM25", "MiniLM", "Spider-adapted", "BM25 + MiniLM", "BM25 + Spider-adapted")
COMPARED = (
    ("MiniLM", "Spider-adapted"),
    ("BM25 + MiniLM", "BM25 + Spider-adapted"),
    ("BM25", "BM25 + Spider-adapted"),
    ("Spider-adapted", "BM25 + Spider-adapted"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where things are kept, and how long is trained."""

    data: Path
    cache: Path
    steps: int
    batch_size: int
    max_tokens: int


def quiet(*_: object, **__: object) -> None:
    """Hears nothing."""


def collection(name: str, setting: Setting) -> Prepared:
    """The collection under MiniLM."""
    return long_documents(setting) if name == LONG else prepare(name, setting.data, setting.cache)


def long_documents(setting: Setting) -> Prepared:
    """Books and reports, cut into passages, and made-up questions about some of these."""
    path = setting.cache / "long"
    encoder = load_encoder()
    if not path.exists():
        sources = [setting.data / "text" / book for book in BOOKS]
        build_index(
            [*sources, setting.data / "files" / "ntsb_pdf"], path, encoder=encoder, progress=quiet
        )
    task = made_up(path)
    vectors = setting.cache / "long-questions.npy"
    cached = CachedEncoder(encoder, vectors, list(task.queries.values()))
    return Prepared(LONG, task, Index.open(path, cached))


def made_up(path: Path) -> Task:
    """A question each about some passages of an index; only its own passage is right."""
    store = Store.open(path)
    texts = {p.row: p.text for p in store.placed_after(0, store.last_row())}
    names = store.ids_of_rows(list(texts))
    store.close()
    rng = random.Random(11)
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    for row in rng.sample(sorted(texts), min(MADE_UP, len(texts))):
        for question in gap_questions(texts[row], 1, rng):
            queries[f"made-up-{row}"] = question.text
            qrels[f"made-up-{row}"] = {names[row]: 1}
    return Task((), queries, qrels)


def adapted(one: Prepared, setting: Setting) -> Prepared:
    """The collection under an encoder trained on its own passages; made where it is missing."""
    folder = setting.cache / "spider" / f"{one.name.replace(' ', '-')}-{setting.steps}"
    model, copy = folder / "model", folder / "index"
    folder.mkdir(parents=True, exist_ok=True)
    if not model.exists():
        settings = EncoderTraining(
            steps=setting.steps, batch_size=setting.batch_size, max_tokens=setting.max_tokens
        )
        train_spider(Start(mined_from(one, folder), None, settings), model, told)
    if not copy.exists():
        shutil.copytree(one.index.path, folder / ".copying", dirs_exist_ok=True)
        (folder / ".copying").rename(copy)
    reembed(copy, load_encoder(str(model)), lambda *of: told("encoding", *of))
    vectors = folder / "questions.npy"
    cached = CachedEncoder(load_encoder(str(model)), vectors, list(one.task.queries.values()))
    return Prepared(one.name, one.task, Index.open(copy, cached))


def mined_from(one: Prepared, folder: Path) -> Path:
    """The index that spans are mined in: SQuAD's paragraphs are put back into their articles."""
    if one.name != SQUAD:
        return one.index.path
    path = folder / "articles"
    with IndexWriter(path, None) as writer:
        for entry in one.task.entries:
            if not writer.has(entry.id):
                extracted = Extracted(entry.title, entry.text, (), "text/plain")
                writer.add(entry.id, entry.id, extracted, whole=True)
        writer.commit()
    return path


def told(stage: str, done: int, total: int, loss: float | None = None) -> None:
    """One line on standard error now and then."""
    if done == total or done % max(1, total // 20) == 0:
        shown = "" if loss is None else f", loss {loss:.3f}"
        print(f"{stage} {done}/{total}{shown}", file=sys.stderr, flush=True)


def figures(
    base: Prepared, spider: Prepared, answers: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, PerQuery]]:
    """Per query: every measure of every system; of hybrids under each weight, by its name."""
    asked = list(base.task.queries)
    lexical = scored(base.found(asked, Mode.BM25))
    dense = {
        "MiniLM": scored(base.found(asked, Mode.DENSE)),
        "Spider-adapted": scored(spider.found(asked, Mode.DENSE)),
    }
    rankings = {"BM25": {"": {q: [h.passage_id for h in lexical[q][:K]] for q in asked}}}
    for name, found in dense.items():
        rankings[name] = {"": {q: [h.passage_id for h in found[q][:K]] for q in asked}}
        rankings[f"BM25 + {name}"] = {
            str(rule): {q: ids(hybrid(lexical[q], found[q], K, fusion=rule)) for q in asked}
            for rule in WEIGHTS
        }
    return {
        name: {rule: measured(base, ranked, answers) for rule, ranked in by_rule.items()}
        for name, by_rule in rankings.items()
    }


def measured(
    one: Prepared, ranked: Mapping[str, Sequence[str]], answers: Mapping[str, Sequence[str]]
) -> PerQuery:
    values = measure_each(one.task.qrels, ranked, JUDGED)
    if not answers:
        return values
    texts = {
        passage.id: passage.text
        for query in ranked
        for passage in one.index.passages(ranked[query])
    }
    ranks = {q: answer_rank([texts[id] for id in ranked[q]], answers[q]) for q in ranked}
    matched = match_answers(ranks, (1, 5, 20))
    return {query: {**values[query], **matched[query]} for query in values}


def parts_of(one: Prepared) -> list[tuple[list[str], list[str]]]:
    """Pairs of (tuning, reporting) questions; no question tunes its own report."""
    if one.name == SQUAD:
        return [(squad_queries(one.task, "tuning"), squad_queries(one.task, "reporting"))]
    if one.name == LONG:
        asked = list(one.task.queries)
        return [(asked[::2], asked[1::2])]
    return [
        (
            fold_queries(one.name, one.task, [other for other in FOLDS if other != fold]),
            fold_queries(one.name, one.task, [fold]),
        )
        for fold in FOLDS
    ]


def reported(
    by_rule: Mapping[str, PerQuery], parts: Sequence[tuple[list[str], list[str]]]
) -> tuple[PerQuery, list[str]]:
    """The reporting questions under the rule that their tuning questions choose, and the rules."""
    values: PerQuery = {}
    rules = []
    for tuning, reporting in parts:
        best = max(by_rule, key=lambda rule: sum(by_rule[rule][q]["nDCG@10"] for q in tuning))
        rules.append(best)
        values |= {query: by_rule[best][query] for query in reporting}
    return values, rules


def section(one: Prepared, values: Mapping[str, Mapping[str, PerQuery]]) -> str:
    """A collection's table and its comparisons."""
    shown = {name: reported(values[name], parts_of(one)) for name in SYSTEMS}
    measures = list(next(iter(shown["BM25"][0].values())))
    count = len(shown["BM25"][0])
    lines = [f"## {one.name}: {count} questions", "", f"| | {' | '.join(measures)} | weight |"]
    lines.append(f"|---|{'---|' * (len(measures) + 1)}")
    for name, (found, rules) in shown.items():
        cells = [100 * sum(each[m] for each in found.values()) / count for m in measures]
        row = " | ".join(f"{cell:.1f}" for cell in cells)
        lines.append(f"| {name} | {row} | {', '.join(sorted(set(rules)))} |")
    lines.append("")
    for before, after in COMPARED:
        ours, theirs = (
            [100 * each["nDCG@10"] for each in shown[name][0].values()] for name in (before, after)
        )
        lines.append(f"- {in_words(compare('nDCG@10', ours, theirs), before, after)}")
    return "\n".join(lines)


def answers_of(one: Prepared, setting: Setting) -> dict[str, tuple[str, ...]]:
    """The gold answers of SQuAD's questions; nothing for the other collections."""
    if one.name != SQUAD:
        return {}
    questions = read_squad(setting.data / "qa" / "squad_v1.1_subset.json")
    return {q.id: tuple(answer.text for answer in q.answers) for q in questions}


def mining(data: Path) -> str:
    """How fast spans are mined, on one core: SQuAD's articles, over and over for ten seconds."""
    articles: dict[str, dict[str, None]] = {}
    for question in read_squad(data / "qa" / "squad_v1.1_subset.json"):
        articles.setdefault(question.title, {})[question.context] = None
    began, passages, spans = time.perf_counter(), 0, 0
    while time.perf_counter() - began < 10:
        for texts in articles.values():
            passages += len(texts)
            spans += len(spider_spans(list(texts)))
    seconds = time.perf_counter() - began
    return (
        f"{60 * passages / seconds:,.0f} passages a minute on one core;"
        f" {spans / passages:.1f} spans a passage"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--collections", nargs="+", default=[SQUAD, *SMALL, LONG])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=128, help="of a text, while training")
    parser.add_argument("--mining", action="store_true", help="only how fast spans are mined")
    parser.add_argument("--write", action="store_true", help="keep the tables in results/spider.md")
    options = parser.parse_args()
    if options.mining:
        print(mining(options.data))
        return
    setting = Setting(
        options.data, options.cache, options.steps, options.batch_size, options.max_tokens
    )
    sections = []
    for name in options.collections:
        base = collection(name, setting)
        spider = adapted(base, setting)
        values = figures(base, spider, answers_of(base, setting))
        sections.append(section(base, values))
        print(sections[-1], flush=True)
    if options.write:
        command = "python -m benchmarks.retrieval.bench_spider DATA --cache CACHE"
        command += f" --steps {options.steps} --batch-size {options.batch_size}"
        command += f" --max-tokens {options.max_tokens}"
        head = f"# Encoders adapted without a question\n\n`{command}`"
        write(RESULTS / "spider.md", head, sections)


def write(path: Path, head: str, sections: Sequence[str]) -> None:
    """Keep the sections; those of collections that were not measured now stay as they were."""
    kept = path.read_text("utf-8").split("\n\n## ")[1:] if path.exists() else []
    found = {text.split(":")[0]: f"## {text.strip()}" for text in kept}
    found |= {text.removeprefix("## ").split(":")[0]: text for text in sections}
    path.write_text("\n\n".join([head, *found.values()]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
