"""Question files of every kind, and what is said of those that are none."""

import json

import pytest

from app.experiments.errors import ExperimentError
from app.experiments.qa.data import QaItem, Text, read_qa

SQUAD = {
    "data": [
        {
            "title": "Orchard_Bridge",
            "paragraphs": [
                {
                    "context": "It opened in 1911.",
                    "qas": [
                        {
                            "id": 7,
                            "question": " When? ",
                            "answers": [{"text": "1911", "answer_start": 13}] * 2,
                        },
                        {"id": 8, "question": "Who?", "answers": [], "is_impossible": True},
                    ],
                },
                {"context": "It is green.", "qas": []},
            ],
        }
    ]
}
DPR = [
    {
        "question": "when?",
        "answers": ["1911"],
        "positive_ctxs": [{"title": "Bridge", "text": "In 1911."}],
        "ctxs": [{"id": "w:3", "title": "B", "text": "Old.", "score": "2.5", "has_answer": False}],
    }
]


def written(tmp_path, value, name="q.json"):
    path = tmp_path / name
    lines = value if name.endswith("l") else [value]
    path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    return path


def test_squad_brings_paragraph_and_article(tmp_path):
    first, second = read_qa(written(tmp_path, SQUAD))
    assert first == QaItem(
        "7",
        "When?",
        ("1911",),
        Text("Orchard Bridge", "It opened in 1911."),
        Text("Orchard Bridge", "It opened in 1911.\nIt is green."),
    )
    assert second.answers == ()


def test_dpr_brings_passages(tmp_path):
    (item,) = read_qa(written(tmp_path, DPR))
    assert item.gold == Text("Bridge", "In 1911.")
    assert item.retrieved == (Text("B", "Old.", "w:3", 2.5),)


def test_lines_of_nq_open_and_plain_ones(tmp_path):
    lines = [
        {"question": "when?", "answer": ["1911", "in 1911"]},
        {"id": "x", "question": "who?", "answers": "Kern", "context": "Kern did.", "title": "B"},
        {"question": "why?", "answers": [], "is_impossible": True},
    ]
    first, second, third = read_qa(written(tmp_path, lines, "q.jsonl"))
    assert (first.id, first.answers, first.gold) == ("1", ("1911", "in 1911"), None)
    assert (second.id, second.answers, second.gold) == ("x", ("Kern",), Text("B", "Kern did."))
    assert (third.id, third.answers) == ("3", ())


@pytest.mark.parametrize(
    ("value", "name", "said"),
    [
        ([{"answer": ["a"]}], "q.jsonl", "line 1 has no field 'question'"),
        ([{"question": "q?"}], "q.jsonl", "line 1 has no field 'answers'"),
        ([{"question": "q?", "answers": []}], "q.jsonl", "line 1: question 1 has no answers"),
        ([{"question": " ", "answers": ["a"]}], "q.jsonl", "line 1: its question is empty"),
        ([{"question": "q?", "answers": ["a"]}, 5], "q.json", "question 1: 'int' object"),
        ([{"id": 1, "question": "q?", "answer": "a"}] * 2, "q.jsonl", "question 1 is there twice"),
        ({"rows": []}, "q.json", "neither SQuAD's object"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "q.json", "article 0 has no field 'context'"),
        ([], "q.json", "holds no questions"),
    ],
)
def test_what_is_off_is_named(tmp_path, value, name, said):
    with pytest.raises(ExperimentError, match=said):
        read_qa(written(tmp_path, value, name))


def test_a_file_that_is_no_json(tmp_path):
    path = tmp_path / "q.json"
    path.write_text('{"question": "q?"}\n{"question": "r?"}\n')
    with pytest.raises(ExperimentError, match=r"not JSON .*end in \.jsonl"):
        read_qa(path)
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_qa(tmp_path / "absent.json")
