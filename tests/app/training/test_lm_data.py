"""From files to exams to tokens: only what may be trained on, laid out by the chat template."""

import json
import random

import pytest

from app.answering.prompt import SYSTEM
from app.training import lm_data
from app.training.lm_exams import Curriculum, Exam
from jamba.tokens.bpe import SMALLEST, train_tokenizer
from jamba.tokens.chat import load_tokenizer
from retrieval.evaluation.squad import GoldAnswer, Question

PASSAGE = (
    "The lighthouse was built in 1874 by the harbour board. Its lamp burned rape oil at first, and "
    "a keeper lived beside it until the lamp was made automatic in 1961, when he moved to town."
)


def question(text: str, answer: str, title: str = "Lighthouse", context: str = PASSAGE) -> Question:
    gold = GoldAnswer(answer, context.index(answer))
    return Question(text, title, 0, context, text, (gold,))


QUESTIONS = [question("When was it built?", "1874"), question("What burned?", "rape oil")]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([PASSAGE, SYSTEM] * 3, SMALLEST + 10, folder)
    return lm_data.Layout(load_tokenizer(folder), 3.0)


def test_a_gutenberg_frame_and_line_breaks_are_left_out(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(
        "\ufeffTitle\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\nOne\ntwo.\n\n\nThree.\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK X ***\nLicence",
        encoding="utf-8",
    )
    assert lm_data.read_text(path) == "One two.\nThree."


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00bad"])
def test_a_text_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "book.txt"
    if content:
        path.write_bytes(content)
    with pytest.raises(lm_data.TrainingDataError, match="book"):
        lm_data.read_text(path)


@pytest.fixture
def squad(tmp_path):
    def article(title: str) -> dict:
        answer = {"text": "1874", "answer_start": PASSAGE.index("1874")}
        asked = {"id": title, "question": "When?", "answers": [answer]}
        return {"title": title, "paragraphs": [{"context": PASSAGE, "qas": [asked]}]}

    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [article("Kept"), article("Reported")]}), encoding="utf-8")
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"s": {"tuning": ["Kept"], "reporting": ["Reported"]}}))
    return path, splits


def test_only_tuning_articles_are_read(squad):
    path, splits = squad
    assert [q.title for q in lm_data.read_questions(path, "s", splits)] == ["Kept"]
    assert len(lm_data.read_questions(path, None, splits)) == 2


def test_a_split_that_is_not_there_is_an_error_that_names_the_file(squad, tmp_path):
    path, splits = squad
    for where, split in ((splits, "other"), (tmp_path / "absent.json", "s")):
        with pytest.raises(lm_data.TrainingDataError, match=where.name):
            lm_data.read_questions(path, split, where)


def test_a_document_begins_as_the_application_asks_and_answers_weigh_more(layout):
    exam = Exam("Lighthouse", PASSAGE, (("When?", "1874"), ("What?", "rape oil")))
    item = layout.document(exam, [], AlwaysWithSystem(0))
    prompt = layout.tokenizer.encode_chat(
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "When?"}],
        [{"title": "Lighthouse", "text": PASSAGE}],
    )
    assert tuple(item.ids[: len(prompt.ids)]) == prompt.ids
    full = layout.tokenizer.encode_special(layout.tokenizer.render([]))  # the opening alone
    assert item.ids[0] == full[0]
    answers = layout.tokenizer.decode(item.ids[item.weights == 3.0].tolist())
    assert answers == " 1874 rape oil"
    rest = item.ids[len(prompt.ids) :].tolist()
    spelled = " 1874<|eom|><|bom|><|user|> What?<|eom|><|bom|><|assistant|> rape oil<|eom|>"
    assert layout.tokenizer.decode(rest) == " 1874 What? rape oil"
    assert rest.count(layout.tokenizer.encode_special("<|eom|>")[0]) == spelled.count("<|eom|>")


class AlwaysWithSystem(random.Random):
    """Chance that always puts the system message in front."""

    def random(self) -> float:
        return 0.0


def test_held_out_sections_and_exams_are_not_trained_on(layout):
    texts = tuple(f"{'word ' * 30}{n} {PASSAGE}" for n in range(3))
    many = tuple(
        question(f"When was it built, {n}?", "1874", f"Title {n}", f"{PASSAGE} {n}.")
        for n in range(90)
    )
    sources = lm_data.Sources((*texts, "\n".join(texts * 20)), many)
    corpus, held_out = lm_data.build_corpus(sources, layout, Curriculum(), 512, 0.1, seed=0)
    assert 0 < len(held_out) <= 2 * lm_data.HELD_OUT_ROWS
    assert held_out.ids.shape[1] == 512
    tokens = {tuple(item.ids.tolist()) for item in corpus.documents}
    row = held_out.ids[0].tolist()
    assert not any(tuple(row[: len(item)]) == item for item in tokens)


def test_a_paragraph_of_a_reserved_passage_is_left_out():
    other = "A keeper of bees lived beside the harbour and sold honey to the ships that came by."
    text = f"{other}\nNote: {PASSAGE[:90]} and more.\n{other}"
    assert lm_data.without_overlap(text, lm_data.runs([PASSAGE])) == f"{other}\n{other}"
