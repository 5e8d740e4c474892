"""Training an encoder on an index of its own: resumed to the same weights, and usable at once."""

import json
from dataclasses import replace

import numpy as np
import pytest

from retrieval.encoders.checkpoints import open_trainable
from retrieval.encoders.encoder import load_encoder
from retrieval.evaluation.question_data import QuestionBatches
from retrieval.index import Index
from retrieval.ingest.writer import LUCENE, IndexWriter
from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.storage.store import Store
from retrieval.training.encoder_runs import Start, train_on_questions, train_spider
from retrieval.training.encoder_train import EncoderTraining
from retrieval.training.loss_curve import read_curve
from retrieval.training.training_questions import read_asked, with_negatives
from retrieval.types import Extracted, Mode, RetrievalError
from tests.retrieval.random_encoders import save_bert
from tests.retrieval.spider.test_spider_data import ABSTRACTS, SENTENCES

pytestmark = pytest.mark.java

SETTINGS = EncoderTraining(
    steps=6, batch_size=4, mini_batch=2, learning_rate=4e-3, save_every=2, seed=5
)


def ignore(stage, done, total, loss=None):
    """Hears nothing."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """An index of an article in five entries, whose spans recur, and some abstracts."""
    path = tmp_path_factory.mktemp("corpus") / "index"
    with IndexWriter(path, None) as writer:
        for n, text in enumerate(SENTENCES):
            writer.add(f"r{n}", f"r{n}", Extracted("River", text, (), "text/plain"), whole=True)
        for id, text in ABSTRACTS.items():
            writer.add(id, id, Extracted("", text, (), "text/plain"), whole=True)
        writer.commit()
    return path


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("bert") / "tiny")


@pytest.fixture(scope="module")
def trained(corpus, bert, tmp_path_factory):
    """The model folder of an uninterrupted run, and what came of it."""
    out = tmp_path_factory.mktemp("models") / "spider"
    return out, train_spider(Start(corpus, str(bert), SETTINGS), out, ignore)


def test_the_model_describes_itself(trained, corpus):
    out, summary = trained
    assert sorted(path.name for path in out.parent.iterdir()) == ["spider"]
    encoder = load_encoder(str(out))
    assert (encoder.pooling, encoder.normalized) == ("cls", False)
    assert encoder.title_separator == " [SEP] "
    curve = read_curve(out / "loss.jsonl")
    assert [point.step for point in curve] == [1, 2, 3, 4, 5, 6]
    assert summary.last_loss < summary.first_loss
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    card = (out / "README.md").read_text()
    for said in ("no question", "| spans |", "| learning rate | 0.004 |", "| queries seen | 24 |"):
        assert said in card
    assert not list(out.rglob("*.bin")) + list(out.rglob("*.pkl")) + list(out.rglob("*.pt"))


def test_a_stopped_run_goes_on_to_the_same_weights(trained, corpus, bert, tmp_path):
    out = tmp_path / "spider"
    start = Start(corpus, str(bert), SETTINGS)

    def stop(stage, done, total, loss=None):
        if stage == "training" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_spider(start, out, stop)
    assert not out.exists()
    other = Start(corpus, str(bert), EncoderTraining(steps=7, batch_size=4))
    with pytest.raises(RetrievalError, match=r"other values of .*steps"):
        train_spider(other, out, ignore)
    heard = []
    train_spider(start, out, lambda *of: heard.append(of))
    assert [of[1] for of in heard if of[0] == "training"] == [5, 6]  # the fourth was saved
    whole = (trained[0] / "model.safetensors").read_bytes()
    assert (out / "model.safetensors").read_bytes() == whole
    losses = [point.loss for point in read_curve(out / "loss.jsonl")]
    assert losses == [point.loss for point in read_curve(trained[0] / "loss.jsonl")]


def test_texts_are_cut_while_training_alone(corpus, bert, tmp_path):
    out = tmp_path / "cut"
    cut = replace(SETTINGS, steps=2, max_tokens=8)
    train_spider(Start(corpus, str(bert), cut), out, ignore)
    whole = tmp_path / "whole"
    train_spider(Start(corpus, str(bert), replace(cut, max_tokens=None)), whole, ignore)
    weights = [(path / "model.safetensors").read_bytes() for path in (out, whole)]
    assert weights[0] != weights[1]
    lengths = [open_trainable(path)[0].max_seq_length for path in (out, whole)]
    assert lengths[0] == lengths[1] > 8
    assert "| max tokens | 8 |" in (out / "README.md").read_text()


def test_what_cannot_be_trained_says_so(trained, corpus, bert, tmp_path):
    with pytest.raises(RetrievalError, match="there already"):
        train_spider(Start(corpus, str(bert), SETTINGS), trained[0], ignore)
    empty = tmp_path / "index"
    with IndexWriter(empty, None) as writer:
        writer.add("a", "a", Extracted("", "One alone.", (), "text/plain"), whole=True)
        writer.commit()
    with pytest.raises(RetrievalError, match="no words recur"):
        train_spider(Start(empty, str(bert), SETTINGS), tmp_path / "out", ignore)


def squad_file(path):
    text = SENTENCES[0]
    qas = [
        {
            "id": "1",
            "question": "Who built the Pennock Weir?",
            "answers": [{"text": "Tomas Berg", "answer_start": text.index("Tomas")}],
        },
        {"id": "2", "question": "Why?", "answers": []},
    ]
    data = [{"title": "River", "paragraphs": [{"context": text, "qas": qas}]}]
    path.write_text(json.dumps({"data": data}))
    return path


def dpr_file(path):
    context = {"title": "River", "text": SENTENCES[1]}
    entries = [
        {
            "question": "What do salmon pass?",
            "answers": ["the Pennock Weir"],
            "positive_ctxs": [context],
        },
        {
            "question": "When?",
            "answers": ["spring"],
            "positive_ctxs": [context],
            "hard_negative_ctxs": [{"title": "", "text": "A mule."}],
        },
        {"question": "nothing was found", "answers": [], "positive_ctxs": []},
    ]
    path.write_text(json.dumps(entries))
    return path


def beir_folder(path):
    (path / "qrels").mkdir(parents=True)
    (path / "queries.jsonl").write_text(
        '{"_id": "q", "text": "who planted trees in the valley of the weir?"}\n'
    )
    table = "query-id\tcorpus-id\tscore\nq\tr2\t1\nq\tr0\t0\n"
    (path / "qrels" / "train.tsv").write_text(table)
    return path


@pytest.mark.parametrize(
    ("make", "questions", "right"),
    [(squad_file, 1, SENTENCES[0]), (dpr_file, 2, SENTENCES[1]), (beir_folder, 1, SENTENCES[2])],
)
def test_questions_get_wrong_passages_by_bm25(make, questions, right, corpus, tmp_path):
    store = Store.open(corpus)
    searcher = Bm25Searcher(corpus / LUCENE, store.generation)
    asked = [
        with_negatives(each, searcher.search, store)
        for each in read_asked(make(tmp_path / "questions"), store)
    ]
    assert len(asked) == questions
    assert asked[0].positives[0].text == right
    wrong = [negative.text for negative in asked[0].negatives]
    assert wrong
    assert right not in wrong
    if make is squad_file:
        assert SENTENCES[3] not in wrong  # it holds the answer
    if make is dpr_file:
        assert [negative.text for negative in asked[1].negatives] == ["A mule."]
    searcher.close()
    store.close()


def test_files_that_are_no_questions_are_named(corpus, tmp_path):
    store = Store.open(corpus)
    bad = tmp_path / "bad.json"
    for content, said in (("[{}]", "entry 0"), ("{}", "SQuAD"), ("[", "bad.json")):
        bad.write_text(content)
        with pytest.raises(RetrievalError, match=said):
            read_asked(bad, store)
    store.close()


def test_questions_train_and_the_index_takes_the_new_encoder(corpus, bert, tmp_path):
    from retrieval.ingest.reembed import reembed

    out = tmp_path / "tuned"
    start = Start(corpus, str(bert), EncoderTraining(steps=2, batch_size=2, mini_batch=2))
    summary = train_on_questions(start, dpr_file(tmp_path / "dpr.json"), out, ignore)
    assert (summary.data["questions used"], summary.steps) == (2, 2)
    encoder = load_encoder(str(out))
    copy = tmp_path / "index"
    with IndexWriter(copy, encoder) as writer:
        writer.add("a", "a", Extracted("River", SENTENCES[0], (), "text/plain"))
        writer.commit()
    index = Index.open(copy, encoder)
    assert index.search("weir", mode=Mode.DENSE)
    index.close()
    assert reembed(copy, encoder) == 1  # nothing to do
    model, _ = open_trainable(out)
    (vector,) = model.encode([f"River [SEP] {SENTENCES[0]}"])
    np.testing.assert_allclose(
        encoder.encode_passages([("River", SENTENCES[0])])[0], vector, atol=1e-5
    )


def test_prepared_questions_are_read_one_at_a_time(tmp_path):
    lines = [
        {
            "question": f"q{n}",
            "positives": [{"title": "T", "text": f"p{n}ü"}],
            "negatives": [{"title": "", "text": f"n{n}"}],
        }
        for n in range(3)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    batches = QuestionBatches(path, separator=" [SEP] ", size=3, seed=1)
    epoch = {(t.query, t.positive, t.negative) for t in batches.batch(0)}
    assert epoch == {(f"q{n}", f"T [SEP] p{n}ü", f"n{n}") for n in range(3)}
    batches.close()
