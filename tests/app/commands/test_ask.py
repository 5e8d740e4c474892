"""`ask` on the command line."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from app.cli import build

pytestmark = pytest.mark.java


def run(*arguments):
    return CliRunner().invoke(build(), ["ask", *map(str, arguments)])


def test_people_get_the_answer_and_its_words(index_folder):
    result = run(index_folder, "When was the glass house built?")
    assert result.exit_code == 0
    answer, _, note, *_ = result.stdout.splitlines()
    assert "1932" in answer
    assert note.startswith('[1] garden.txt: "')


def test_scripts_get_one_json_object(index_folder):
    result = run(index_folder, "When was the glass house built?", "--json", "--k", "2")
    value = json.loads(result.stdout.splitlines()[-1])
    assert value["mode"] == "quote"
    assert "1932" in value["answer"]
    (first, *_) = value["citations"]
    assert {"passage_id", "document", "page", "start", "end", "text"} <= first.keys()
    assert first["document"] == "garden.txt"
    assert len(value["passages"]) == 2
    assert value["cache"] == {
        "prompt_tokens": 0,
        "cached_tokens": 0,
        "restored_from": "none",
        "miss_reason": None,
        "written_tokens": None,
    }
    assert value["timings"]["total"] > 0


def test_errors_are_one_line_with_an_exit_code(tmp_path):
    command = [sys.executable, "-m", "app", "ask", str(tmp_path), "Why?"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_only_free_answers_are_checked_twice(index_folder):
    result = run(index_folder, "Why?", "--twice")
    assert result.exit_code == 1
    assert "only free answers" in str(result.exception)


def test_a_wrong_mode_is_refused(index_folder):
    result = run(index_folder, "Why?", "--mode", "guess")
    assert result.exit_code == 1
    assert "'quote' or 'free'" in str(result.exception)
