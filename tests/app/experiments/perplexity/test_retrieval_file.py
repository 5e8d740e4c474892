"""The file format of the paper's scripts, read and written."""

import json

import pytest

from app.experiments.errors import ExperimentError
from app.experiments.perplexity.retrieval_file import (
    Candidate,
    Retrieved,
    read_retrieval,
    write_retrieval,
)
from app.experiments.perplexity.strides import Stride

STRIDES = [Stride(0, 10, 0), Stride(10, 14, 4)]
THEIRS = [
    {"begin_location": 0, "end_location": 10, "future": "a", "query": "", "retrieved_docs": []},
    {
        "begin_location": 10,
        "end_location": 14,
        "future": "b",
        "query": "q",
        "retrieved_docs": [{"text": '"A title"\nOne line.\nAnother.', "score": 2.5}],
    },
]


def test_what_is_written_is_read_and_has_the_scripts_fields(tmp_path):
    path = tmp_path / "retrieval.json"
    found = [
        Retrieved(0, 10, "first", "", ()),
        Retrieved(10, 14, "höher", "q", (Candidate("d#1", "Title", "Two\nlines\nor three", 1.5),)),
    ]
    write_retrieval(path, found)
    assert read_retrieval(path, STRIDES) == found
    record = json.loads(path.read_text("utf-8"))[1]
    assert record.keys() == THEIRS[1].keys()
    assert record["retrieved_docs"][0]["title"] == "Title"
    assert found[1].candidates[0].read == "Title\nTwo\nlines\nor three"


def test_the_scripts_own_file_is_read_as_it_stands(tmp_path):
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(THEIRS, indent=4))
    (candidate,) = read_retrieval(path, STRIDES)[1].candidates
    assert candidate.read == '"A title"\nOne line.\nAnother.'
    assert candidate.passage_id is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r[1].update(end_location=13), "record 1 is for tokens 10..13.*scores 10..14"),
        (lambda r: r.pop(), "1 records for 2 strides"),
        (lambda r: r[1]["retrieved_docs"][0].update(text=" "), "record 1: passage 0 has no text"),
        (lambda r: r[1]["retrieved_docs"][0].pop("score"), "not a retrieval file .*score"),
        (lambda r: r[1].pop("retrieved_docs"), "not a retrieval file"),
    ],
)
def test_a_file_for_something_else_is_refused(tmp_path, change, said):
    records = json.loads(json.dumps(THEIRS))
    change(records)
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(records))
    with pytest.raises(ExperimentError, match=said):
        read_retrieval(path, STRIDES)
