"""How plain text is made into training examples: what stands beside a chunk in its example."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Where the chunks of an example are from."""

    KNN = "knn"  # a chunk and its nearest neighbours in other documents
    RANDOM = "random"  # a chunk and any others of other documents: a control
    CONTIGUOUS = "contiguous"  # a run of one document, as language models are always trained


@dataclass(frozen=True, slots=True)
class ExamplePlan:
    """What a recipe says of its examples; ValueError for what cannot be."""

    kind: Kind = Kind.KNN
    share: float = 0.5  # of the text is in examples of that kind; the rest stays contiguous
    ceiling: float = 0.9  # cosine above which two chunks count as copies of each other
    uses: int = 1  # how many examples a chunk may stand in
    candidates: int = 64  # chunks looked at for the neighbours of one
    chunk_words: int = 100

    def __post_init__(self) -> None:
        if self.kind not in list(Kind):
            raise ValueError(f"kind = {self.kind!r}; there are {', '.join(Kind)}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share = {self.share} must be above 0 and at most 1")
        for name in ("uses", "candidates", "chunk_words"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
