"""Tokens to text while they are made: whole characters only, up to a stop string."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


def stream_text(
    engine: Engine, request: Request, decoder: IncrementalText, stop: Sequence[str] = ()
) -> Iterator[str]:
    """The text of a request as it is made, up to the first of the `stop` strings.

    Text that may be the beginning of a stop string waits until it is clear that it is not. A stop
    string ends the request with finish_reason "stop".
    """
    held = ""
    for token in engine.stream(request):
        held += decoder.push(token)
        end = min((at for at in map(held.find, stop) if at >= 0), default=None)
        if end is not None:
            engine.cancel(request, FinishReason.STOP)
            yield from [held[:end]] if end else []
            return
        sure = len(held) - _begun(held, stop)
        if sure:
            yield held[:sure]
            held = held[sure:]
    if held := held + decoder.finish():
        yield held


def _begun(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop string."""
    sizes = [n for word in stop for n in range(1, len(word)) if text.endswith(word[:n])]
    return max(sizes, default=0)
