"""States kept at declared boundaries of prompts, to go on from when a prompt begins the same way.

A leaf of the tree is evicted with its edge; an inner node loses only its state. No hit returns
half a state.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from heapq import heapify, heappop
from pathlib import Path
from threading import Lock

from torch import Tensor

from jamba.cache.disk import MAX_BYTES, SnapshotFolder
from jamba.cache.prefixes import TOKEN_BYTES, Node, as_bytes, names
from jamba.config import JambaConfig
from jamba.state import CPU, Place, SequenceState

REMEMBERED = 10_000  # names of dropped prefixes, kept to say why a lookup missed


class MissReason(StrEnum):
    """Why a prompt, or a declared part of it, had to be read."""

    OFF = "snapshots are off"
    NEW = "not seen before"
    EVICTED = "evicted"
    FORGOTTEN = "forgotten"
    TOO_LARGE = "larger than the budget"


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a lookup: a private state to go on from, if any."""

    state: SequenceState | None = None
    logits: Tensor | None = None  # (V,) after the last token of the state
    source: str = "none"  # "none" | "memory" | "disk"
    miss_reason: MissReason | None = None


@dataclass(slots=True)
class Counters:
    """What the store did so far, in lookups, tokens and snapshots."""

    lookups: int = 0
    prompt_tokens: int = 0
    matched_tokens: int = 0  # stored once as a beginning, whether its state was still there or not
    restored_tokens: int = 0
    recomputed_tokens: int = 0
    stored: int = 0
    evicted: int = 0
    forgotten: int = 0
    unwritable: int = 0  # snapshots that could not be written to the folder
    misses: Counter[MissReason] = field(default_factory=Counter)


class SnapshotStore:
    """Snapshots within a byte budget, in memory and, given a folder, in files that outlive it.

    Prompts are told apart by their token ids, which are compared, and by the fingerprint of the
    model, so that one store can serve several models. Safe to use from any thread.
    """

    def __init__(
        self,
        max_bytes: int = 2**30,
        folder: Path | None = None,
        max_disk_bytes: int = MAX_BYTES,
    ) -> None:
        self.max_bytes = max_bytes
        self._folder = None if folder is None else SnapshotFolder(Path(folder), max_disk_bytes)
        self._unsaved: dict[Node, str] = {}  # with the fingerprint of its model
        self.counters = Counters()
        self._lock = Lock()
        self._writing = Lock()  # taken before the other; held while a file is written
        self._roots: dict[str, Node] = {}
        self._bytes = 0
        self._clock = 0  # ticks with every call that matters to recency
        self._forgotten_at: dict[str, int] = {}  # tag -> clock
        self._dropped: OrderedDict[bytes, MissReason] = OrderedDict()

    @property
    def is_on_disk(self) -> bool:
        """Whether there is a folder to fetch from."""
        return self._folder is not None

    @property
    def now(self) -> int:
        """The store's clock."""
        return self._clock

    @property
    def used_bytes(self) -> int:
        """Bytes of all snapshots."""
        return self._bytes

    def __len__(self) -> int:
        """How many prefixes can be gone on from."""
        with self._lock:
            return sum(node.recurrent is not None for node in self._nodes())

    def find(
        self,
        fingerprint: str,
        config: JambaConfig,
        prompt: Sequence[int],
        boundaries: Sequence[int],
        where: Place = CPU,
    ) -> Found:
        """The state after the longest beginning of `prompt` in memory; `boundaries` are ascending.

        What only the folder has is brought into memory by `fetch`, beforehand.
        """
        tokens = as_bytes(prompt)
        with self._lock:
            self._clock += 1
            known = list(self._root(fingerprint).beginnings(tokens))
            matched = max(map(_end, known))
            best = _deepest(known)
            start = 0 if best is None else best.end
            reason = self._reason(fingerprint, tokens, boundaries, start)
            self._count(len(prompt), matched, start, reason)
            if best is None or best.recurrent is None:
                return Found(miss_reason=reason)
            for node in best.path():
                node.used_at = self._clock
            best.hits += 1
            source = "disk" if best.is_from_disk else "memory"
            best.is_from_disk = False
            edges = [node.kv for node in best.path()]
            state = SequenceState.restored(config, edges, best.recurrent, start, where)
            found = Found(state, best.logits, source, reason)
            self._shrink(best)
            return found

    def fetch(self, fingerprint: str, prompt: Sequence[int], boundaries: Sequence[int]) -> None:
        """Bring the longest beginning of `prompt` that only the folder has into memory.

        Slow: not for a thread that makes tokens. `boundaries` are ascending.
        """
        if self._folder is None:
            return
        tokens = as_bytes(prompt)
        with self._lock:
            asked_at = self._clock
            known = self._known(fingerprint, tokens)
            best = _deepest(known.values())
        start = 0 if best is None else best.end
        named = names(fingerprint, tokens, [end for end in boundaries if end > start])
        for name in reversed(named.values()):
            if chain := self._folder.chain(fingerprint, name, tokens, known):
                self._take_in(fingerprint, tokens, chain, asked_at)
                return

    def _take_in(
        self, fingerprint: str, tokens: bytes, chain: list[tuple[Node, bytes]], asked_at: int
    ) -> None:
        """Hang what was read from files into the tree, if what it hangs on is still there.

        A state that alone exceeds the budget stays until it was gone on from, or others come.
        """
        with self._lock:
            tags = frozenset[str]().union(*(node.tags for node, _ in chain))
            if any(self._forgotten_at.get(tag, 0) > asked_at for tag in tags):
                return
            known = self._known(fingerprint, tokens)
            if chain[0][0].name not in known and chain[0][1] not in known:
                return
            for node, above in chain:
                if node.name not in known:
                    known[node.name] = self._hang(node, known[above])
                elif known[node.name].recurrent is None:  # only its state had been evicted
                    self._refill(known[node.name], node)
            deepest = known[chain[-1][0].name]
            deepest.is_from_disk = True
            if deepest.total_bytes <= self.max_bytes:
                self._shrink(deepest)

    def put(
        self,
        fingerprint: str,
        prompt: Sequence[int],
        state: SequenceState,
        logits: Tensor,  # (V,)
        tags: frozenset[str],
        asked_at: int,
    ) -> None:
        """Store a copy of `state`, that after the first `state.length` tokens of `prompt`.

        `asked_at` is `now` at the time the request came: what was forgotten since stays away.
        """
        end = state.length
        if not 0 < end <= len(prompt):
            raise AssertionError(f"a state after {end} tokens of a prompt of {len(prompt)}")
        tokens = as_bytes(prompt[:end])
        with self._lock:
            if any(self._forgotten_at.get(tag, 0) > asked_at for tag in tags):
                return
            self._clock += 1
            node = max(self._root(fingerprint).beginnings(tokens), key=_end)
            if node.end < end:
                name = names(fingerprint, tokens, [end])[end]
                edge, kv = tokens[node.end * TOKEN_BYTES :], state.kv(since=node.end)
                node = self._hang(Node(name, edge, end, kv=kv), node)
            if node.recurrent is None:
                node.fill(state.recurrent(), logits.clone())
                self._bytes += node.state_bytes
                self.counters.stored += 1
                self._is_new(node, fingerprint)
            if not tags <= node.tags:
                node.tags |= tags
                self._is_new(node, fingerprint)
            node.used_at = self._clock
            self._shrink(node)

    def size(self, fingerprint: str, prompt: Sequence[int]) -> int | None:
        """Bytes of the snapshot after exactly this prompt, its keys and values included."""
        tokens = as_bytes(prompt)
        with self._lock:
            for node in self._root(fingerprint).beginnings(tokens):
                if node.end == len(prompt) and node.recurrent is not None:
                    return node.state_bytes + sum(
                        n.total_bytes - n.state_bytes for n in node.path()
                    )
            return None

    def flush(self) -> None:
        """Write what is new to the folder; slow: not for a thread that makes tokens."""
        if self._folder is None:
            return
        while self._save_one(self._folder):
            pass
        with suppress(OSError), self._writing:
            self._folder.shrink()

    def _save_one(self, folder: SnapshotFolder) -> bool:
        """Write the snapshot that waits longest; False where none does."""
        with self._writing:
            with self._lock:
                node = next(iter(self._unsaved), None)
                if node is None:
                    return False
                fingerprint = self._unsaved.pop(node)
                copy = replace(node, below={})  # what is evicted meanwhile loses its tensors
            try:
                if copy.recurrent is not None:  # not evicted before
                    folder.save(fingerprint, copy)
            except OSError:  # a full disk costs time, never an answer
                self.counters.unwritable += 1
            return True

    def forget(self, tag: str) -> int:
        """Drop the snapshots of requests with this tag and all that go on from one.

        Returns how many there were in memory or in files, where these are more.
        """
        with self._writing, self._lock:  # no file is being written
            self._clock += 1
            self._forgotten_at[tag] = self._clock
            tagged = [node for node in self._nodes() if tag in node.tags]
            tops = [node for node in tagged if not any(tag in n.tags for n in node.path()[:-1])]
            count = sum(n.recurrent is not None for top in tops for n in top.subtree())
            for top in tops:
                self._remove(top, MissReason.FORGOTTEN)
            on_disk = 0 if self._folder is None else self._folder.forget(tag)
            self.counters.forgotten += max(count, on_disk)
            return max(count, on_disk)

    def _is_new(self, node: Node, fingerprint: str) -> None:
        if self._folder is not None:
            self._unsaved[node] = fingerprint

    def _root(self, fingerprint: str) -> Node:
        return self._roots.setdefault(fingerprint, Node(b"", b"", 0))

    def _nodes(self) -> Iterator[Node]:
        """Every node but the roots."""
        return (n for root in self._roots.values() for n in root.subtree() if n.above is not None)

    def _reason(
        self, fingerprint: str, tokens: bytes, boundaries: Sequence[int], start: int
    ) -> MissReason | None:
        """Why no declared boundary behind `start` could be restored; None where all were."""
        named = names(fingerprint, tokens, (end for end in boundaries if end > start))
        for name in reversed(named.values()):
            if name in self._dropped:
                return self._dropped[name]
        return MissReason.NEW if named else None

    def _known(self, fingerprint: str, tokens: bytes) -> dict[bytes, Node]:
        """The nodes that `tokens` begin with, by name."""
        return {node.name: node for node in self._root(fingerprint).beginnings(tokens)}

    def _refill(self, node: Node, read: Node) -> None:
        if read.recurrent is None or read.logits is None:
            raise AssertionError("a file holds a state")
        node.fill(read.recurrent, read.logits)
        self._bytes += node.state_bytes

    def _count(self, prompt: int, matched: int, restored: int, reason: MissReason | None) -> None:
        counters = self.counters
        counters.lookups += 1
        counters.prompt_tokens += prompt
        counters.matched_tokens += matched
        counters.restored_tokens += restored
        counters.recomputed_tokens += prompt - restored
        if reason is not None:
            counters.misses[reason] += 1

    def _hang(self, node: Node, above: Node) -> Node:
        node.above = above
        above.below[node.tokens] = node
        node.used_at = self._clock
        self._bytes += node.total_bytes
        self._dropped.pop(node.name, None)
        return node

    def _shrink(self, newest: Node) -> None:
        """Evict until the budget holds; a state that alone exceeds it goes first."""
        if newest.total_bytes > self.max_bytes:
            self._evict(newest, MissReason.TOO_LARGE)
        if self._bytes <= self.max_bytes:
            return
        states = [node for node in self._nodes() if node.recurrent is not None]
        worst = [(node.score(self._clock), node.used_at, node.name, node) for node in states]
        heapify(worst)
        while self._bytes > self.max_bytes:
            self._evict(heappop(worst)[-1], MissReason.EVICTED)

    def _evict(self, node: Node, reason: MissReason) -> None:
        self.counters.evicted += 1
        if not node.below:
            self._remove(node, reason)
            return
        self._bytes -= node.state_bytes
        node.empty()
        self._remember(node.name, reason)

    def _remove(self, node: Node, reason: MissReason) -> None:
        """Cut a node off with all below it, and those above that then lead nowhere."""
        for gone in node.subtree():
            self._bytes -= gone.total_bytes
            self._unsaved.pop(gone, None)  # which would keep its memory beyond the budget
            self._remember(gone.name, reason)
        above = node.above
        if above is None:
            raise AssertionError("a root is not removed")
        del above.below[node.tokens]
        if above.above is not None and above.recurrent is None and not above.below:
            self._remove(above, reason)

    def _remember(self, name: bytes, reason: MissReason) -> None:
        self._dropped[name] = reason
        if len(self._dropped) > REMEMBERED:
            self._dropped.popitem(last=False)


def _deepest(nodes: Iterable[Node]) -> Node | None:
    """The longest prefix with a state, if any."""
    return max((n for n in nodes if n.recurrent is not None), key=_end, default=None)


def _end(node: Node) -> int:
    return node.end
