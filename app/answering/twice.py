"""A free answer checked twice: several drafts, and where they differ the model compares them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from threading import Event as Flag

from app.answering.drafts import TEMPERATURE, agree, chosen, compared
from app.answering.prompt import Reading
from app.models.model_types import Finished, LanguageModel, PromptTooLong, Writing, Written
from app.types import CacheUse, Check, Checking, Outcome

Piece = str | Checking | Check | Finished


def write_checked(
    model: LanguageModel, reading: Reading, drafts: int, cancel: Flag | None = None
) -> Iterator[Piece]:
    """The answer in pieces and a Finished, as `generate` gives them, chosen from so many drafts.

    With more than one, Checking goes before the pieces, and a Check behind them unless the answer
    was stopped. The Finished counts the tokens of everything that was asked.
    """
    if drafts == 1:
        yield from model.generate(reading, cancel)
        return
    cancel = cancel or Flag()
    yield Checking(drafts)
    texts, ends = _drafts(model, model.packed(reading), drafts, cancel)
    if any(end.stopped for end in ends):
        yield texts[0]
    elif agree(texts):
        yield texts[0]
        yield Check(drafts, Outcome.AGREED)
    else:
        yield Checking(drafts, differ=True)
        yield from _compare(model, compared(reading, texts), texts, ends, cancel)
    yield Finished(_together([end.cache for end in ends]), any(end.stopped for end in ends))


def _drafts(
    model: LanguageModel, reading: Reading, count: int, cancel: Flag
) -> tuple[list[str], list[Finished]]:
    """The likeliest answer and others that are drawn, alike each time; how each ended."""
    first = model.write(reading, Writing(), cancel)
    try:
        begun = next(first)  # the prompt is read: the others go on from its state
        drawn = [Writing(temperature=TEMPERATURE, seed=seed) for seed in range(1, count)]
        others = [model.write(reading, how, cancel) for how in drawn]
        made = [list(each) for each in (chain([begun], first), *others)]
    except BaseException:
        cancel.set()  # nobody reads the rest
        raise
    texts = ["".join(p.text for p in each if isinstance(p, Written)).strip() for each in made]
    return texts, [piece for each in made for piece in each if isinstance(piece, Finished)]


def _compare(
    model: LanguageModel,
    reading: Reading,
    drafts: Sequence[str],
    ends: list[Finished],
    cancel: Flag,
) -> Iterator[str | Check]:
    """The answer to the second prompt, or the first draft; how it ended is added to `ends`."""
    written = ""
    try:
        for piece in model.generate(reading, cancel):
            if isinstance(piece, Finished):
                ends.append(piece)
            else:
                written += piece
                yield piece
    except PromptTooLong:
        pass  # question and drafts alone: there is no room for evidence
    text, outcome = chosen(drafts, written)
    if outcome is Outcome.KEPT:
        yield text
    if not ends[-1].stopped:
        yield Check(len(drafts), outcome)


def _together(uses: Sequence[CacheUse]) -> CacheUse:
    """What all requests of one answer took; restored from where the first state came from."""
    written = [use.written_tokens for use in uses]
    return CacheUse(
        sum(use.prompt_tokens for use in uses),
        sum(use.cached_tokens for use in uses),
        next((use.restored_from for use in uses if use.cached_tokens), "none"),
        uses[0].miss_reason,
        None if None in written else sum(each or 0 for each in written),
    )
