"""The tree of stored prefixes: its nodes, and what can be asked of them without a model.

Each node is a prefix that some prompt declared, its edge the tokens since the node above. Keys and
values lie on the edges, what is recurrent at the nodes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
from torch import Tensor

from jamba.state import Tensors

TOKEN_BYTES = 4
PASSED_THROUGH = 0.5  # chosen by benchmarks/engine/bench_policy.py


def as_bytes(tokens: Sequence[int]) -> bytes:
    """Token ids as int32, so that prefixes compare at the speed of memory."""
    return np.asarray(tokens, dtype=np.int32).tobytes()


def names(fingerprint: str, tokens: bytes, ends: Iterable[int]) -> dict[int, bytes]:
    """A name for the prefix at each of the ascending `ends`: a hash chain over model and tokens."""
    chain = sha256(fingerprint.encode())
    done, named = 0, {}
    for end in ends:
        chain.update(tokens[done * TOKEN_BYTES : end * TOKEN_BYTES])
        done, named[end] = end, chain.digest()
    return named


@dataclass(slots=True, eq=False)
class Node:
    """The prefix of `end` tokens: those of the node above and `tokens`."""

    name: bytes
    tokens: bytes  # of the edge
    end: int
    above: "Node | None" = None  # None: a root, or not yet in a tree
    kv: Tensors = ()  # of the edge's tokens
    recurrent: Tensors | None = None  # None: evicted
    logits: Tensor | None = None  # (V,), there when `recurrent` is
    tags: frozenset[str] = frozenset()
    below: dict[bytes, "Node"] = field(default_factory=dict)  # by the tokens of their edges
    hits: int = 0
    used_at: int = 0
    is_from_disk: bool = False  # read from a file, and not yet gone on from
    edge_bytes: int = field(init=False)  # memory that goes with the edge
    state_bytes: int = 0  # memory that goes when the state goes

    def __post_init__(self) -> None:
        self.edge_bytes = len(self.tokens) + sum(int(tensor.nbytes) for tensor in self.kv)

    def fill(self, recurrent: Tensors, logits: Tensor) -> None:
        """Give the node its state."""
        self.recurrent, self.logits = recurrent, logits
        self.state_bytes = sum(int(tensor.nbytes) for tensor in (*recurrent, logits))

    def empty(self) -> None:
        """Take the state away."""
        self.recurrent = self.logits = None
        self.state_bytes = 0

    def path(self) -> "list[Node]":
        """The nodes from the first edge down to this one; the root has none."""
        path, node = [], self
        while node.above is not None:
            path.append(node)
            node = node.above
        return path[::-1]

    def subtree(self) -> "Iterator[Node]":
        """This node and all below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.below.values())

    def beginnings(self, tokens: bytes) -> "Iterator[Node]":
        """This node and those below that `tokens` begin with; siblings may begin alike."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            at = node.end * TOKEN_BYTES
            waiting.extend(n for n in node.below.values() if tokens.startswith(n.tokens, at))

    @property
    def total_bytes(self) -> int:
        """Memory that goes when the node goes."""
        return self.state_bytes + self.edge_bytes

    @property
    def is_passed_through(self) -> bool:
        """Whether one prompt alone went on from here: its state has served nobody so far."""
        return len(self.below) == 1 and not self.hits

    def score(self, now: int) -> float:
        """What eviction weighs: tokens saved by its state for each byte, hits and recency.

        Tokens count from the state above that would be gone on from instead. Where prompts have
        not parted, a state counts less, and is not reckoned with by those below it.
        """
        alone = self.is_passed_through
        above = self.above
        while above is not None and above.above is not None:
            if above.recurrent is not None and (alone or not above.is_passed_through):
                break
            above = above.above
        saved = self.end - (0 if above is None else above.end)
        size = self.state_bytes if self.below else self.total_bytes
        weight = PASSED_THROUGH if alone else 1.0
        return weight * saved / size * (1 + self.hits) / (1 + now - self.used_at)
