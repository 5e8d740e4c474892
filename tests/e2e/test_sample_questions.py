"""The sample collection through the real build, and forty questions to it."""

from pathlib import Path

import pytest

from app.sample import sample_files
from benchmarks.answers.bench_sample import Outcome, ask_all, build, describe

pytestmark = [pytest.mark.java, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> list[Outcome]:
    with build(tmp_path_factory.mktemp("sample") / "index") as index:
        assert {each.name for each in index.documents()} == {path.name for path in sample_files()}
        return list(ask_all(index))


def report(wrong: list[Outcome]) -> str:
    return "\n" + "\n".join(map(describe, wrong))


def test_the_answer_is_in_the_top_four(outcomes):
    missed = [each for each in outcomes if each.question.answers and not each.found]
    assert len(missed) <= 2, report(missed)


def test_the_cited_words_hold_the_answer(outcomes):
    missed = [each for each in outcomes if each.question.answers and not each.cited]
    assert len(missed) <= 6, report(missed)


def wrongly_answered(outcomes: list[Outcome]) -> list[Outcome]:
    return [e for e in outcomes if not e.question.answers and e.answer.mode != "abstain"]


def test_what_is_not_there_is_not_answered(outcomes):
    missed = wrongly_answered(outcomes)
    assert len(missed) <= 3, report(missed)


def test_citations_are_exact_short_and_few(outcomes):
    from retrieval.sentences import sentence_spans

    for outcome in outcomes:
        passages = {passage.passage_id: passage for passage in outcome.answer.passages}
        for citation in outcome.answer.citations:
            passage = passages[citation.passage_id]
            start = citation.start - passage.start
            assert passage.text[start : start + len(citation.text)] == citation.text
            assert citation.end - citation.start == len(citation.text)
            assert len(sentence_spans(citation.text)) <= 2
        assert all(len(sentence.citations) <= 2 for sentence in outcome.answer.sentences)


def test_a_document_is_cited_by_the_name_people_know(outcomes):
    cited = {citation.document for each in outcomes for citation in each.answer.citations}
    assert cited <= {path.name for path in sample_files()}
    assert all(Path(name).suffix for name in cited)
