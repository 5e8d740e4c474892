"""Ask the sample collection its forty questions: what is found, what is cited, what abstains.

    python -m benchmarks.answers.bench_sample [--json] [--misses]

Builds the index of the packaged documents in a temporary folder and asks in quote mode with k=4.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.answering.answer import answer_question
from app.answering.quoting import Readers
from app.answering.reader import open_reader
from app.sample import SampleQuestion, sample_files, sample_questions
from app.types import Answer, Done
from retrieval.encoders.encoder import load_encoder
from retrieval.index import Index
from retrieval.ingest.build import build_index

K = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question with what came of it."""

    question: SampleQuestion
    answer: Answer
    found: bool  # a passage among the top 4 is of the right document and has the answer
    cited: bool  # so have the cited words


@contextmanager
def build(folder: Path) -> Iterator[Index]:
    """The index of the packaged documents, built in `folder` and opened."""
    encoder = load_encoder()
    build_index(sample_files(), folder, encoder=encoder, progress=lambda stage, done, total: None)
    index = Index.open(folder, encoder)
    try:
        yield index
    finally:
        index.close()


def ask_all(index: Index) -> Iterator[Outcome]:
    """Ask the forty questions one after the other, each on its own."""
    readers = Readers(open_reader())
    for question in sample_questions():
        *_, last = answer_question(question.question, index=index, readers=readers, k=K)
        assert isinstance(last, Done)
        answer = last.answer
        yield Outcome(
            question,
            answer,
            any(holds_answer(question, p.document, p.text) for p in answer.passages),
            any(holds_answer(question, c.document, c.text) for c in answer.citations),
        )


def holds_answer(question: SampleQuestion, document: str, text: str) -> bool:
    """Whether words of a document say an accepted answer; white space does not count."""
    words = " ".join(text.split())
    return document in question.documents and any(each in words for each in question.answers)


def summary(outcomes: list[Outcome]) -> dict[str, int]:
    """The counts that the tests hold to."""
    asked = [each for each in outcomes if each.question.answers]
    rest = [each for each in outcomes if not each.question.answers]
    return {
        "questions": len(asked),
        "found_in_top_4": sum(each.found for each in asked),
        "cited": sum(each.cited for each in asked),
        "wrongly_abstained": sum(each.answer.mode == "abstain" for each in asked),
        "unanswerable": len(rest),
        "abstained": sum(each.answer.mode == "abstain" for each in rest),
    }


def describe(outcome: Outcome) -> str:
    """One question that went wrong, for reading."""
    answer = outcome.answer
    wanted = " | ".join(outcome.question.answers) or "nothing: it is not in the documents"
    where = ", ".join(f"{p.document} p{p.page or '-'}" for p in answer.passages)
    return (
        f"{outcome.question.question}\n  wanted: {wanted} ({', '.join(outcome.question.documents)})"
        f"\n  found: {outcome.found}  mode: {answer.mode}\n  top 4: {where}"
        f"\n  answered: {answer.text!r}\n"
    )


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--misses", action="store_true", help="print every question that failed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, build(Path(folder) / "index") as index:
        started = time.perf_counter()
        outcomes = list(ask_all(index))
        seconds = (time.perf_counter() - started) / len(outcomes)
    if options.misses:
        for each in outcomes:
            right = each.cited if each.question.answers else each.answer.mode == "abstain"
            if not right:
                print(describe(each))
    result = {**summary(outcomes), "seconds_a_question": round(seconds, 2)}
    print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
