"""Reports of run folders made by hand: tables, tests, words, pictures, and what is refused."""

import json
import re

import pytest

from app.cli import build
from app.experiments.plots import Curve, Plot, Point, draw
from app.experiments.report.curves import plots_of
from app.experiments.report.document import document, write_report
from app.experiments.report.finished import read_run, read_runs
from app.experiments.report.report import as_json, as_text, make_report
from app.experiments.report.tables import make_tables, sentences
from app.experiments.run_folder import RunError, RunFolder
from tests.app.experiments.report.folders import perplexity_run, qa_run, retrieval_run

PNG = b"\x89PNG"


def tables(*folders):
    return make_tables(read_runs(folders))


def test_a_perplexity_run_is_tested_against_none_and_against_the_first(tmp_path):
    (table,) = tables(
        perplexity_run(tmp_path / "a", gain=0.1),
        perplexity_run(tmp_path / "b", gain=0.2, stride=8),
        perplexity_run(tmp_path / "c", gain=0.1, stride=16),
    )
    assert table.varied == ("stride",)
    said = sentences(table)
    assert "a with them is 9." in said[0]
    assert "% below no passages" in said[0]
    assert "Luck is an unlikely explanation" in said[0]
    assert re.search(r"b is 9\.\d\d % below a .* 2000 tokens in blocks of 128", said[3])
    assert "call it a tie" in said[4]
    first, better, same = table.rows
    assert first.comparisons == {}
    assert better.comparisons["perplexity a token"].significant
    assert same.comparisons["perplexity a token"].p == 1.0


def test_questions_are_compared_under_the_same_condition(tmp_path):
    (table,) = tables(
        qa_run(tmp_path / "a"),
        qa_run(tmp_path / "b", ((0, 0.2), (4, 0.4), (8, 0.8)), retriever="dense"),
        qa_run(tmp_path / "gold", ((1, 1.0),), mode="gold"),
    )
    pairs = [(row.line.name, row.baseline and row.baseline.name) for row in table.rows]
    assert pairs == [
        ("a, no passage", None),
        ("a, 4 passages", "a, no passage"),
        ("b, no passage", "a, no passage"),
        ("b, 4 passages", "a, 4 passages"),
        ("b, 8 passages", "a, 4 passages"),
        ("gold, gold", "a, 4 passages"),
    ]
    assert table.rows[3].comparisons["F1"].difference == pytest.approx(-40)
    assert not table.rows[4].comparisons["F1"].significant
    assert "F1: gold, gold is 20.00 points above a, 4 passages" in " ".join(sentences(table))


def test_a_tables_stars_are_the_tests_and_the_settings_those_that_differ(tmp_path):
    made = make_report(
        read_runs(
            [
                retrieval_run(tmp_path / "a", 10),
                retrieval_run(tmp_path / "b|c", 30, mode="dense"),
                retrieval_run(
                    tmp_path / "d", 12, index={"path": "elsewhere/index", "sha256": "i" * 64}
                ),
            ]
        )
    )
    shown = as_text(made).splitlines()
    assert shown[0] == "| run | mode | nDCG@10 | R@20 | ms |"
    assert shown[2] == "| a | bm25 | 25.00 | 100.00 | 12.00 |"
    assert shown[3] == "| b/c | dense | 75.00* | 100.00 | 12.00 |"
    assert shown[4] == "| d | bm25 | 30.00 | 100.00 | 12.00 |"
    (part,) = as_json(made)
    assert part["lines"][1]["comparisons"]["nDCG@10"]["other"] == 75.0
    assert json.dumps(part, allow_nan=False)


def test_a_digest_is_shown_where_names_do_not_tell(tmp_path):
    here, there = ({"path": f"{n}/index", "sha256": n * 64} for n in "ab")
    (table,) = tables(
        retrieval_run(tmp_path / "a", index=here), retrieval_run(tmp_path / "b", index=there)
    )
    assert table.varied == ("index.sha256",)
    assert "| b | bbbbbbbb |" in as_text(make_report(table.runs))


def test_a_setting_has_a_picture_where_it_differs(tmp_path):
    (one,) = tables(perplexity_run(tmp_path / "a"))
    assert plots_of(one) == []
    (table,) = tables(
        perplexity_run(tmp_path / "b", stride=4),
        perplexity_run(tmp_path / "c", stride=16, gain=0.2),
        perplexity_run(tmp_path / "d", stride=4, retriever="dense"),
    )
    (plot,) = plots_of(table)
    assert plot.name == "perplexity-stride"
    assert [(c.label, [p.x for p in c.points]) for c in plot.curves] == [
        ("bm25", [4, 16]),
        ("dense", [4]),
        ("bm25, without", [4, 16]),
        ("dense, without", [4]),
    ]
    first, bare = plot.curves[0].points[0], plot.curves[2].points[0]
    assert (first.low, first.high) == (0.8 * bare.y, 0.95 * bare.y)  # of the distance to it
    (sizes,) = tables(
        perplexity_run(tmp_path / "s", model="small"),
        perplexity_run(tmp_path / "l", model="large", model_parameters=9_000_000, gain=0.3),
    )
    (plot,) = plots_of(sizes)
    assert (plot.name, [p.x for p in plot.curves[0].points]) == ("gain-size", [1e6, 9e6])
    assert plot.curves[0].points[1].y == pytest.approx(25.9, abs=0.5)


def test_questions_and_rankings_have_their_curves(tmp_path):
    (asked, found) = tables(
        qa_run(tmp_path / "a"),
        qa_run(tmp_path / "b", model="large", model_parameters=9_000_000),
        retrieval_run(tmp_path / "c"),
    )
    assert [plot.name for plot in plots_of(asked)] == ["answers", "answer-gain-size"]
    assert [len(plot.curves) for plot in plots_of(asked)] == [4, 1]
    assert [plot.name for plot in plots_of(found)] == ["recall"]


def test_names_are_text_in_pictures_and_html(tmp_path):
    """A folder's name is anyone's: no markup, no formula of matplotlib's, no legend left out."""
    hostile = "_$\\frac{<b>&\"'"
    made = make_report(
        read_runs([qa_run(tmp_path / hostile), qa_run(tmp_path / "b", retriever="<script>")])
    )
    page = str(document(made))
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page.replace('src="data:image/png;base64,', "")
    assert all(part.pictures[0].png.startswith(PNG) for part in made.parts)


def test_a_report_is_written_whole_and_never_over_another(tmp_path, monkeypatch):
    made = make_report(read_runs([qa_run(tmp_path / "a"), retrieval_run(tmp_path / "b")]))
    out = write_report(made, tmp_path / "out")
    assert {path.name for path in out.iterdir()} == {"report.html", "answers.png", "recall.png"}
    with pytest.raises(RunError, match="nothing is written over"):
        write_report(made, out)
    monkeypatch.chdir(tmp_path)
    assert write_report(made, None).parent.name == "runs"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(made, tmp_path / "file" / "below")


def test_what_is_no_finished_run_is_named(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        read_run(tmp_path)
    RunFolder.open(tmp_path / "begun", "qa", {}, resume=False)
    with pytest.raises(RunError, match=r"not finished; .* --resume"):
        read_run(tmp_path / "begun")
    damaged = qa_run(tmp_path / "damaged")
    (damaged / "metrics.json").write_text("[]")
    with pytest.raises(RunError, match="is no JSON object"):
        read_run(damaged)
    lost = retrieval_run(tmp_path / "lost")
    (lost / "per_query.jsonl").unlink()
    with pytest.raises(RunError, match=r"per_query\.jsonl: cannot be read"):
        tables(lost)
    odd = RunFolder.open(tmp_path / "odd", "dance", {}, resume=False)
    odd.finish({}, {})
    with pytest.raises(RunError, match="unknown kind 'dance'"):
        tables(odd.path)
    with pytest.raises(RunError, match="named twice"):
        read_runs([damaged.parent / "odd", odd.path])
    other = qa_run(tmp_path / "below" / "odd")
    assert [run.name for run in read_runs([odd.path, other])] == [str(odd.path), str(other)]


@pytest.mark.parametrize(
    ("make", "change", "said"),
    [
        (perplexity_run, {"text_digest": "u" * 64, "text": "u.txt"}, r"text_digest is u+ \(u.txt"),
        (perplexity_run, {"words": 700}, "700 words of the text, not 900"),
        (qa_run, {"data_digest": "e" * 64}, r"data_digest is e{8} \(squad.json\), not d{8}"),
        (qa_run, {"questions": 10}, "questions is 10, not 40"),
        (retrieval_run, {"data": {"path": "x", "sha256": "e" * 64}}, "data.sha256 is e{8}"),
    ],
)
def test_runs_on_different_data_are_refused(tmp_path, make, change, said):
    with pytest.raises(RunError, match=f"b and a ran on different data: {said}"):
        tables(make(tmp_path / "a"), make(tmp_path / "b", **change))


def test_other_tokens_of_the_same_text_are_shown_without_a_test(tmp_path):
    (table,) = tables(perplexity_run(tmp_path / "a"), perplexity_run(tmp_path / "b", tokens=1500))
    assert table.rows[1].comparisons == {}
    assert "b and a read the text in other tokens" in sentences(table)[2]


def test_the_command_compares_runs_of_every_kind(tmp_path, capsys):
    folders = [
        str(make(tmp_path / name))
        for name, make in (("p", perplexity_run), ("q", qa_run), ("r", retrieval_run))
    ]
    out = ("--out", str(tmp_path / "out"))
    build()(args=["report", *folders, *out, "--json"], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    assert [part["kind"] for part in printed["parts"]] == ["perplexity", "qa", "retrieval"]
    assert (tmp_path / "out" / "report.html").exists()
    with pytest.raises(RunError, match="cannot be compared by BLEU; they share EM, F1"):
        build()(args=["report", *folders, "--measure", "BLEU"], standalone_mode=False)
    build()(args=["report", *folders, "--measure", "EM", "--out", f"{out[1]}2"],
            standalone_mode=False)  # fmt: skip
    assert "EM: q, 4 passages is 60.00 points above q, no passage" in capsys.readouterr().out


def test_scales_fit_what_is_drawn():
    curve = Curve("a", (Point(1, 2.0, 1.0, 3.0), Point(100, 2.5)))
    assert draw(Plot("n", "t", "x", "y", (curve, curve))).startswith(PNG)
    zero = Curve("a", (Point(0, 2.0), Point(8, 2.5)))
    assert draw(Plot("n", "t", "x", "y", (zero,), ticks=False)).startswith(PNG)
