"""An index -> an encoder trained on it: by recurring spans, without a label, or by questions.

A run works in a folder beside the model it makes, which is renamed into place when it is done; a
stopped run goes on from its last saved step.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from retrieval.encoders.checkpoints import open_trainable, save_encoder
from retrieval.encoders.encoder import PACKAGED, find_folder
from retrieval.encoders.encoder_card import card
from retrieval.evaluation.question_data import QuestionBatches, prepare_questions
from retrieval.ingest.writer import LUCENE
from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.spider.mined_spans import MinedSpans, mine_spans
from retrieval.spider.recurring_spans import PAPER, SpanRules
from retrieval.spider.spider_data import SpanBatches
from retrieval.storage.durable import write_file
from retrieval.storage.lock import WriterLock
from retrieval.storage.store import Store
from retrieval.training.encoder_train import EncoderTraining, train_encoder
from retrieval.training.loss_curve import CURVE, PICTURE, LossPoint, draw_curve
from retrieval.training.training_batches import Batches
from retrieval.training.training_questions import read_asked
from retrieval.types import RetrievalError

RUN, SPANS, QUESTIONS = "run.json", "spans.db", "questions.jsonl"


class Hear(Protocol):
    """Hears how far a run is: `stage` is "mining", "searching" or "training"."""

    def __call__(self, stage: str, done: int, total: int, loss: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Start:
    """What a run begins with: an index, an encoder (None is the packaged one), and settings."""

    index: Path
    encoder: str | None
    settings: EncoderTraining


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """What came of a run: `data` says what it was trained on, losses are means of a twentieth."""

    data: Mapping[str, Any]
    steps: int
    first_loss: float
    last_loss: float
    seconds: float


def train_spider(start: Start, out: Path, hear: Hear, rules: SpanRules = PAPER) -> TrainedEncoder:
    """Train on the recurring spans of the index's own passages and write the encoder `out`.

    Raises RetrievalError if `out` is there, if a stopped run began with other settings, or if
    nothing recurs.
    """
    with _store(start.index) as store, _work(start, out, store, asdict(rules)) as work:
        mine_spans(start.index, store, work / SPANS, rules, lambda *of: hear("mining", *of))
        spans = MinedSpans(work / SPANS)
        try:
            documents, neighbourhoods = spans.groups
            data = {
                "method": "recurring spans (Spider), no question and no judgement used",
                **_described(start, store),
                "spans": len(spans),
                "documents with spans": documents,
                "neighbourhoods with spans": neighbourhoods,
                "span rules": asdict(rules),
            }
            if not len(spans):
                raise RetrievalError(f"{start.index}: no words recur between its passages")
            model, separator = _trainable(start)
            size, seed = start.settings.batch_size, start.settings.seed
            batches = SpanBatches(store, spans, separator=separator, size=size, seed=seed)
            return _train(model, separator, batches, work, out, start, data, hear)
        finally:
            spans.close()


def train_on_questions(
    start: Start, questions: Path, out: Path, hear: Hear, split: str = "train"
) -> TrainedEncoder:
    """Train on questions, with wrong passages that BM25 finds in the index; write `out`.

    `questions` is a DPR or SQuAD JSON file, or a BEIR folder with `qrels/SPLIT.tsv`. Raises
    RetrievalError as `train_spider` does, and for files that are none of these.
    """
    used = {"questions": questions.name, "split": split}
    with _store(start.index) as store, _work(start, out, store, used) as work:
        asked = read_asked(questions, store, split)
        searcher = Bm25Searcher(start.index / LUCENE, store.generation)
        try:
            prepared = work / QUESTIONS
            prepare_questions(
                asked, searcher.search, store, prepared, lambda *of: hear("searching", *of)
            )
        finally:
            searcher.close()
        model, separator = _trainable(start)
        size, seed = start.settings.batch_size, start.settings.seed
        batches = QuestionBatches(prepared, separator=separator, size=size, seed=seed)
        try:
            if not len(batches):
                raise RetrievalError(
                    f"{questions}: no question has a right passage and a wrong one in {start.index}"
                )
            data = {
                "method": "questions, negatives by BM25",
                **_described(start, store),
                **used,
                "questions read": len(asked),
                "questions used": len(batches),
            }
            return _train(model, separator, batches, work, out, start, data, hear)
        finally:
            batches.close()


def _train(
    model: Any,
    separator: str,
    batches: Batches,
    work: Path,
    out: Path,
    start: Start,
    data: Mapping[str, Any],
    hear: Hear,
) -> TrainedEncoder:
    def report(point: LossPoint, steps: int) -> None:
        hear("training", point.step, steps, point.loss)

    curve = train_encoder(model, batches, work, start.settings, report)
    draw_curve(curve, work / PICTURE)
    trained = _summary(curve, {**data, "examples an epoch": len(batches)})
    figures = _figures(trained, start.settings)
    text = card(out.name, trained.data, asdict(start.settings), figures, separator)
    beside = {name: (work / name).read_bytes() for name in (CURVE, PICTURE)}
    save_encoder(model, separator, out, {"README.md": text.encode(), **beside})
    return trained


def _summary(curve: list[LossPoint], data: Mapping[str, Any]) -> TrainedEncoder:
    width = max(1, len(curve) // 20)
    first, last = (
        sum(point.loss for point in part) / width for part in (curve[:width], curve[-width:])
    )
    return TrainedEncoder(data, len(curve), first, last, sum(point.seconds for point in curve))


def _figures(trained: TrainedEncoder, settings: EncoderTraining) -> dict[str, Any]:
    return {
        "queries seen": trained.steps * settings.batch_size,
        "epochs": round(trained.steps * settings.batch_size / trained.data["examples an epoch"], 2),
        "loss at first": round(trained.first_loss, 4),
        "loss at last": round(trained.last_loss, 4),
        "hours": round(trained.seconds / 3600, 3),
    }


def _trainable(start: Start) -> tuple[Any, str]:
    model, separator = open_trainable(find_folder(start.encoder))
    if type(model[0]).__name__ == "Router":
        raise RetrievalError(
            f"{start.encoder} has two networks, and training needs one that reads both questions"
            " and passages: start with another encoder"
        )
    return model, separator


def _described(start: Start, store: Store) -> dict[str, Any]:
    documents, passages, _ = store.counts()
    return {
        "index": start.index.resolve().name,
        "documents": documents,
        "passages": passages,
        "started from": Path(start.encoder or PACKAGED).name,
    }


@contextmanager
def _store(index: Path) -> Iterator[Store]:
    store = Store.open(index)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _work(start: Start, out: Path, store: Store, used: Mapping[str, Any]) -> Iterator[Path]:
    """The folder that the run works in, deleted when it ends well; raises RetrievalError."""
    if out.exists():
        raise RetrievalError(f"{out} is there already: name another folder")
    work = out.absolute().with_name(f".{out.absolute().name}.training")
    lock = WriterLock(work)
    try:
        _check_same(work, {**_described(start, store), **used, **asdict(start.settings)}, store)
        yield work
        shutil.rmtree(work)
    finally:
        lock.release()


def _check_same(work: Path, settings: Mapping[str, Any], store: Store) -> None:
    """Write down what the run began with, or check that a stopped one began with the same."""
    ours = json.loads(json.dumps({**settings, "generation": store.generation}))
    path = work / RUN
    if not path.exists():
        write_file(path, (json.dumps(ours, indent=2) + "\n").encode())
        return
    theirs = json.loads(path.read_text("utf-8"))
    changed = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    if changed:
        raise RetrievalError(
            f"a run stopped in {work} that began with other values of {', '.join(changed)}: repeat"
            " them to go on with it, or delete that folder to begin anew"
        )
