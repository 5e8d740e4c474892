"""A whole document read once: from the command line, in one process after another."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import build
from app.models.model_types import ModelError
from app.models.reading import ask_document, open_document
from app.models.resolve import MissingModel
from app.settings import load_settings
from app.types import OrbweaverError
from tests.app.town import DOCUMENTS


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "town.txt"
    path.write_text("\n\n".join(document.text for document in DOCUMENTS))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ORBWEAVER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def ask(*arguments):
    return CliRunner().invoke(build(), ["ask", *map(str, arguments)])


def asked(file, model_folder, question):
    result = ask("--document", file, question, "--model", model_folder, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_a_later_process_answers_without_reading_again(file, home, model_folder):
    first = asked(file, model_folder, "Who designed the bridge?")
    assert (first["state"]["cached_tokens"], first["state"]["restored_from"]) == (0, "none")
    assert first["state"]["bytes"] > 0
    assert list((home / "snapshots").glob("*.safetensors"))
    again = asked(file, model_folder, "When was it opened?")
    assert again["state"]["restored_from"] == "disk"
    assert again["cache"]["cached_tokens"] >= first["state"]["tokens"]
    assert again["cache"]["prompt_tokens"] - again["cache"]["cached_tokens"] < 60
    repeated = asked(file, model_folder, "Who designed the bridge?")
    assert repeated["answer"] == first["answer"]
    assert repeated["cache"]["cached_tokens"] == repeated["cache"]["prompt_tokens"]


def test_people_are_told_what_the_state_took(file, home, model_folder):
    result = ask("--document", file, "Why?", "--model", model_folder)
    assert "town.txt: read, and its state is kept" in result.stderr
    again = ask("--document", file, "Who?", "--model", model_folder)
    assert "its state was there already" in again.stderr
    assert "from disk" in again.stderr


def test_removing_a_document_removes_its_state_from_the_folder(file, home, model_folder):
    from app.models.loading import Models

    asked(file, model_folder, "Why?")
    Models(load_settings()).forget(open_document(file).document_id)  # no model is loaded
    assert not list((home / "snapshots").glob("*.safetensors"))


def test_what_cannot_be_read_whole_says_why(file, home, model_folder, tmp_path):
    with pytest.raises(ModelError, match="local model"):
        next(ask_document(open_document(file), "Why?", MissingModel()))
    with pytest.raises(OrbweaverError, match="cannot be read"):
        open_document(tmp_path / "nothing.txt")
    file.write_text("The river rises in the hills. " * 3000)
    result = ask("--document", file, "Why?", "--model", model_folder)
    assert "reads at most 3840" in str(result.exception)
    assert ask(file, "--model", model_folder).exit_code == 2
