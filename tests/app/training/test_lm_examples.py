"""Chunks put together: nearest first, never of one's own document, no copies, nothing twice."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from app.training.example_plan import ExamplePlan, Kind
from app.training.lm_data import TrainingDataError, document_starts, sections
from app.training.lm_examples import (
    Chunk,
    Example,
    Material,
    assemble,
    build_examples,
    cut_chunks,
    example_tokens,
    read_examples,
    runs,
    write_examples,
)
from jamba.tokens.bpe import BOS, EOS, SMALLEST, train_tokenizer
from jamba.tokens.chat import load_tokenizer

KINDS = 3  # of things that the made-up documents are about


def material(documents: int, chunks: int) -> Material:
    """Documents of one-word chunks; chunk n of each is about thing n % KINDS."""
    texts, found = {}, []
    for document in range(documents):
        words = [f"d{document}c{n:02}" for n in range(chunks)]
        texts[f"text{document}"] = " ".join(words)
        for n, word in enumerate(words):
            start = n * (len(word) + 1)
            found.append(Chunk(f"text{document}", document, start, start + len(word), word))
    return Material(texts, found, [10] * len(found))


def about(texts):
    """Unit vectors: texts about one thing are alike, those of near documents more so."""
    vectors = np.zeros((len(texts), KINDS + 1), np.float32)
    for row, text in enumerate(texts):
        document, n = (int(part) for part in text[1:].split("c"))
        vectors[row, n % KINDS] = 1
        vectors[row, KINDS] = 0.1 * document
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def build(plan, made, room=30, seed=0):
    return list(build_examples(made, plan, room, about, random.Random(seed)))


ALL_KNN = ExamplePlan(share=1.0, ceiling=1.0)


def test_neighbours_are_alike_and_of_other_documents():
    examples = build(ALL_KNN, material(documents=6, chunks=6))
    assert {len(example.chunks) for example in examples} <= {1, 2, 3}
    full = [example for example in examples if len(example.chunks) == 3]
    assert len(full) >= 8
    for example in examples:
        lead, *others = example.chunks
        assert all(other.document != lead.document for other in others)
    alike = [len({int(c.text[3:]) % KINDS for c in e.chunks}) == 1 for e in full]
    assert sum(alike) >= len(full) - KINDS  # the last ones take what is left


def test_the_lead_comes_first_then_the_nearest():
    plan = replace(ALL_KNN, candidates=3)
    for example in build(plan, material(documents=5, chunks=3), room=1000):
        lead, *others = (about([chunk.text])[0] for chunk in example.chunks)
        cosines = [float(lead @ other) for other in others]
        assert cosines == sorted(cosines, reverse=True)


def test_with_one_use_every_kind_holds_the_same_chunks():
    made = material(documents=4, chunks=7)
    wanted = sorted(chunk.text for chunk in made.chunks)
    for kind in Kind:
        examples = build(ExamplePlan(kind=kind, share=0.5, ceiling=1.0), made)
        words = " ".join(chunk.text for example in examples for chunk in example.chunks)
        assert sorted(words.split()) == wanted, kind


def test_a_share_of_the_text_stays_contiguous():
    made = material(documents=8, chunks=9)
    examples = build(replace(ALL_KNN, share=0.25), made)
    contiguous = [example for example in examples if example.kind == Kind.CONTIGUOUS]
    assert sum(len(e.chunks[0].text.split()) for e in contiguous) == 0.75 * len(made.chunks)
    for example in contiguous:
        (run,) = example.chunks
        assert run.text == made.texts[run.source][run.start : run.end]


def test_contiguous_examples_fill_a_row_and_stay_within_a_document():
    made = material(documents=2, chunks=5)
    assert runs(made, 30) == [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9]]
    gap = Material(made.texts, [made.chunks[n] for n in (0, 1, 3)], [10] * 3)
    assert runs(gap, 30) == [[0, 1], [2]]  # what stood between is held out
    assert runs(replace(made, sizes=[40] * 10), 30) == [[n] for n in range(10)]


def test_random_neighbours_need_no_vectors():
    plan = ExamplePlan(kind=Kind.RANDOM, share=1.0)
    made = material(documents=6, chunks=6)
    examples = list(build_examples(made, plan, 30, None, random.Random(0)))
    assert sum(len(example.chunks) == 3 for example in examples) >= 8
    for example in examples:
        lead, *others = example.chunks
        assert all(other.document != lead.document for other in others)


@pytest.mark.parametrize("kind", Kind)
def test_the_seed_decides(kind):
    plan, made = ExamplePlan(kind=kind, ceiling=1.0), material(documents=5, chunks=6)
    assert build(plan, made) == build(plan, made)
    assert build(plan, made) != build(plan, made, seed=1)


def test_copies_do_not_stand_together():
    vectors = np.array([[1, 0], [0.999, 0.045], [0.8, 0.6], [0.79, 0.613]], np.float32)
    found = assemble([(0, [1, 2, 3])], [1] * 4, 10, 1, vectors, ceiling=0.95)
    assert list(found) == [[0, 2]]  # 1 is a copy of 0, and 3 one of 2


def test_what_is_used_up_neither_leads_nor_follows():
    leads = [(0, [1, 2]), (1, [2, 0]), (2, [0, 1])]
    assert list(assemble(leads, [1] * 3, 2, uses=1)) == [[0, 1], [2]]
    assert list(assemble(leads, [1] * 3, 2, uses=2)) == [[0, 1], [1, 2], [2, 0]]


def test_a_neighbour_too_long_makes_way_for_the_next():
    assert list(assemble([(0, [1, 2])], [4, 7, 6], 10, uses=1)) == [[0, 2]]


@pytest.mark.parametrize("kind", [Kind.KNN, Kind.RANDOM])
@pytest.mark.parametrize(("documents", "share"), [(1, 1.0), (2, 0.2)])
def test_text_without_two_documents_is_refused(kind, documents, share, tmp_path):
    plan = ExamplePlan(kind=kind, share=share)
    made = build_examples(material(documents, 3), plan, 30, about, random.Random(0))
    with pytest.raises(TrainingDataError, match="other documents"):
        write_examples(tmp_path / "examples.jsonl", made)
    assert not list(tmp_path.iterdir())


def test_documents_begin_at_headings_or_after_so_many_paragraphs():
    article = "= One =\nText.\n= = Part = =\nMore.\n= Two =\nOther."
    assert document_starts(article) == [0, article.index("= Two =")]
    book = "\n".join(f"Paragraph {n:02}." for n in range(65))
    assert [book[start:][:13] for start in document_starts(book)] == [
        "Paragraph 00.",
        "Paragraph 30.",
        "Paragraph 60.",
    ]


def test_chunks_tell_where_they_are_from_and_end_with_their_document():
    sentence = "The keeper of the old light wrote down every ship that passed. "
    first = f"= One =\n{sentence * 40}\n= Two =\n{sentence * 3}"
    texts = {"a.txt": first, "b.txt": sentence * 3}
    chunks = list(cut_chunks(texts, reversed(sections(texts.values())), 30))
    assert [chunk.document for chunk in chunks] == sorted(chunk.document for chunk in chunks)
    assert {(chunk.source, chunk.document) for chunk in chunks} == {
        ("a.txt", 0),
        ("a.txt", 1),
        ("b.txt", 2),
    }
    for chunk in chunks:
        assert texts[chunk.source][chunk.start : chunk.end] == chunk.text
        assert "= Two =" not in chunk.text[1:]
    assert "".join("".join(c.text for c in chunks).split()) == "".join(
        "".join(texts.values()).split()
    )


def test_examples_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "examples.jsonl"
    made = build(ExamplePlan(ceiling=1.0), material(documents=3, chunks=6))
    write_examples(path, iter(made))
    assert list(read_examples(path)) == made
    line = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    assert line["kind"] == "knn"
    assert set(line["chunks"][0]) == {"source", "document", "start", "end", "text"}
    assert [file.name for file in path.parent.iterdir()] == ["examples.jsonl"]


def test_a_bad_line_is_named(tmp_path):
    path = tmp_path / "examples.jsonl"
    path.write_text('{"kind": "knn", "chunks": []}\n{"kind": "other", "chunks": []}\n')
    with pytest.raises(TrainingDataError, match="line 2"):
        list(read_examples(path))


def test_the_end_of_text_stands_between_chunks(tmp_path):
    train_tokenizer(["harbour lamp keeper"] * 3, SMALLEST + 2, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    chunks = tuple(Chunk("a", n, 0, 4, text) for n, text in enumerate(("lamp", EOS)))
    ids = example_tokens(Example(Kind.KNN, chunks), tokenizer).ids.tolist()
    (bos,), (eos,) = tokenizer.encode_special(BOS), tokenizer.encode_special(EOS)
    assert ids == [bos, *tokenizer.encode("lamp"), eos, *tokenizer.encode(EOS)]
    assert ids.count(eos) == 1  # written out in the text it stays words


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "near"}, "knn, random, contiguous"),
        ({"share": 0}, "share"),
        ({"share": 1.5}, "share"),
        ({"uses": 0}, "uses"),
        ({"candidates": 0}, "candidates"),
        ({"chunk_words": 0}, "chunk_words"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        ExamplePlan(**changes)
