"""Questions with hard negatives on disk, one a line of JSON, and training batches of them."""

from collections.abc import Sequence
from pathlib import Path

from retrieval.records import titled
from retrieval.storage.durable import rename
from retrieval.storage.store import Store
from retrieval.training.training_batches import Triple, numbers_of, rng_of
from retrieval.training.training_questions import (
    Asked,
    Progress,
    Search,
    Text,
    from_line,
    to_line,
    with_negatives,
)
from retrieval.training.training_state import synchronise


def prepare_questions(
    asked: Sequence[Asked], search: Search, store: Store, path: Path, progress: Progress
) -> None:
    """Write the questions for which a wrong passage is known or found to `path`, unless it exists.

    `progress` hears how many questions of how many were searched.
    """
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}.new")
    with open(unfinished, "w", encoding="utf-8") as file:
        for done, question in enumerate(asked, start=1):
            ready = with_negatives(question, search, store)
            if ready.negatives:
                file.write(to_line(ready))
            progress(done, len(asked))
    synchronise(unfinished)
    rename(unfinished, path)


class QuestionBatches:
    """Batches of a prepared file: each question once an epoch, its passages drawn anew."""

    def __init__(self, path: Path, *, separator: str, size: int, seed: int) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - read from as long as batches are wanted
        self._starts = [0]
        for line in self._file:
            self._starts.append(self._starts[-1] + len(line))
        self._starts.pop()
        self._separator = separator
        self._size = size
        self._seed = seed

    def __len__(self) -> int:
        return len(self._starts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def batch(self, step: int) -> list[Triple]:
        """The examples of a step."""
        numbers = numbers_of(step, self._size, len(self), self._seed)
        return [self._triple(epoch, number) for epoch, number in numbers]

    def _triple(self, epoch: int, number: int) -> Triple:
        self._file.seek(self._starts[number])
        asked = from_line(self._file.readline().decode())
        rng = rng_of(self._seed, epoch, number)
        passages = rng.choice(asked.positives), rng.choice(asked.negatives)
        return Triple(asked.question, *map(self._read, passages))

    def _read(self, passage: Text) -> str:
        return titled(passage.title, passage.text, self._separator)
