"""A run's folder: gone on with where it is the same run, never overwritten."""

import json

import pytest

from app.experiments.run_folder import RunError, RunFolder, digest_of, environment

SETTINGS = {"model": "m", "stride": 4}


def opened(path, settings=SETTINGS, resume=False, kind="perplexity"):
    return RunFolder.open(path, kind, settings, resume=resume)


def test_a_run_says_what_it_is_and_what_it_ran_on(tmp_path):
    folder = opened(tmp_path / "run")
    written = json.loads((folder.path / "settings.json").read_text())
    assert written == {"format": 1, "kind": "perplexity", "settings": SETTINGS}
    ran_on = json.loads((folder.path / "environment.json").read_text())
    assert ran_on["libraries"]["torch"]
    assert environment().keys() == ran_on.keys()


def test_an_unfinished_run_goes_on_after_its_last_whole_line(tmp_path):
    folder = opened(tmp_path / "run")
    folder.append("rows.jsonl", [{"n": 1}, {"n": 2}])
    with open(folder.path / "rows.jsonl", "a") as file:
        file.write('{"n": 3')  # killed here
    with pytest.raises(RunError, match="--resume goes on"):
        opened(tmp_path / "run")
    again = opened(tmp_path / "run", resume=True)
    assert again.lines("rows.jsonl") == [{"n": 1}, {"n": 2}]
    again.append("rows.jsonl", [{"n": 3}])
    assert [row["n"] for row in again.lines("rows.jsonl")] == [1, 2, 3]
    assert again.lines("nothing.jsonl") == []


def test_another_run_is_not_gone_on_with(tmp_path):
    opened(tmp_path / "run")
    with pytest.raises(RunError, match="begun with stride 4, not 8"):
        opened(tmp_path / "run", {**SETTINGS, "stride": 8}, resume=True)
    with pytest.raises(RunError, match="begun with kind 'perplexity', not 'qa'"):
        opened(tmp_path / "run", resume=True, kind="qa")


def test_nothing_is_overwritten(tmp_path):
    opened(tmp_path / "run").finish({"em": 1.0}, {"s": 2.0})
    for resume in (False, True):
        with pytest.raises(RunError, match="finished run, which is never overwritten"):
            opened(tmp_path / "run", resume=resume)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="holds no run"):
        opened(tmp_path / "own", resume=True)


def test_runs_without_a_name_get_one_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = opened(None), opened(None)
    assert first.path != second.path
    assert first.path.parent.name == "runs"


def test_a_digest_is_of_names_and_bytes(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("same")
    a, b = tmp_path / "a", tmp_path / "b"
    assert digest_of([a, b]) == digest_of([b, a])
    assert digest_of([a]) != digest_of([b])
