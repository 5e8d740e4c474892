"""Tokens to text while they are made: whole characters only, up to a stop string."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jamba.sequence import FinishReason

if TYPE_CHECKING:
    from jamba.engine import Engine
    from jamba.sequence import Request

PATIENCE = 8  # tokens to wait for the rest of a character, which has at most four bytes


class IncrementalText:
    """Tokens in, text out, a character only when all of its bytes are there."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._context = 0  # decoding starts here: spaces depend on the token before
        self._shown = 0  # tokens before this one have been given out as text

    def push(self, token: int) -> str:
        """The text that is complete with this token; "" in the middle of a character."""
        self._ids.append(token)
        return self._take(len(self._ids) - self._shown >= PATIENCE)

    def finish(self) -> str:
        """What is left at the end of a stream: broken bytes, if anything."""
        return self._take(True)

    def _take(self, even_if_broken: bool) -> str:
        known = self._decode(self._ids[self._context : self._shown])
        text = self._decode(self._ids[self._context :])
        if text.endswith("\ufffd") and not even_if_broken:
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return text[len(known) :]


@dataclass(frozen=True, slots=True)
class Piece:
    """Text, and how many of the request's tokens it took beside those of earlier pieces."""

    text: str
    tokens: int
    is_stop: bool = False  # a stop string followed; the engine may have been ahead of the text


def stream_text(
    engine: Engine, request: Request, decoder: IncrementalText, stop: Sequence[str] = ()
) -> Iterator[Piece]:
    """The text of a request as it is made, up to the first of the `stop` strings.

    Text that may be the beginning of a stop string waits until it is clear that it is not. A stop
    string ends the request with finish_reason "stop". The last piece may be without text.
    """
    held, tokens = "", 0
    for token in engine.stream(request):
        held, tokens = held + decoder.push(token), tokens + 1
        end = min((at for at in map(held.find, stop) if at >= 0), default=None)
        if end is not None:
            engine.cancel(request, FinishReason.STOP)
            yield Piece(held[:end], tokens, is_stop=True)
            return
        sure = len(held) - _begun(held, stop)
        if sure:
            yield Piece(held[:sure], tokens)
            held, tokens = held[sure:], 0
    held += decoder.finish()
    if held or tokens:
        yield Piece(held, tokens)


def _begun(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop string."""
    sizes = [n for word in stop for n in range(1, len(word)) if text.endswith(word[:n])]
    return max(sizes, default=0)
