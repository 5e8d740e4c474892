"""The sample collection: twelve documents of an invented river trust, with questions about them."""

import json
from dataclasses import dataclass
from pathlib import Path

NAME = "The Elderwater Trust (sample)"
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class SampleQuestion:
    """A question as a person would ask it; no answers means that the collection does not say."""

    question: str
    answers: tuple[str, ...]  # any of these, found literally in the cited words, is right
    documents: tuple[str, ...]  # the files that say so
    kind: str  # what is asked for: "who", "when", "how many", "cell", ...; "none" where unanswered
    example: bool  # whether the page offers it as a button


def sample_files() -> list[Path]:
    """The twelve documents, sorted by name."""
    return sorted((FOLDER / "documents").iterdir())


def sample_questions() -> list[SampleQuestion]:
    """Thirty questions the documents answer, then ten that they do not."""
    rows = json.loads((FOLDER / "questions.json").read_text("utf-8"))
    return [
        SampleQuestion(
            question=row["question"],
            answers=tuple(row["answers"]),
            documents=tuple(row["documents"]),
            kind=row["kind"],
            example=row.get("example", False),
        )
        for row in rows
    ]
