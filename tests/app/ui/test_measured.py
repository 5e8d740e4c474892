"""Figures of the bundled models on the page: only what their folders say, escaped."""

import json

from app.ui.measured import of_model, of_reader


def line(way, name, exact, f1):
    return {"set": name, "way": way, "exact_match": exact, "f1": f1, "questions": 2}


def test_a_folder_without_figures_says_nothing(tmp_path):
    assert of_reader(tmp_path) == "" == of_model(tmp_path)
    (tmp_path / "quotes.json").write_text("no JSON")
    assert of_model(tmp_path) == ""


def test_a_row_for_each_way_and_a_column_for_each_set(tmp_path):
    lines = [line("reader", "own", 50.2, 61.7), line("<b>", "own", 1, 2), line("<b>", "best", 3, 4)]
    (tmp_path / "quotes.json").write_text(json.dumps(lines))
    shown = of_model(tmp_path)
    assert "<td>reader</td><td>50 %, F1 62</td><td></td>" in shown
    assert "<td>&lt;b&gt;</td><td>1 %, F1 2</td><td>3 %, F1 4</td>" in shown
    assert "key" not in shown


def test_keys_are_told_in_a_sentence(tmp_path):
    (tmp_path / "quotes.json").write_text("[]")
    (tmp_path / "keys.json").write_text(json.dumps([{"keys": 2, "found": 50.0}]))
    assert "finds 50 % among 2 pairs." in of_model(tmp_path)


def test_the_readers_figures(tmp_path):
    (tmp_path / "figures.json").write_text(json.dumps({"SQuAD": {"exact_match": 54.8, "f1": 68}}))
    assert "<td>SQuAD</td><td>55 %</td><td>68 %</td>" in of_reader(tmp_path)
