"""Taking a removed document's words out of stored answers."""

import sqlite3
from dataclasses import replace

from app.library.stored_answer import dump_answer, load_answer
from app.types import Answer, AnswerMode, Citation, Sentence

REMOVED = "removed"


def redact_answers(db: sqlite3.Connection, collection_id: int, digest: str) -> None:
    """Rewrite every stored answer of a collection that cites or lists the document `digest`."""
    sql = (
        "SELECT m.id, m.answer FROM messages m JOIN chats c ON c.id = m.chat_id"
        " WHERE c.collection_id = ? AND instr(m.answer, ?) > 0"
    )
    for row in db.execute(sql, (collection_id, digest)).fetchall():
        answer = dump_answer(redact(load_answer(row["answer"]), digest))
        db.execute("UPDATE messages SET answer = ? WHERE id = ?", (answer, row["id"]))


def redact(answer: Answer, digest: str) -> Answer:
    """The answer without the document's words: its citations and literal quotes say "removed".

    A generated sentence stays: it is the model's wording, and its citation still says "removed".
    """
    gone = {c.number for c in answer.citations if c.document_id == digest}
    sentences = tuple(_redact_sentence(s, gone, answer.mode) for s in answer.sentences)
    text = answer.text
    for before, after in zip(answer.sentences, sentences, strict=True):
        if before.text != after.text:
            text = text.replace(before.text, after.text)
    return replace(
        answer,
        text=text,
        sentences=sentences,
        citations=tuple(_redact_citation(c) if c.number in gone else c for c in answer.citations),
        passages=tuple(p for p in answer.passages if p.document_id != digest),
    )


def _redact_sentence(sentence: Sentence, gone: set[int], mode: AnswerMode) -> Sentence:
    literal = mode is AnswerMode.QUOTE
    return (
        replace(sentence, text=REMOVED) if literal and gone & set(sentence.citations) else sentence
    )


def _redact_citation(citation: Citation) -> Citation:
    return Citation(citation.number, REMOVED, REMOVED, REMOVED, None, 0, 0, REMOVED, removed=True)
