"""A cross-encoder from questions: trained a little, stopped and gone on with, used to rank."""

import json
import shutil
from dataclasses import replace

import pytest

from app.answering.rerankers import open_reranker
from app.experiments.run_folder import RunError
from app.training.reranker_training import Request, train
from app.types import OrbweaverError
from retrieval.encoders.encoder import load_encoder
from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.search import Search
from retrieval.training.rerank_train import RerankerTraining
from retrieval.types import Extracted, Mode

pytestmark = pytest.mark.java
COLOURS = ("red", "green", "blue", "black", "white", "brown", "grey", "pink", "gold", "teal")
SETTINGS = RerankerTraining(steps=4, batch_size=2, longest=32, save_every=2)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """An encoder's folder: two narrow layers that know nothing, MiniLM's tokenizer."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=30522, intermediate_size=32, **sizes)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(load_encoder().folder / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def request_(tmp_path_factory, base):
    folder = tmp_path_factory.mktemp("colours")
    questions, paragraphs = [], []
    with IndexWriter(folder / "index", None) as writer:
        for number, colour in enumerate(COLOURS * 2):
            text = f"House {number} of the street is painted {colour}."
            writer.add(f"{number}", "x", Extracted("", text, (), "text/plain"), whole=True)
            answer = {"text": colour, "answer_start": text.index(colour)}
            questions = [{"id": str(number), "question": f"House {number}?", "answers": [answer]}]
            paragraphs.append({"context": text, "qas": questions})
        writer.commit()
    squad = folder / "squad.json"
    squad.write_text(json.dumps({"data": [{"title": "Street", "paragraphs": paragraphs}]}))
    return Request(folder / "index", squad, "train", str(base), SETTINGS)


def quiet(stage, done, total):
    assert 0 <= done <= total, stage


def test_a_stopped_training_goes_on_to_the_same_model(request_, tmp_path):
    scores = train(request_, tmp_path / "whole", quiet)
    assert (scores.trained_on, scores.held_out) == (18, 2)

    def stop(stage, done, total):
        if stage == "training" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(request_, tmp_path / "part", stop)
    other = replace(request_, settings=replace(SETTINGS, steps=9))
    with pytest.raises(RunError, match="begun with training"):
        train(other, tmp_path / "part", quiet)
    assert train(request_, tmp_path / "part", quiet) == scores
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "part")]
    assert weights[0] == weights[1]
    assert not (tmp_path / ".part.training").exists()
    with pytest.raises(OrbweaverError, match="there already"):
        train(request_, tmp_path / "whole", quiet)

    again = open_reranker(str(tmp_path / "whole"), weight=0.5, depth=3)
    index = Index.open(request_.index)
    (hits,) = Search(k=2, mode=Mode.BM25, reranker=again).find(index, ["House 4?"])
    index.close()
    assert "cross-encoder" in hits[0].parts
    card = json.loads((tmp_path / "whole" / "reranker.json").read_text())
    assert card["training"]["steps"] == 4


def test_the_bundled_reader_ranks_again():
    from retrieval.rerank import READER_WEIGHT, rerank
    from retrieval.types import Hit, Passage

    reader = open_reranker("reader")
    assert (reader.weight, reader.depth) == (READER_WEIGHT, 20)
    assert (reader.first.scorer.name, reader.first.depth) == ("sentence", 10)
    texts = ["The mill was sold in the spring.", "Maria Lind planted the trees in 1931.", ""]
    passages = [Passage(f"p{n}", "d", "", text, None, 0, 1) for n, text in enumerate(texts)]
    hits = [Hit(passage.id, 1.0, {}) for passage in passages]
    ranked = rerank("Who planted the trees?", hits, passages, reader)
    assert ranked[0].passage_id == "p1"
    assert ranked[0].parts["reader"].rank == ranked[0].parts["sentence"].rank == 1
    with pytest.raises(OrbweaverError, match="0 or more"):
        open_reranker("reader", weight=-1.0)
    assert open_reranker(None) is None
