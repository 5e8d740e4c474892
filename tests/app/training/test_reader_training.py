"""The reader's recipe and data: what is read, cut, held out; the command on a tiny file."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from app.answering.reader import BUNDLED
from app.cli import build
from app.commands.train import READER_RECIPE
from app.training import reader_training
from app.training.lm_data import TrainingDataError
from app.training.lm_recipe import QuestionFile

MORE = "It stood . " * 20
WIKI = f""" = Weir =

 The weir was built in 1 @,@ 932 ( by a miller ) . {MORE}

 = = History = =

 It is 's own .

 = Mill =

 The mill is old . {MORE}
"""


def answer(text: str) -> str:
    """The word that begins with X."""
    return text[text.index("X") :].split()[0]


def question_file(path: Path, articles: dict[str, list[str]]) -> Path:
    """A SQuAD file: every paragraph is asked "Who?"; the word with X answers."""
    data = [
        {
            "title": title,
            "paragraphs": [
                {
                    "context": text,
                    "qas": [
                        {
                            "id": f"{title}{number}",
                            "question": "Who?",
                            "answers": [{"text": answer(text), "answer_start": text.index("X")}],
                        }
                    ],
                }
                for number, text in enumerate(paragraphs)
            ],
        }
        for title, paragraphs in articles.items()
    ]
    path.write_text(json.dumps({"data": data}))
    return path


def test_the_bundled_recipe_reads():
    recipe = reader_training.read_reader_recipe(READER_RECIPE)
    assert [item.split for item in recipe.questions] == ["squad", "policyqa"]
    assert recipe.texts


@pytest.mark.parametrize(
    "change", [{"colour": 1}, {"training": {"speed": 1}}, {"curriculum": {"x": 1}}, {"format": 9}]
)
def test_an_unknown_field_of_a_recipe_is_an_error(change, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({**json.loads(READER_RECIPE.read_text()), **change}))
    with pytest.raises(TrainingDataError, match=r"recipe\.json"):
        reader_training.read_reader_recipe(path)


def test_wikitext_becomes_documents_of_plain_paragraphs():
    first, second = reader_training.documents_of(WIKI)
    assert first[0].startswith("The weir was built in 1,932 (by a miller).")
    assert second[0].startswith("The mill is old.")
    assert len(first) == 1  # too short a paragraph is left out


def test_a_text_without_headings_is_cut_into_documents_and_long_paragraphs():
    text = "\n".join("word " * 150 for _ in range(31))
    documents = reader_training.documents_of(text)
    assert [len(each) for each in documents] == [30, 1]
    assert len(documents[0][0].split()) == 100


def test_calibration_articles_and_every_tenth_passage_are_held_out(tmp_path):
    split = question_file(tmp_path / "split.json", {"A": ["X a"], "B": ["X b"], "C": ["X c"]})
    own = question_file(tmp_path / "own.json", {"D": [f"X {n}" for n in range(10)]})
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"s": {"tuning": ["A", "B"], "calibration": ["B"]}}))
    recipe = reader_training.read_reader_recipe(READER_RECIPE)
    files = (QuestionFile(split.name, "s"), QuestionFile(own.name))
    recipe = reader_training.ReaderRecipe((), files, recipe.curriculum, recipe.training)
    data = reader_training.read_reader_data(recipe, tmp_path, splits)
    assert [q.context for q in data.held_out] == ["X b", "X 9"]
    assert {q.title for q in data.questions} == {"A", "D"}
    assert len(data.questions) == 10


def test_the_command_trains_further_on_a_file_of_ones_own(tmp_path):
    names = ["Anna", "Otto", "Ines", "Karl"]
    paragraphs = [f"The weir number {n} was built by X{n} and {names[n % 4]}." for n in range(20)]
    own = question_file(tmp_path / "own.json", {"Weirs": paragraphs})
    recipe = json.loads(READER_RECIPE.read_text())
    recipe["curriculum"]["epochs"] = 1
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    out = tmp_path / "reader"
    options = ["--recipe", str(tmp_path / "recipe.json"), "--out", str(out), "--json"]
    ran = CliRunner().invoke(build(), ["train", "reader", "--questions", str(own), *options])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["questions"] == 2
    card = json.loads((out / "reader.json").read_text())
    assert card["started_from"] == "reader"
    assert set(card["calibration"]) == {"scale", "shift"}
    few = question_file(tmp_path / "few.json", {"Weirs": paragraphs[:9]})
    refused = CliRunner().invoke(build(), ["train", "reader", "--questions", str(few), *options])
    assert "too few questions" in str(refused.exception)
    neither = CliRunner().invoke(build(), ["train", "reader", "--out", str(out)])
    assert neither.exit_code != 0


def test_the_mean_of_readers_is_calibrated_and_says_of_what_it_is(tmp_path):
    names = ["Anna", "Otto", "Ines", "Karl"]
    paragraphs = [f"The weir number {n} was built by X{n} and {names[n % 4]}." for n in range(20)]
    own = question_file(tmp_path / "own.json", {"Weirs": paragraphs})
    readers = [BUNDLED, shifted(BUNDLED, tmp_path / "other", by=0.25), BUNDLED]
    chosen = [part for folder in readers for part in ("--average", str(folder))]
    out = tmp_path / "mean"
    command = ["train", "reader", "--questions", str(own), "--out", str(out), *chosen]
    ran = CliRunner().invoke(build(), command)
    assert ran.exit_code == 0, ran.output
    ours, theirs = (load_file(folder / "reader.safetensors") for folder in (out, BUNDLED))
    assert (ours["head.bias"] - theirs["head.bias"]).tolist() == pytest.approx([1 / 12] * 2, 0.05)
    assert len(json.loads((out / "reader.json").read_text())["mean_of"]) == 3
    one = CliRunner().invoke(build(), command[:-4])
    assert "two readers at least" in str(one.exception)


def shifted(reader: Path, out: Path, *, by: float) -> Path:
    """A copy of a reader whose head is moved."""
    shutil.copytree(reader, out)
    tensors = load_file(out / "reader.safetensors")
    save_file({**tensors, "head.bias": tensors["head.bias"] + by}, out / "reader.safetensors")
    return out
