"""Chats: questions with their stored answers, kept until deleted, exported as Markdown."""

import re
import sqlite3
import time
from dataclasses import dataclass

from app.library.documents import Documents
from app.library.store import LibraryError, NotFound
from app.library.stored_answer import dump_answer, load_answer
from app.types import Answer, Citation

TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation with a collection; times are in seconds since the epoch."""

    id: int
    collection_id: int
    title: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Message:
    """One question and its answer, as they were shown."""

    id: int
    chat_id: int
    question: str
    answer: Answer
    created_at: float


class Chats(Documents):
    """What a library knows of its chats."""

    def chats(self, collection_id: int) -> list[Chat]:
        """The chats of a collection, the latest used first."""
        sql = "SELECT * FROM chats WHERE collection_id = ? ORDER BY updated_at DESC, id DESC"
        with self.read() as db:
            return [Chat(**row) for row in db.execute(sql, (collection_id,))]

    def chat(self, chat_id: int) -> Chat:
        """One chat. Raises NotFound."""
        with self.read() as db:
            return _fetch(db, chat_id)

    def create_chat(self, collection_id: int, title: str) -> Chat:
        """A new chat, named after its first question as a rule. Raises NotFound."""
        now = time.time()
        values = (self.collection(collection_id).id, _title(title), now, now)
        with self.write() as db:
            cursor = db.execute(
                "INSERT INTO chats (collection_id, title, created_at, updated_at)"
                " VALUES (?, ?, ?, ?)",
                values,
            )
            assert cursor.lastrowid is not None
            return _fetch(db, cursor.lastrowid)

    def rename_chat(self, chat_id: int, title: str) -> None:
        """Raises NotFound, or LibraryError where the title is empty."""
        with self.write() as db:
            _fetch(db, chat_id)
            db.execute("UPDATE chats SET title = ? WHERE id = ?", (_title(title), chat_id))

    def delete_chat(self, chat_id: int) -> None:
        """Remove a chat and its messages; one that is gone already is fine."""
        with self.write() as db:
            db.execute("DELETE FROM chats WHERE id = ?", (chat_id,))
        self.compact()

    def messages(self, chat_id: int) -> list[Message]:
        """The messages of a chat, oldest first, answers exactly as they were stored."""
        with self.read() as db:
            sql = "SELECT * FROM messages WHERE chat_id = ? ORDER BY id"
            return [
                Message(**{**dict(row), "answer": load_answer(row["answer"])})
                for row in db.execute(sql, (chat_id,))
            ]

    def add_message(self, chat_id: int, question: str, answer: Answer) -> Message:
        """Store one question with its answer. Raises NotFound where the chat is gone."""
        now = time.time()
        with self.write() as db:
            _fetch(db, chat_id)
            db.execute("UPDATE chats SET updated_at = ? WHERE id = ?", (now, chat_id))
            cursor = db.execute(
                "INSERT INTO messages (chat_id, question, answer, created_at) VALUES (?, ?, ?, ?)",
                (chat_id, question, dump_answer(answer), now),
            )
        assert cursor.lastrowid is not None
        return Message(cursor.lastrowid, chat_id, question, answer, now)

    def export_markdown(self, chat_id: int) -> str:
        """A chat as Markdown: questions as headings, answers, and the words they cite."""
        chat = self.chat(chat_id)
        parts = [f"# {_plain(chat.title)}"]
        for message in self.messages(chat_id):
            parts += [f"## {_plain(message.question)}", _answer_markdown(message.answer)]
        return "\n\n".join(parts) + "\n"


def _answer_markdown(answer: Answer) -> str:
    lines = []
    for sentence in answer.sentences:
        marks = "".join(f"[{number}]" for number in sentence.citations)
        lines.append(f"{_plain(sentence.text)} {marks}".rstrip())
    body = " ".join(lines) or _plain(answer.text)
    notes = "\n".join(_citation_markdown(each) for each in answer.citations)
    return f"{body}\n\n{notes}" if notes else body


def _citation_markdown(citation: Citation) -> str:
    if citation.removed:
        return f"- [{citation.number}] removed"
    page = f", page {citation.page}" if citation.page is not None else ""
    return f'- [{citation.number}] {_plain(citation.document)}{page}: "{_plain(citation.text)}"'


def _plain(text: str) -> str:
    """One line that Markdown shows as it is: documents and models are not trusted with markup."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~&$-])", r"\\\1", " ".join(text.split()))


def _title(title: str) -> str:
    clean = " ".join(title.split())[:TITLE_CHARACTERS]
    if not clean:
        raise LibraryError("a chat needs a title")
    return clean


def _fetch(db: sqlite3.Connection, chat_id: int) -> Chat:
    row = db.execute("SELECT * FROM chats WHERE id = ?", (chat_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no chat {chat_id} (any more)")
    return Chat(**row)
