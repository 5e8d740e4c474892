"""Documents prepared by a Ray cluster: parsed, cut and encoded in shares, taken in their order.

Files are read by the workers, under the same path everywhere; a corpus is read here and its entries
are sent. The writer that takes the results is the one of any other build, so the index is the same.
"""

import platform
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from retrieval.cluster.workers import Workers
from retrieval.encoders.encoder import Encoder, load_encoder
from retrieval.ingest.prepare import Prepared, Preparer, Vectors
from retrieval.ingest.preparing import FileResult, LocalPreparing, NewFile, Preparing, Start
from retrieval.ingest.sources import CorpusEntry
from retrieval.ingest.stopwatch import Stopwatch
from retrieval.ingest.writer import check_encoder
from retrieval.parse import ParserPool
from retrieval.records import Chunker, EncoderInfo
from retrieval.types import ParseFailure

ENTRIES = 1_000  # of a corpus in a share: a minute or two of a core, a second of a GPU
FILES = 16  # in a share, unless they are large
BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker prepares at a time."""

    files: tuple[NewFile, ...] = ()
    entries: tuple[CorpusEntry, ...] = ()

    def __str__(self) -> str:
        names = [file.source.name for file in self.files] + [entry.id for entry in self.entries]
        return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"

    def sent(self) -> "Share":
        """The same for a process in another folder."""
        return replace(self, files=tuple(_absolute(file) for file in self.files))


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker knows of a build."""

    encoder: EncoderInfo | None
    chunker: Chunker
    ocr: bool
    parsers: int


@dataclass(frozen=True, slots=True)
class Shard:
    """What became of a share: files before entries, and the vectors of all their passages."""

    results: list[Prepared | ParseFailure]
    vectors: Vectors | None  # None without an encoder
    seconds: dict[str, float]


class Worker:
    """Runs in a process of its own, on any machine of the cluster."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._encoder: Encoder | None = None
        self._pool: ParserPool | None = None

    def ready(self) -> None:
        """Find the encoder; raises RetrievalError where this machine has another or none."""
        self._pool = ParserPool(self._job.parsers, ocr=self._job.ocr)
        if self._job.encoder:
            self._encoder = load_encoder(self._job.encoder.id)
            check_encoder(Path(platform.node()), self._job.encoder, self._encoder.info)

    def work(self, share: Share) -> Shard:
        """Parse, cut and encode."""
        assert self._pool, "work follows ready"
        clock = Stopwatch()
        local = LocalPreparing(Preparer(self._encoder, self._job.chunker), clock, self._pool)
        results = [result for _, result in local.files(share.files)]
        results += local.entries(share.entries)
        if self._encoder is None:
            return Shard(results, None, dict(clock.seconds))
        pairs = [pair for result in results for pair in _pairs(result)]
        with clock.running("encode"):
            vectors = self._encoder.encode_corpus(pairs)
        return Shard(results, vectors, dict(clock.seconds))


class RayPreparing:
    """Hands shares to workers, and gives back what they made of them one by one."""

    def __init__(self, workers: Workers, clock: Stopwatch) -> None:
        self._workers = workers
        self._clock = clock

    def files(self, files: Iterable[NewFile]) -> Iterator[FileResult]:
        """Each file with what became of it."""
        for share, results in self._shards(Share(files=some) for some in _by_size(files)):
            yield from zip(share.files, results, strict=True)

    def entries(self, entries: Iterable[CorpusEntry]) -> Iterator[Prepared]:
        """Each entry of a corpus as a document that is one passage."""
        for _, results in self._shards(Share(entries=some) for some in _by_count(entries)):
            yield from (result for result in results if isinstance(result, Prepared))

    def _shards(
        self, shares: Iterable[Share]
    ) -> Iterator[tuple[Share, list[Prepared | ParseFailure]]]:
        """Each share with its results; the workers' seconds are added up by stage."""
        sent: deque[Share] = deque()

        def remembered() -> Iterator[Share]:
            for share in shares:
                sent.append(share)
                yield share.sent()

        for shard in self._workers.map(remembered()):
            for stage, seconds in shard.seconds.items():
                self._clock.seconds[stage] += seconds
            yield sent.popleft(), _with_vectors(shard)


@contextmanager
def _prepare(preparer: Preparer, clock: Stopwatch, ocr: bool, ray: Any) -> Iterator[Preparing]:
    found = ray.cluster_resources()
    cpus, gpus = int(found.get("CPU", 1)), int(found.get("GPU", 0))
    parsers = max(1, cpus // gpus - 1) if gpus else 1
    encoder = preparer.encoder.info if preparer.encoder else None
    job = Job(encoder, preparer.chunker, ocr, parsers)
    actor = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_concurrency=2 if gpus else 1)
    workers = Workers(ray, lambda: actor(Worker).remote(job), gpus or cpus)
    try:
        yield RayPreparing(workers, clock)
    finally:
        workers.close()


def prepare_on(ray: Any) -> Start:
    """Prepare on the cluster that `ray` is connected to: a worker for each GPU, else each core."""
    return partial(_prepare, ray=ray)


def _pairs(result: Prepared | ParseFailure) -> list[tuple[str, str]]:
    """Title and text of each passage, as a writer would encode them."""
    if isinstance(result, ParseFailure):
        return []
    extracted = result.extracted
    return [(extracted.title, extracted.text[p.start : p.end]) for p in result.passages]


def _with_vectors(shard: Shard) -> list[Prepared | ParseFailure]:
    """The results, each with its own part of the vectors, which are copied out of Ray's memory."""
    if shard.vectors is None:
        return shard.results
    vectors = shard.vectors.copy()
    first = 0
    results: list[Prepared | ParseFailure] = []
    for result in shard.results:
        if isinstance(result, Prepared):
            last = first + len(result.passages)
            result = replace(result, vectors=vectors[first:last])
            first = last
        results.append(result)
    return results


def _absolute(file: NewFile) -> NewFile:
    return replace(file, source=replace(file.source, path=file.source.path.absolute()))


def _by_count(entries: Iterable[CorpusEntry]) -> Iterator[tuple[CorpusEntry, ...]]:
    left = iter(entries)
    while some := tuple(islice(left, ENTRIES)):
        yield some


def _by_size(files: Iterable[NewFile]) -> Iterator[tuple[NewFile, ...]]:
    """At most FILES at a time, and fewer where they are large."""
    some: list[NewFile] = []
    size = 0
    for file in files:
        some.append(file)
        with suppress(OSError):  # it is gone: its worker will say so
            size += file.source.path.stat().st_size
        if len(some) == FILES or size >= BYTES:
            yield tuple(some)
            some, size = [], 0
    if some:
        yield tuple(some)
