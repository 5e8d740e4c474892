"""Which states are worth keeping: token hit rates of the real store over a seeded trace, no model.

    python -m benchmarks.engine.bench_policy [--requests 2000] [--seed 0] [--json]

The trace is retrieval-augmented: Zipf-distributed passages, k = 4, several users, follow-ups about
the same passages, a few repeated questions. Every policy puts its snapshots into the same store
under the same budget; its tensors are on torch's meta device, so they have sizes and no contents.
Sizes are those of Jamba Reasoning 3B in float32.
"""

import argparse
import bisect
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch

from jamba import state as state_module
from jamba.cache.prefixes import Node
from jamba.cache.snapshots import SnapshotStore
from jamba.config import JambaConfig
from jamba.state import AttentionState, MambaState, Place, SequenceState

# The bytes of Jamba Reasoning 3B in float32, in two layers instead of 28: 26 Mamba layers of width
# 5120 as one of 133,120, and the one KV head of each of two attention layers as two of one layer.
CONFIG = JambaConfig(
    hidden_size=2560, num_hidden_layers=2, num_attention_heads=20, num_key_value_heads=2,
    attn_layer_period=2, attn_layer_offset=1, mamba_expand=52,
)  # fmt: skip
BUDGETS_GIB = (1, 4, 16)
NOWHERE = Place(torch.device("meta"), torch.float32)
PASSAGES, IN_A_DOCUMENT, K, USERS = 5000, 10, 4, 20
SYSTEM_TOKENS, PASSAGE_TOKENS, QUESTION_TOKENS, ANSWER_TOKENS = 60, (90, 260), (10, 40), (20, 80)
ALIGN, ALL = 528, 2048  # block sizes of vLLM's two modes for hybrid models
Order = Callable[[Sequence[int], Counter[int]], list[int]]


@dataclass(frozen=True)
class Prompt:
    """Token ids, and the declared ends of its parts: system, each passage."""

    ids: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Asked:
    """A question: passages by relevance, and the tokens that follow them."""

    passages: tuple[int, ...]
    tail: tuple[int, ...]  # earlier turns and the question


def main() -> None:
    """Play the trace under each policy; print tables, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    asked = list(trace(options.requests, options.seed))
    prompts = laid_out(asked, by_relevance)
    result: dict[str, Any] = {
        "requests": len(prompts),
        "prompt_tokens": sum(len(prompt.ids) for prompt in prompts),
        "policies": {name: at_budgets(prompts, name) for name in POLICIES},
        "orders": {
            name: at_budgets(laid_out(asked, order), "declared boundaries")
            for name, order in ORDERS.items()
        },
    }
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


def trace(count: int, seed: int) -> Iterator[Asked]:
    """Questions of several users in the order they come."""
    rng = random.Random(seed)
    popularity = list(accumulate(1 / (rank + 1) for rank in range(PASSAGES)))
    names = rng.sample(range(PASSAGES), PASSAGES)  # an id says nothing about popularity
    fresh = iter(range(10**6, 2**31 - 1))  # tokens that no other text has

    def words(length: tuple[int, int]) -> tuple[int, ...]:
        return tuple(next(fresh) for _ in range(rng.randint(*length)))

    def popular() -> int:
        return names[bisect.bisect(popularity, rng.random() * popularity[-1])]

    def retrieved(first: int, kept: Sequence[int] = ()) -> tuple[int, ...]:
        found = list(kept) or [first]
        while len(found) < K:
            document = first // IN_A_DOCUMENT * IN_A_DOCUMENT
            near = document + rng.randrange(IN_A_DOCUMENT)
            each = near if rng.random() < 0.5 else popular()
            if each not in found:
                found.append(each)
        if rng.random() < 0.4:
            rng.shuffle(found)
        return tuple(found)

    usual = [Asked(retrieved(popular()), words(QUESTION_TOKENS)) for _ in range(100)]
    chats: dict[int, Asked] = {}
    for _ in range(count):
        user = rng.randrange(USERS)
        before = chats.get(user)
        if before is not None and rng.random() < 0.5:  # a follow-up: earlier turns go before it
            same = rng.random() < 0.6
            first = before.passages[0]
            passages = before.passages if same else retrieved(first, before.passages[:2])
            asked = Asked(passages, before.tail + words(ANSWER_TOKENS) + words(QUESTION_TOKENS))
        elif rng.random() < 0.1:
            asked = usual[min(int(rng.paretovariate(1.0)) - 1, len(usual) - 1)]
        else:
            asked = Asked(retrieved(popular()), words(QUESTION_TOKENS))
        chats[user] = asked
        yield asked


def laid_out(asked: Sequence[Asked], order: Order) -> list[Prompt]:
    """Prompts as the application lays them out: system, passages in some order, question."""
    lengths = random.Random(1)
    texts = {each: lengths.randint(*PASSAGE_TOKENS) for each in range(PASSAGES)}
    seen: Counter[int] = Counter()
    prompts = []
    for each in asked:
        ids, ends = list(range(SYSTEM_TOKENS)), [SYSTEM_TOKENS]
        for passage in order(each.passages, seen):
            ids += range(1000 + 300 * passage, 1000 + 300 * passage + texts[passage])
            ends.append(len(ids))
        seen.update(each.passages)
        prompts.append(Prompt((*ids, *each.tail), tuple(ends)))
    return prompts


def by_relevance(passages: Sequence[int], seen: Counter[int]) -> list[int]:
    return list(passages)


def by_id(passages: Sequence[int], seen: Counter[int]) -> list[int]:
    return sorted(passages)


def by_popularity(passages: Sequence[int], seen: Counter[int]) -> list[int]:
    """Those retrieved most often so far first; ties by id."""
    return sorted(passages, key=lambda each: (-seen[each], each))


ORDERS: dict[str, Order] = {"relevance": by_relevance, "id": by_id, "popularity": by_popularity}


class Branches:
    """Where prompts part: the beginnings of all prompts so far, by their declared parts."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, ...]] = set()

    def branch(self, prompt: Prompt) -> list[int]:
        """The longest beginning shared with an earlier prompt."""
        shared = [end for end in prompt.ends if prompt.ids[:end] in self._seen]
        self._seen.update(prompt.ids[:end] for end in prompt.ends)
        return shared[-1:]


Admission = Callable[[Prompt, Branches], list[int]]
POLICIES: dict[str, Admission] = {
    "no cache": lambda prompt, branches: [],
    "end of prompt": lambda prompt, branches: [len(prompt.ids)],
    f"grid, last multiple of {ALIGN}": lambda prompt, branches: [
        end for end in [(len(prompt.ids) - 1) // ALIGN * ALIGN] if end
    ],
    f"grid, every {ALL}": lambda prompt, branches: list(range(ALL, len(prompt.ids), ALL)),
    "branch points and end (Marconi-style)": lambda prompt, branches: sorted(
        {*branches.branch(prompt), len(prompt.ids)}
    ),
    "declared boundaries": lambda prompt, branches: [*prompt.ends, len(prompt.ids)],
    "declared boundaries, least recently used": lambda prompt, branches: [
        *prompt.ends, len(prompt.ids)
    ],
}  # fmt: skip


def at_budgets(prompts: Sequence[Prompt], policy: str) -> list[dict[str, float]]:
    """The policy's figures at each budget."""
    figures = []
    for gib in BUDGETS_GIB:
        began = time.process_time()
        with least_recently_used() if "least recently" in policy else ours():
            store = played(prompts, POLICIES[policy], gib * 2**30)
        counters = store.counters
        figures.append(
            {
                "budget_gib": gib,
                "hit_rate": counters.restored_tokens / counters.prompt_tokens,
                "used_gib": store.used_bytes / 2**30,
                "stored": counters.stored,
                "evicted": counters.evicted,
            }
        )
        print(f"{policy}, {gib} GiB: {time.process_time() - began:.1f} s", file=sys.stderr)
    return figures


def played(prompts: Sequence[Prompt], admits: Admission, max_bytes: int) -> SnapshotStore:
    """The store after the trace; each prompt looks up, then stores what the policy admits."""
    store, branches = SnapshotStore(max_bytes=max_bytes), Branches()
    logits = torch.zeros(CONFIG.vocab_size, device=NOWHERE.device)
    with copied_nowhere():
        for prompt in prompts:
            ends = admits(prompt, branches)
            found = store.find("", CONFIG, prompt.ids, ends, NOWHERE)
            begin = 0 if found.state is None else found.state.length
            for end in ends:
                if end > begin:
                    state = state_after(end)
                    store.put("", prompt.ids, state, logits, frozenset(), store.now)
    return store


@contextmanager
def copied_nowhere() -> Iterator[None]:
    """Copies of states stay on the meta device, where the store would bring them to memory."""
    copy = state_module._copy
    state_module._copy = torch.clone
    try:
        yield
    finally:
        state_module._copy = copy


def state_after(tokens: int) -> SequenceState:
    """A state of the right sizes, without contents."""
    state = SequenceState.fresh(CONFIG, capacity=tokens, where=NOWHERE)
    for layer in state.layers:
        if isinstance(layer, AttentionState):
            layer.length = tokens
        else:
            assert isinstance(layer, MambaState)
    state.length = tokens
    return state


@contextmanager
def ours() -> Iterator[None]:
    """Eviction as it is."""
    yield


@contextmanager
def least_recently_used() -> Iterator[None]:
    """Eviction by recency alone, to see what weighing adds."""
    score = Node.score
    Node.score = lambda node, now: float(node.used_at)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Node.score = score  # type: ignore[assignment, method-assign]


def show(result: dict[str, Any]) -> None:
    """Both tables, in Markdown."""
    print(
        f"{result['requests']} requests, {result['prompt_tokens']} prompt tokens; share restored:\n"
    )
    for part, heading in (("policies", "policy"), ("orders", "passages in order of")):
        print(f"| {heading} |" + "".join(f" {gib} GiB |" for gib in BUDGETS_GIB))
        print("|---|" + "---|" * len(BUDGETS_GIB))
        for name, figures in result[part].items():
            print(f"| {name} |" + "".join(f" {each['hit_rate']:.1%} |" for each in figures))
        print()


if __name__ == "__main__":
    main()
