"""A reading as the prompt of one checkpoint: in the layout that it knows best, within a budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.answering.prompt import (
    SYSTEM,
    Reading,
    document,
    document_text,
    messages,
    messages_with_documents,
    pack,
    question_text,
)
from app.models.model_types import PromptTooLong

if TYPE_CHECKING:
    from jamba.tokens.chat import ChatPrompt, ChatTokenizer, Part, TextToken


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """How readings are laid out for a model of this name, whose prompts have `longest` tokens."""

    tokenizer: "ChatTokenizer"
    name: str
    longest: int

    def packed(self, reading: Reading) -> Reading:
        """The reading with as many passages as fit; without its history where that is too long."""
        for bare in (replace(reading, passages=()), Reading(reading.question, ())):
            frame = self.length(bare)
            if frame < self.longest:
                alone = [replace(bare, passages=(passage,)) for passage in reading.passages]
                costs = [self.length(each) - frame for each in alone]
                room = self.longest - frame
                return replace(bare, passages=pack(reading.passages, costs, room))
        raise PromptTooLong(
            f"{self.name}: the question alone is longer than a prompt of {self.longest}"
            " tokens; ask it in fewer words"
        )

    def length(self, reading: Reading) -> int:
        """Tokens of the prompt."""
        return len(self.prompt(reading).ids)

    def prompt(self, reading: Reading) -> "ChatPrompt":
        """Tokens and snapshot boundaries of a reading that fits."""
        return self.tokenizer.encode_parts(self._parts(reading))

    def question_tokens(self, reading: Reading) -> int:
        """How many tokens stand behind the last passage."""
        prompt = self.prompt(reading)
        return len(prompt.ids) - max(prompt.boundaries, default=0)

    def lead(self, reading: Reading) -> str:
        """What stands between the prompt and the first word of an answer: a space, or nothing.

        None follows white space, nor does one where the tokenizer puts one before every text.
        """
        encode = self.tokenizer.encode
        spaced = encode(" a")
        has_own = encode("a a")[-len(spaced) :] != spaced
        return "" if has_own or self._parts(reading)[-1].text[-1:].isspace() else " "

    def passage_tokens(self, reading: Reading) -> "Iterator[list[TextToken]]":
        """The prompt's own tokens of each passage's text, placed by that text's characters.

        None of a passage that the checkpoint's template leaves out.
        """
        parts = (part.text for part in self._parts(reading) if not part.is_template)
        text, behind, tokens = "", 0, list["TextToken"]()
        for passage in reading.passages:
            while (start := text.find(passage.text, behind)) < 0 and (more := next(parts, "")):
                text, behind, tokens = more, 0, self.tokenizer.spell(more)
            behind = start + len(passage.text)
            yield [] if start < 0 else list(_within(text, tokens, start, behind))

    def _parts(self, reading: Reading) -> "list[Part]":
        if not self.tokenizer.has_template:
            return _plain_parts(reading)
        if not self.tokenizer.has_documents:
            return self.tokenizer.parts(messages_with_documents(reading))
        documents = [document(passage) for passage in reading.passages]
        return self.tokenizer.parts(messages(reading), documents)


def _plain_parts(reading: Reading) -> "list[Part]":
    from jamba.tokens.chat import Part

    parts = [Part(f"{SYSTEM}\n", is_template=False, is_boundary=True)]
    for passage in reading.passages:
        text = f"\n{document_text(passage)}\n"
        parts.append(Part(text, is_template=False, is_boundary=True))
    question = f"\nQuestion: {question_text(reading).removeprefix('Question: ')}\nAnswer:"
    return [*parts, Part(question, is_template=False)]


def _within(
    text: str, tokens: "Sequence[TextToken]", start: int, end: int
) -> "Iterator[TextToken]":
    """The tokens whose words lie in `text[start:end]`, placed from its start.

    White space around a word may lie outside: a space before a text is part of its first token.
    """
    for token in tokens:
        piece = text[token.start : token.end]
        first = token.start + len(piece) - len(piece.lstrip())
        if start <= first and first + len(piece.strip()) <= end and token.end > start:
            yield replace(
                token, start=max(token.start, start) - start, end=min(token.end, end) - start
            )
