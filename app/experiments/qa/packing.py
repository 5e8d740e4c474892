"""Passages packed into a budget of tokens, as for a frozen reader (arXiv 2204.10019)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.answering.prompt import Reading


@dataclass(frozen=True, slots=True)
class Packed:
    """A prompt within its budget; `dropped` are the places of the passages it has no room for."""

    reading: Reading
    dropped: tuple[int, ...]


def pack_to_budget(
    reading: Reading, length: Callable[[Reading], int], budget: int
) -> Packed | None:
    """The passages in their order, best first, each taken whole if the prompt still fits.

    `length` counts a whole prompt's tokens, the template's included. The question is never cut:
    None where it alone is longer than `budget`.
    """
    packed = replace(reading, passages=())
    if length(packed) > budget:
        return None
    dropped = []
    for place, passage in enumerate(reading.passages):
        longer = replace(packed, passages=(*packed.passages, passage))
        if length(longer) <= budget:
            packed = longer
        else:
            dropped.append(place)
    return Packed(packed, tuple(dropped))
