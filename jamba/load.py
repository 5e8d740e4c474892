"""How busy an engine is, in requests and tokens."""

from dataclasses import dataclass


@dataclass(slots=True)
class Totals:
    """Tokens since the engine began."""

    prompt: int = 0  # read
    cached: int = 0  # restored instead of read
    written: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is doing, and what it has done so far."""

    running: int  # requests
    waiting: int
    totals: Totals
