"""train spider, questions and import, and index reembed: from the command line to a search."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import build
from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.storage.verify import verify_index
from retrieval.types import Extracted, Mode
from tests.retrieval.random_encoders import save_bert, save_dpr
from tests.retrieval.spider.test_spider_data import SENTENCES

pytestmark = pytest.mark.java


def run(*arguments):
    done = CliRunner().invoke(build(), [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "index"
    with IndexWriter(path, None) as writer:
        for n, text in enumerate(SENTENCES):
            writer.add(f"r{n}", f"r{n}", Extracted("River", text, (), "text/plain"), whole=True)
        writer.commit()
    return path


def test_an_index_gets_an_encoder_of_its_own(index, tmp_path):
    bert, model = save_bert(tmp_path / "bert"), tmp_path / "model"
    few = ["--steps", 2, "--batch-size", 2, "--mini-batch", 2, "--threads", 1]
    printed = run(
        "train", "spider", "--index", index, "--out", model, "--start", bert, *few, "--json"
    )
    trained = json.loads(printed.splitlines()[-1])
    assert trained["steps"] == 2
    assert trained["data"]["spans"] > 0
    run("index", "reembed", index, "--encoder", model)
    assert verify_index(index) == []
    opened = Index.open(index)
    assert opened.encoder.folder == model
    assert len(opened.search("salmon", k=10, mode=Mode.DENSE)) == len(SENTENCES)
    opened.close()
    (tmp_path / "dpr.json").write_text(
        json.dumps([{"question": "salmon at the weir?", "positive_ctxs": [{"text": SENTENCES[1]}]}])
    )
    tuned = tmp_path / "tuned"
    asked = ["--questions", tmp_path / "dpr.json", "--start", model]
    printed = run("train", "questions", "--index", index, "--out", tuned, *asked, *few)
    assert "2 steps" in printed


def test_a_published_checkpoint_becomes_an_encoder(index, tmp_path):
    spider = save_dpr(tmp_path / "spider")
    run("train", "import", spider, "--out", tmp_path / "model")
    run("index", "reembed", index, "--encoder", tmp_path / "model")
    assert verify_index(index) == []
    run("index", "reembed", index, "--encoder", "none")
    assert verify_index(index) == []
