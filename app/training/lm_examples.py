"""Plain text -> training examples of chunks that belong together (kNN-Pretraining).

A language model relates what stands in one training example far better than what stands in two,
so text about one thing should stand together wherever it is from (Levine et al., 2021, "The
Inductive Bias of In-Context Learning", arXiv 2110.04541). The paper puts a sentence and its nearest
neighbours, which stand elsewhere in the corpus, into one example: the sentence first, then
neighbours until the example is full. So it is here, for chunks of about a hundred words, the
nearest first, with the tokenizer's end of text between them. No code came with the paper; size of
chunks, ceiling against copies, bound on uses and the way of mixing with contiguous text are ours.
"""

import json
import os
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.training.example_plan import ExamplePlan, Kind
from app.training.lm_data import Section, TrainingDataError, document_starts, split_sections
from jamba.tokens.bpe import BOS, EOS
from jamba.tokens.chat import ChatTokenizer
from jamba.training.data import TokenDocument, document
from retrieval.neighbours import nearest_others
from retrieval.passages import split_passages
from retrieval.storage.durable import rename

Vectors = NDArray[np.float32]  # (chunks, d), of unit length
Encode = Callable[[Sequence[str]], Vectors]
Group = list[int]  # the numbers of chunks in one example, in its order


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of plain text and where it stands; documents are numbered through all sources."""

    source: str
    document: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """What one example holds, in order; a contiguous one is a single long chunk."""

    kind: Kind
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What examples are made of: texts by name, their chunks in order, and each one's tokens."""

    texts: Mapping[str, str]
    chunks: Sequence[Chunk]
    sizes: Sequence[int]  # the separator behind a chunk included


def make_examples(
    texts: Mapping[str, str],
    tokenizer: ChatTokenizer,
    plan: ExamplePlan,
    room: int,
    seed: int,
) -> Iterator[Example]:
    """The examples, of at most `room` tokens, of what is trained on; the same for the same seed.

    TrainingDataError where all neighbours would be of the same document.
    """
    taught, _ = split_sections(texts.values(), random.Random(seed))
    chunks = list(cut_chunks(texts, taught, plan.chunk_words))
    sizes = [len(tokenizer.encode(chunk.text)) + 1 for chunk in chunks]
    material = Material(texts, chunks, sizes)
    return build_examples(material, plan, room, unit_vectors, random.Random(seed))


def cut_chunks(
    texts: Mapping[str, str], sections: Iterable[Section], words: int
) -> Iterator[Chunk]:
    """The sections in chunks of about `words` words, in the order of the texts.

    `texts` are by name, and a section's `source` counts them. No chunk crosses documents.
    """
    bodies = list(texts.items())
    starts = [document_starts(body) for _, body in bodies]
    before = np.cumsum([0, *map(len, starts)])
    for section in sorted(sections, key=lambda section: (section.source, section.start)):
        name, body = bodies[section.source]
        ours = starts[section.source]
        end = section.start + len(section.text)
        cuts = [section.start, *(s for s in ours if section.start < s < end), end]
        for first, last in pairwise(cuts):
            number = int(before[section.source]) + bisect_right(ours, first) - 1
            for span in split_passages(body[first:last], words=words):
                a, b = first + span.start, first + span.end
                yield Chunk(name, number, a, b, body[a:b])


def build_examples(
    material: Material, plan: ExamplePlan, room: int, encode: Encode, rng: random.Random
) -> Iterator[Example]:
    """Every chunk in examples of at most `room` tokens.

    The text is first cut into runs that fill an example. The plan's share of these is taken apart
    and its chunks are put together anew; the others are the contiguous examples. With one use
    a chunk, all kinds hold the same text. Raises TrainingDataError where no chunk can have any
    neighbour.
    """
    groups = runs(material, room)
    rng.shuffle(groups)
    mixed = 0 if plan.kind == Kind.CONTIGUOUS else round(plan.share * len(groups))
    loose = sorted(number for group in groups[:mixed] for number in group)
    chunks = [material.chunks[number] for number in loose]
    if plan.kind != Kind.CONTIGUOUS and len({chunk.document for chunk in chunks}) < 2:
        raise TrainingDataError(
            f"neighbours come from other documents, and a share of {plan.share} of the plain text "
            "holds no two; add texts"
        )
    for group in groups[mixed:]:
        yield Example(Kind.CONTIGUOUS, (_joined(material, group),))
    order = rng.sample(range(len(chunks)), len(chunks))
    vectors = encode([chunk.text for chunk in chunks]) if plan.kind == Kind.KNN else None
    leads = zip(order, _neighbours(chunks, order, vectors, plan, rng), strict=True)
    sizes = [material.sizes[number] for number in loose]
    for group in assemble(leads, sizes, room, plan.uses, vectors, plan.ceiling):
        yield Example(plan.kind, tuple(chunks[number] for number in group))


def runs(material: Material, room: int) -> list[Group]:
    """Chunks that follow each other in one document, as many as fit into `room`."""
    chunks, sizes = material.chunks, material.sizes
    found: list[Group] = []
    left = 0
    for number, chunk in enumerate(chunks):
        if not number or not _follows(chunks[number - 1], chunk) or sizes[number] > left:
            found.append([])
            left = room
        found[-1].append(number)
        left -= sizes[number]
    return found


def _follows(before: Chunk, chunk: Chunk) -> bool:
    """Whether only one blank or line end stands between two chunks of one document."""
    return chunk.document == before.document and chunk.start <= before.end + 1


def _joined(material: Material, group: Group) -> Chunk:
    first, last = material.chunks[group[0]], material.chunks[group[-1]]
    text = material.texts[first.source][first.start : last.end]
    return Chunk(first.source, first.document, first.start, last.end, text)


def _neighbours(
    chunks: Sequence[Chunk],
    order: Sequence[int],
    vectors: Vectors | None,
    plan: ExamplePlan,
    rng: random.Random,
) -> Iterator[Group]:
    """For each chunk of `order` those of other documents, best first: the nearest, or any."""
    count = min(plan.candidates, len(chunks) - 1)
    if vectors is None:
        candidates: Iterable[Group] = (rng.sample(range(len(chunks)), count) for _ in order)
    else:
        hits = nearest_others(vectors, order, count)
        candidates = ([number for number, _ in each] for each in hits)
    for lead, numbers in zip(order, candidates, strict=True):
        yield [n for n in numbers if chunks[n].document != chunks[lead].document]


def assemble(
    leads: Iterable[tuple[int, Group]],
    sizes: Sequence[int],
    room: int,
    uses: int,
    vectors: Vectors | None = None,
    ceiling: float = 1.0,
) -> Iterator[Group]:
    """Each lead with those of its neighbours, in their order, that still fit; pure.

    Nothing is used more than `uses` times: a chunk that is used up neither leads nor follows.
    With vectors, nothing joins that is more like a member than `ceiling`.
    """
    left = [uses] * len(sizes)
    for lead, neighbours in leads:
        if not left[lead]:
            continue
        group, free = [lead], room - sizes[lead]
        for other in neighbours:
            if not left[other] or sizes[other] > free:
                continue
            if vectors is None or float(np.max(vectors[group] @ vectors[other])) <= ceiling:
                group.append(other)
                free -= sizes[other]
        for number in group:
            left[number] -= 1
        yield group


def unit_vectors(texts: Sequence[str]) -> Vectors:
    """The packaged encoder's vectors, at unit length, so that inner products are cosines."""
    from retrieval.encoders.encoder import load_encoder

    vectors = load_encoder().encode_passages([("", text) for text in texts])
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """One example a line, as they come: its kind, and its chunks with where they are from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    try:
        with open(unfinished, "w", encoding="utf-8") as file:
            for example in examples:
                file.write(json.dumps(asdict(example), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        rename(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a file, as they are needed; TrainingDataError names a bad line."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                raw = json.loads(line)
                chunks = tuple(Chunk(**chunk) for chunk in raw["chunks"])
                yield Example(Kind(raw["kind"]), chunks)
            except (ValueError, KeyError, TypeError) as error:
                raise TrainingDataError(f"{path}, line {number}: no example ({error})") from None


def example_tokens(example: Example, tokenizer: ChatTokenizer) -> TokenDocument:
    """An example as it is read: the start token, then chunks with the end of text between them."""
    (bos,), (separator,) = tokenizer.encode_special(BOS), tokenizer.encode_special(EOS)
    ids = [bos]
    for number, chunk in enumerate(example.chunks):
        ids += [separator] * bool(number) + tokenizer.encode(chunk.text)
    return document([(ids, 1.0)])
