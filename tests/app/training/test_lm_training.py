"""`train lm` from the command line: a tiny model from made-up data, in the files others load."""

import json
import random
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner, Result

import jamba
from app.cli import build
from app.training import lm_recipe, lm_training
from app.training.lm_data import TrainingDataError, read_text
from app.training.lm_examples import read_examples
from jamba.tokens.bpe import SMALLEST
from jamba.tokens.chat import load_tokenizer

MODEL = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "attn_layer_period": 3,
    "attn_layer_offset": 1,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "tie_word_embeddings": True,
}
WORDS = "harbour lamp keeper stone tide rope light winter ship wall bell coast north sand".split()


def prose(sentences: int, seed: int) -> str:
    rng = random.Random(seed)
    return " ".join(
        " ".join(rng.choices(WORDS, k=9)).capitalize() + ("." if n % 5 else ".\n\n")
        for n in range(sentences)
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with one text, one question file and a recipe over them."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "prose.txt").write_text(prose(400, 0), encoding="utf-8")
    articles = []
    for n in range(30):
        context = prose(6, n + 1).replace("\n\n", "")
        answer = {"text": context.split()[3], "answer_start": context.index(context.split()[3])}
        asked = {"id": str(n), "question": "Which word is the fourth?", "answers": [answer]}
        articles.append({"title": f"A{n}", "paragraphs": [{"context": context, "qas": [asked]}]})
    (folder / "squad.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    recipe = {
        "texts": ["prose.txt"],
        "questions": [{"file": "squad.json"}],
        "vocabulary": SMALLEST + 30,
        "model": MODEL,
        "training": {"rows": 1, "row_tokens": 256, "save_every": 2, "steps": 4},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    return folder


def train(data, out, *more: str) -> Result:
    arguments = ["train", "lm", "--out", str(out), "--data", str(data), "--threads", "1"]
    return CliRunner().invoke(
        build(), [*arguments, "--recipe", str(data / "recipe.json"), "--json", *more]
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "model"
    result = train(data, out)
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout.splitlines()[-1])


def test_the_figures_come_as_one_json_object(trained):
    _, figures = trained
    assert figures["steps"] == 4
    assert figures["tokens"] == 4 * 256
    assert 0 < figures["held_out_loss"] < 10
    assert figures["gemm_share"] > 0


def test_the_folder_describes_itself(trained, data):
    out, figures = trained
    assert json.loads((out / "recipe.json").read_text())["model"] == MODEL
    kept = json.loads((out / "training.json").read_text())
    assert kept["measured"] == figures
    assert [point["step"] for point in kept["history"]] == [1, 2, 3, 4]
    assert json.loads((out / "generation_config.json").read_text())["eos_token_id"] == [2, 5]
    assert (out / "training-curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_engine_loads_the_folder(trained):
    out, _ = trained
    model, tokenizer = jamba.load_model(out), load_tokenizer(out)
    assert tokenizer.eos_ids == (2, 5)
    prompt = tokenizer.encode_chat([{"role": "user", "content": "Hi"}], [{"text": "Words."}])
    logits = model.logits(torch.tensor([prompt.ids]))
    assert logits.shape == (1, len(prompt.ids), SMALLEST + 30)
    assert logits.isfinite().all()


def test_a_finished_run_goes_on_with_more_steps(trained, data):
    out, _ = trained
    again = train(data, out)
    assert again.exit_code == 1
    assert "--resume" in str(again.exception)
    result = train(data, out, "--resume", "--steps", "6")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["steps"] == 6


def test_a_run_begins_with_a_model_that_was_trained_before(trained, data, tmp_path):
    start, out = trained[0], tmp_path / "further"
    result = train(data, out, "--start", str(start), "--steps", "1")
    assert result.exit_code == 0, result.output
    assert (out / "tokenizer.json").read_bytes() == (start / "tokenizer.json").read_bytes()
    known, further = jamba.load_model(start), jamba.load_model(out)
    assert (
        known.model.layers[0]
        .mamba.in_proj.weight.sub(further.model.layers[0].mamba.in_proj.weight)
        .abs()
        .max()
        < 0.1
    )  # one update away from it; from scratch they would have nothing in common


def test_a_start_of_another_shape_is_refused(trained, data, tmp_path):
    recipe = json.loads((data / "recipe.json").read_text())
    (tmp_path / "other.json").write_text(
        json.dumps({**recipe, "model": {**MODEL, "hidden_size": 64}})
    )
    out = tmp_path / "further"
    arguments = ["--recipe", str(tmp_path / "other.json"), "--start", str(trained[0])]
    result = train(data, out, *arguments)
    assert isinstance(result.exception, TrainingDataError)
    assert "hidden_size = 32, and the recipe 64" in str(result.exception)
    assert not out.exists()


def test_a_missing_text_is_named(data, tmp_path):
    recipe = json.loads((data / "recipe.json").read_text())
    (tmp_path / "recipe.json").write_text(
        json.dumps({**recipe, "questions": [], "texts": ["absent.txt"]})
    )
    result = train(tmp_path, tmp_path / "out")
    assert isinstance(result.exception, TrainingDataError)
    assert "absent.txt" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modell": {}}, "unknown field 'modell'"),
        ({"format": 2}, "format 2"),
        ({"questions": [{"path": "x"}]}, "path"),
        ({"examples": {"neighbours": 3}}, "neighbours"),
        ({"examples": {"kind": "near"}}, "near"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(data, tmp_path, change, said):
    recipe = {**json.loads((data / "recipe.json").read_text()), **change}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(TrainingDataError, match=said):
        lm_recipe.read_recipe(tmp_path / "recipe.json")


@pytest.mark.parametrize("spread", [None, 0.05])
def test_mixers_start_alike_where_the_recipe_says_so(trained, data, spread):
    recipe = replace(lm_recipe.read_recipe(data / "recipe.json"), match_alike=spread)
    model = lm_training.new_model(recipe, load_tokenizer(trained[0]), seed=0)
    attention = model.model.layers[1].self_attn
    keys, queries = attention.k_proj.weight, attention.q_proj.weight
    assert torch.equal(queries, torch.cat([keys, keys])) == (spread is not None)
    if spread:
        assert keys.std().item() == pytest.approx(spread)


def test_unknown_training_settings_are_refused(data):
    recipe = lm_recipe.read_recipe(data / "recipe.json")
    with pytest.raises(TrainingDataError, match="learning_rat"):
        lm_recipe.settings_of(
            lm_recipe.Recipe(**{**_values(recipe), "training": {"learning_rat": 1}})
        )


def _values(recipe: lm_recipe.Recipe) -> dict:
    return {name: getattr(recipe, name) for name in recipe.__slots__}


def test_articles_for_calibration_are_not_taught(data, tmp_path):
    splits = tmp_path / "splits.json"
    titles = [f"A{n}" for n in range(30)]
    splits.write_text(json.dumps({"s": {"tuning": titles, "calibration": ["A1", "A2"]}}))
    recipe = lm_recipe.read_recipe(data / "recipe.json")
    split = lm_recipe.Recipe(
        **{**_values(recipe), "questions": (lm_recipe.QuestionFile("squad.json", "s"),)}
    )
    sources = lm_recipe.read_sources(split, data, splits, tmp_path)
    assert {question.title for question in sources.questions} == set(titles) - {"A1", "A2"}


@pytest.fixture(scope="module")
def neighbours(data, tmp_path_factory):
    """A model trained on chunks beside their nearest, by the packaged encoder."""
    recipe = json.loads((data / "recipe.json").read_text())
    folder = tmp_path_factory.mktemp("recipe")
    # Made-up prose is all alike, so nothing counts as a copy.
    recipe |= {"examples": {"chunk_words": 20, "share": 0.5, "ceiling": 1.0}, "text_share": 0.8}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    out = tmp_path_factory.mktemp("out") / "model"
    options = ("--recipe", str(folder / "recipe.json"), "--steps", "2")
    result = train(data, out, *options, "--examples", "knn")
    assert result.exit_code == 0, result.output
    return out, options


def test_examples_of_neighbours_are_built_kept_and_trained_on(neighbours, data):
    out, _ = neighbours
    examples = list(read_examples(out / "examples.jsonl"))
    assert {example.kind for example in examples} == {"knn", "contiguous"}
    together = [example.chunks for example in examples if len(example.chunks) > 1]
    assert together
    assert all(other.document != lead.document for lead, *others in together for other in others)
    text = read_text(data / "prose.txt")
    (chunk, *_), *_ = together
    assert text[chunk.start : chunk.end] == chunk.text
    assert json.loads((out / "recipe.json").read_text())["examples"]["kind"] == "knn"


def test_a_run_goes_on_with_its_own_examples_only(neighbours, data):
    out, options = neighbours
    kept = (out / "examples.jsonl").read_bytes()
    other = train(data, out, *options, "--examples", "random", "--resume")
    assert isinstance(other.exception, TrainingDataError)
    assert "another folder" in str(other.exception)
    same = train(data, out, *options[:2], "--steps", "3", "--examples", "knn", "--resume")
    assert same.exit_code == 0, same.output
    assert (out / "examples.jsonl").read_bytes() == kept
