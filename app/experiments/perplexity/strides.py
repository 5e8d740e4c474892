"""Which tokens are scored together, and where the window of text before them begins; pure.

In-Context RALM (arXiv 2302.00083, section 3.1) retrieves anew for every stride of s tokens.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.experiments.errors import ExperimentError


class Layout(StrEnum):
    """Where a passage goes."""

    PAPER = "paper"  # in place of the window's first tokens, as the paper's script does
    PREPEND = "prepend"  # before the whole window, for models with a long context


class Ranking(StrEnum):
    """Which of the passages retrieved for a stride the model reads."""

    FIRST = "first"  # the retriever's best
    RANDOM = "random"  # any, drawn by seed and stride
    LM = "lm"  # under which the last tokens before the stride are likeliest (section 5.1)
    ORACLE = "oracle"  # under which the stride itself is likeliest: a bound, not a method
    PREDICTIVE = "predictive"  # the best by a trained reranker (section 5.2)


@dataclass(frozen=True, slots=True)
class Stride:
    """Tokens `begin..end` of the text are scored, after those from `window` on."""

    begin: int
    end: int
    window: int


@dataclass(frozen=True, slots=True)
class Setup:
    """Sizes in tokens; `step` is by how much the window's start moves at once, in PREPEND.

    Raises ExperimentError where the sizes leave no room for each other.
    """

    layout: Layout = Layout.PAPER
    stride: int = 4
    window: int = 1024
    doc_tokens: int = 256
    query_tokens: int = 32
    rank_tokens: int = 16
    step: int = 512

    def __post_init__(self) -> None:
        for name in ("stride", "window", "doc_tokens", "query_tokens", "rank_tokens", "step"):
            if getattr(self, name) < 1:
                raise ExperimentError(f"{name} must be at least 1, not {getattr(self, name)}")
        taken, what = self.stride + self.rank_tokens, "stride and ranked tokens"
        if self.layout is Layout.PAPER:
            taken, what = taken + self.doc_tokens, f"passage, {what}"
        else:
            taken, what = taken + self.step, f"step, {what}"
        if taken > self.window:
            raise ExperimentError(
                f"{what} take {taken} tokens, more than the window of {self.window}; "
                "widen it with --window"
            )

    @property
    def longest(self) -> int:
        """Tokens that a model reads at most at once."""
        return self.window + (self.doc_tokens if self.layout is Layout.PREPEND else 0)


def plan(tokens: int, setup: Setup) -> list[Stride]:
    """The strides of a text of so many tokens; raises ExperimentError where it is too short.

    PAPER: the first stride is a whole window, for which nothing is retrieved, and every later
    window has moved by a stride. PREPEND: strides from the first token on; the window's start
    stays for `step` tokens, so that a passage is read once for all strides that chose it.
    """
    if tokens <= setup.window:
        raise ExperimentError(
            f"the text has {tokens} tokens, and nothing is retrieved within the first window of "
            f"{setup.window}; take a longer text or a smaller --window"
        )
    return _paper(tokens, setup) if setup.layout is Layout.PAPER else _prepend(tokens, setup)


def _paper(tokens: int, setup: Setup) -> list[Stride]:
    strides = [Stride(0, setup.window, 0)]
    while (begin := strides[-1].end) < tokens:
        window = strides[-1].window + setup.stride
        strides.append(Stride(begin, min(begin + setup.stride, tokens), window))
    return strides


def _prepend(tokens: int, setup: Setup) -> list[Stride]:
    strides = []
    for begin in range(0, tokens, setup.stride):
        end = min(begin + setup.stride, tokens)
        steps = -(-max(0, end - setup.window) // setup.step)  # rounded up: the window never grows
        strides.append(Stride(begin, end, steps * setup.step))
    return strides
