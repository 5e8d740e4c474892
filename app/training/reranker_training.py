"""From questions and an index to a cross-encoder folder that `--rerank` takes."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from app.experiments.run_folder import RunFolder, digest_of
from app.types import OrbweaverError
from retrieval.encoders.encoder import find_folder
from retrieval.evaluation.question_data import QuestionBatches, prepare_questions
from retrieval.ingest.writer import LUCENE
from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.rerank import weights_hash
from retrieval.storage.durable import rename, write_file
from retrieval.storage.lock import WriterLock
from retrieval.storage.store import FILE, Store
from retrieval.training.rerank_train import (
    RerankerTraining,
    new_cross_encoder,
    right_first,
    train_reranker,
)
from retrieval.training.training_questions import Asked, read_asked

CARD = "reranker.json"
TRAINED, HELD_OUT = "questions.jsonl", "held_out.jsonl"
EVERY = 10  # one question in so many is held out
SEPARATOR = "\n"  # between title and text, as rerank reads them
MODEL_CARD = "---\nlibrary_name: sentence-transformers\npipeline_tag: text-ranking\n---\n"


class Hear(Protocol):
    """Hears how far it is: `stage` is "searching" or "training"."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What to train on what: `base` is an encoder or cross-encoder, None the packaged encoder."""

    index: Path
    questions: Path
    split: str
    base: str | None
    settings: RerankerTraining


@dataclass(frozen=True, slots=True)
class RerankerScores:
    """Of `held_out` questions, the percent whose right passage scores above a BM25 negative.

    `right_first_before` is what the untrained head gave, about 50 for a fresh one.
    """

    trained_on: int
    held_out: int
    right_first_before: float
    right_first: float


def train(request: Request, out: Path, hear: Hear) -> RerankerScores:
    """Train and write `out`; the same call goes on with a stopped run. Raises OrbweaverError."""
    if out.exists():
        raise OrbweaverError(f"{out} is there already: name another folder")
    base = find_folder(request.base)
    work = RunFolder.open(
        out.absolute().with_name(f".{out.absolute().name}.training"),
        "reranker",
        _settings(request, base),
        resume=True,
    ).path
    lock = WriterLock(work)
    try:
        with _examples(request, work, hear) as (trained, held_out):
            scores = _train(request, base, work, trained, held_out, hear)
        card = {**_settings(request, base), "scores": asdict(scores)}
        write_file(work / "model" / CARD, (json.dumps(card, indent=2) + "\n").encode())
        rename(work / "model", out)
        shutil.rmtree(work)
    finally:
        lock.release()
    return scores


def _settings(request: Request, base: Path) -> dict[str, object]:
    """What decides the run, with digests."""
    path = request.questions
    files = [path / "queries.jsonl", path / "qrels" / f"{request.split}.tsv"]
    return {
        "questions": digest_of(files if path.is_dir() else [path]),
        "index": digest_of([request.index / FILE]),
        "base": {"id": request.base, "sha256": weights_hash(base)},
        "training": asdict(request.settings),
    }


def _train(
    request: Request,
    base: Path,
    work: Path,
    trained: QuestionBatches,
    held_out: QuestionBatches,
    hear: Hear,
) -> RerankerScores:
    settings = request.settings
    model = new_cross_encoder(base, work, settings)
    steps = max(1, len(held_out) // settings.batch_size)
    before = right_first(model, held_out, steps)
    train_reranker(
        model, trained, work, settings, lambda step, total, loss: hear("training", step, total)
    )
    after = right_first(model, held_out, steps)
    model.save_pretrained(str(work / "model"), create_model_card=False)
    write_file(work / "model" / "README.md", MODEL_CARD.encode())
    return RerankerScores(len(trained), len(held_out), round(before, 2), round(after, 2))


@contextmanager
def _examples(
    request: Request, work: Path, hear: Hear
) -> Iterator[tuple[QuestionBatches, QuestionBatches]]:
    """Batches to train on, and of every tenth question; wrong passages are BM25's best."""
    store = Store.open(request.index)
    opened: list[QuestionBatches] = []
    try:
        asked = read_asked(request.questions, store, request.split)
        searcher = Bm25Searcher(request.index / LUCENE, store.generation)
        try:
            for name, part in ((TRAINED, _rest(asked)), (HELD_OUT, asked[::EVERY])):
                prepare_questions(
                    part, searcher.search, store, work / name, lambda *of: hear("searching", *of)
                )
        finally:
            searcher.close()
        size, seed = request.settings.batch_size, request.settings.seed
        for name in (TRAINED, HELD_OUT):
            batches = QuestionBatches(work / name, separator=SEPARATOR, size=size, seed=seed)
            opened.append(batches)
            if not len(batches):
                raise OrbweaverError(
                    f"{request.questions}: too few questions with a right passage and a wrong one"
                    f" in {request.index}"
                )
        yield opened[0], opened[1]
    finally:
        for batches in opened:
            batches.close()
        store.close()


def _rest(asked: Sequence[Asked]) -> list[Asked]:
    return [each for number, each in enumerate(asked) if number % EVERY]
