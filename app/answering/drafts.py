"""Several drafts of one answer: whether they agree, and what is asked where they do not; pure.

The recursive pass of a frozen model in words (arXiv 2204.10019): what it wrote goes back to it with
the evidence. The first draft is its likeliest answer, the others are drawn.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.answering.prompt import ABSTAIN, Reading
from app.types import Check, Checking, Outcome
from retrieval.evaluation.squad import normalise_answer

DRAFTS = 3
TEMPERATURE = 0.7  # of those that are drawn
WORDS = 60  # of a draft that are compared: what is said first says what the answer is
ENDS = {
    Outcome.AGREED: "agree",
    Outcome.CHOSEN: "differed, one was chosen",
    Outcome.REWRITTEN: "differed, the answer was written anew",
    Outcome.KEPT: "differed, the first was kept",
}


def agree(drafts: Sequence[str]) -> bool:
    """Whether all say the same, but for case, punctuation, articles and white space."""
    return len(_by_meaning(drafts)) == 1


def compared(reading: Reading, drafts: Sequence[str]) -> Reading:
    """The second prompt: the same passages, and before the question the drafts that differ."""
    listed = "\n".join(f"- {_beginning(draft)}" for draft in _by_meaning(drafts).values())
    question = (
        f"Drafts of an answer to the question below differ:\n{listed}\n"
        f"Give the right answer, and nothing else. {reading.question}"
    )
    return replace(reading, question=question)


def chosen(drafts: Sequence[str], written: str) -> tuple[str, Outcome]:
    """The answer after the second prompt: what was `written`, or the first draft if nothing was."""
    if not written.strip():
        return drafts[0], Outcome.KEPT
    was_there = normalise_answer(written) in _by_meaning(drafts)
    return written, Outcome.CHOSEN if was_there else Outcome.REWRITTEN


def doing(now: Checking) -> str:
    """What is going on, in words."""
    return f"comparing {now.drafts} drafts" if now.differ else f"writing {now.drafts} drafts"


def outcome(check: Check) -> str:
    """How the check ended, in words."""
    return f"{check.drafts} drafts {ENDS[check.outcome]}"


def _by_meaning(drafts: Sequence[str]) -> dict[str, str]:
    """The first draft of each meaning; silence means that the documents do not say."""
    found: dict[str, str] = {}
    for draft in drafts:
        said = draft.strip() or ABSTAIN
        found.setdefault(normalise_answer(said), said)
    return found


def _beginning(draft: str) -> str:
    """The first words of a draft, in one line."""
    words = draft.split()
    return " ".join(words) if len(words) <= WORDS else f"{' '.join(words[:WORDS])} …"
