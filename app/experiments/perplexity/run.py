"""One perplexity run from its files to its folder."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.experiments.errors import ExperimentError
from app.experiments.models.scorer import Row, Scorer
from app.experiments.perplexity.evaluation import Choose, Evaluation, Scored
from app.experiments.perplexity.leakage import Guard
from app.experiments.perplexity.metrics import measure, positions
from app.experiments.perplexity.retrieval_file import Retrieved, read_retrieval, write_retrieval
from app.experiments.perplexity.retrieve import Search, index_digest, open_index, retrieve
from app.experiments.perplexity.strides import Ranking, Setup, Stride, plan
from app.experiments.run_folder import RunFolder, digest_of
from retrieval.storage.durable import write_file
from retrieval.types import Mode

STRIDES, LOSSES = "strides.jsonl", "losses.npy"
RETRIEVAL, REFUSED = "retrieval.json", "refused.json"

Track = Callable[[str, int, int], None]  # what is done, how many of how many


@dataclass(frozen=True, slots=True)
class Request:
    """What is evaluated: a text, with passages from an index or from a retrieval file."""

    text: Path
    index: Path | None
    retrieved: Path | None
    setup: Setup
    retriever: Mode = Mode.BM25
    ranking: Ranking = Ranking.FIRST
    candidates: int = 16  # passages to choose from
    forbidden: Path | None = None  # titles, one a line
    max_tokens: int | None = None  # of the text's beginning
    seed: int = 0
    reranker: Path | None = None

    @property
    def passages(self) -> int:
        """How many passages are retrieved for a stride."""
        return 1 if self.ranking is Ranking.FIRST else self.candidates


@dataclass(frozen=True, slots=True)
class Text:
    """The text that is evaluated, as tokens and in words."""

    text: str
    ids: list[int]
    words: int  # spaces, as the paper's script counts them
    digest: str


def run(
    scorer: Scorer, request: Request, out: Path | None, *, resume: bool, track: Track
) -> tuple[Path, dict[str, Any]]:
    """Evaluate and write the run folder; returns it and its metrics.

    Everything that can be refused is refused before the folder is made. Raises ExperimentError,
    RunError, RetrievalError or ModelError.
    """
    text = read_text(request.text, scorer, request.max_tokens)
    strides = plan(len(text.ids), request.setup)
    guard = Guard(text.text, text.digest, _titles(request.forbidden))
    evaluation = Evaluation(scorer, text.ids, request.setup, request.ranking, _chooser(request))
    scorer.losses([Row(np.array(text.ids[:2], np.int64), np.array([1]))])  # refuses now or never
    with closing(_Source(request, guard)) as source:
        settings = _settings(request, scorer, text, source)
        folder = RunFolder.open(out, "perplexity", settings, resume=resume)
        found = source.found(folder.path, scorer, text.ids, strides, track)
    began, before = time.perf_counter(), len(folder.lines(STRIDES))
    scored = _score(folder, evaluation, strides, found, track)
    seconds = time.perf_counter() - began
    metrics = measure(scored, tokens=len(text.ids), words=text.words, window=request.setup.window)
    metrics["passages"] = {
        "refused": len(json.loads((folder.path / REFUSED).read_text("utf-8"))),
        "cut": len(evaluation.cut),
        "suspect": source.suspect(found),
    }
    np.save(folder.path / LOSSES, positions(scored, len(text.ids)))
    timing = {"strides": len(scored) - before, "scoring_s": seconds}  # of a run's last part
    folder.finish(metrics, {**timing, "tokens_read": evaluation.tokens_read})
    return folder.path, metrics


def read_text(path: Path, scorer: Scorer, max_tokens: int | None) -> Text:
    """A UTF-8 file as tokens, cut to its first `max_tokens`; raises ExperimentError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    ids = scorer.encode(text)
    if max_tokens is not None and max_tokens < len(ids):
        ids = ids[:max_tokens]
        words = scorer.decode(ids).count(" ")
    else:
        words = text.count(" ")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()  # how an index knows its documents
    return Text(text, ids, words, digest)


class _Source:
    """Where passages come from: an index, or a file that says what was retrieved before."""

    def __init__(self, request: Request, guard: Guard) -> None:
        if (request.index is None) == (request.retrieved is None):
            raise ExperimentError("name where passages come from: either --index or --retrieved")
        self._request, self._guard = request, guard
        folder = request.index
        self._index = None if folder is None else open_index(folder, request.retriever)

    @property
    def digest(self) -> str:
        """Of the retrieval file, or of the index's passages and vectors."""
        if self._request.retrieved is not None:
            return digest_of([self._request.retrieved])
        return index_digest(self._request.index or Path())

    def found(
        self,
        folder: Path,
        scorer: Scorer,
        ids: Sequence[int],
        strides: Sequence[Stride],
        track: Track,
    ) -> list[Retrieved]:
        """What was retrieved for each stride, kept in the run's folder from the first time on."""
        kept = folder / RETRIEVAL
        if not kept.exists():
            found = self._all(scorer, ids, strides, track)
            write_file(folder / REFUSED, (json.dumps(self._guard.refused) + "\n").encode())
            write_retrieval(kept, found)
        return read_retrieval(kept, strides)

    def suspect(self, found: Sequence[Retrieved]) -> int:
        """How many different passages look like the text's own: never any from an index."""
        read = {each.text for stride in found for each in stride.candidates}
        return sum(self._guard.is_own(text) for text in read)

    def close(self) -> None:
        """Close the index."""
        if self._index is not None:
            self._index.close()

    def _all(
        self, scorer: Scorer, ids: Sequence[int], strides: Sequence[Stride], track: Track
    ) -> list[Retrieved]:
        request, found = self._request, []
        stream: Iterable[Retrieved]
        if self._index is None:
            stream = read_retrieval(request.retrieved or Path(), strides)
        else:
            search = Search(request.retriever, request.passages, request.setup.query_tokens)
            stream = retrieve(self._index, ids, strides, scorer.decode, search, self._guard)
        for number, each in enumerate(stream, start=1):
            found.append(_first(each, request.passages))
            track("retrieving", number, len(strides))
        return found


def _first(found: Retrieved, passages: int) -> Retrieved:
    candidates = found.candidates[:passages]
    return Retrieved(found.begin, found.end, found.future, found.query, candidates)


def _score(
    folder: RunFolder,
    evaluation: Evaluation,
    strides: Sequence[Stride],
    found: Sequence[Retrieved],
    track: Track,
) -> list[Scored]:
    """The scores of all strides: those in the folder, then the rest as they are made."""
    scored = [_from_line(line) for line in folder.lines(STRIDES)]
    evaluation.pass_over(found[: len(scored)])
    for unit in evaluation.units(strides[len(scored) :], found[len(scored) :]):
        folder.append(STRIDES, [asdict(each) for each in unit])
        scored += unit
        track("scoring", len(scored), len(strides))
    return scored


def _from_line(line: dict[str, Any]) -> Scored:
    return Scored(
        line["begin"],
        line["end"],
        line["chosen"],
        tuple(line["losses"]),
        tuple(line["without"]),
        tuple(line["judged"]),
    )


def _chooser(request: Request) -> Choose:
    """How a passage is chosen where the model itself is not asked."""
    if (request.ranking is Ranking.PREDICTIVE) != (request.reranker is not None):
        raise ExperimentError("--ranking predictive and --reranker go together")
    if request.ranking is Ranking.RANDOM:
        return lambda found: _drawn(found, request.seed)
    if request.reranker is None:
        return lambda found: 0
    from app.experiments.perplexity.predictive import Reranker

    return Reranker.open(request.reranker).choose


def _drawn(found: Retrieved, seed: int) -> int:
    """A rank by seed and stride alone, so that a resumed run draws the same."""
    return int(np.random.default_rng((seed, found.begin)).integers(len(found.candidates)))


def _titles(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read as a list of titles ({error})") from None


def _settings(request: Request, scorer: Scorer, text: Text, source: _Source) -> dict[str, Any]:
    """All that decides the figures."""
    return {
        "text": str(request.text),
        "text_digest": text.digest,
        "tokens": len(text.ids),
        "model": scorer.name,
        "model_digest": scorer.digest,
        "model_parameters": scorer.parameters,
        "passages_from": str(request.index or request.retrieved),
        "passages_digest": source.digest,
        "forbidden": _titles(request.forbidden),
        **asdict(request.setup),
        "retriever": request.retriever,
        "ranking": request.ranking,
        "candidates": request.passages,
        "seed": request.seed,
        "reranker_digest": None
        if request.reranker is None
        else digest_of(request.reranker.glob("*.safetensors")),
    }
