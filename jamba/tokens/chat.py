"""Text to tokens: the tokenizer and the chat template of a checkpoint.

What people wrote is never parsed for control tokens: a template is rendered with slots in place of
their words, and only the template's own text may hold control tokens.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from jamba.config import JambaError
from jamba.tokens.text import IncrementalText

ROLES = ("system", "user", "assistant", "tool")
Message = Mapping[str, str]
Document = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a prompt, tokenised by itself; only a template's may hold control tokens."""

    text: str
    is_template: bool
    is_boundary: bool = False  # whether a snapshot is worth taking behind it


@dataclass(frozen=True, slots=True)
class TextToken:
    """A token and the characters of its text, `text[start:end]`; one may lie in several tokens."""

    id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """Token ids, and how many of them end each part that later prompts may begin with, too."""

    ids: tuple[int, ...]
    boundaries: tuple[int, ...]


def load_tokenizer(folder: str | Path) -> "ChatTokenizer":
    """Read tokenizer.json, tokenizer_config.json and chat_template.jinja of a model folder.

    Raises JambaError naming the file that is missing or cannot be used.
    """
    folder = Path(folder)
    settings = _read_json(folder / "tokenizer_config.json", optional=True)
    template_file = folder / "chat_template.jinja"
    template = settings.get("chat_template")
    if template_file.exists():
        template = template_file.read_text(encoding="utf-8")
    if isinstance(template, list):  # several by name; the one for chats is called "default"
        template = {entry["name"]: entry["template"] for entry in template}.get("default")
    eos = _read_json(folder / "config.json", optional=True).get("eos_token_id")
    eos = _read_json(folder / "generation_config.json", optional=True).get("eos_token_id", eos)
    raw = _read_json(folder / "tokenizer.json")
    try:
        return ChatTokenizer(raw, settings, template, eos if isinstance(eos, list) else [eos])
    except Exception as error:  # the tokenizers library raises bare Exception
        raise JambaError(
            f"{folder / 'tokenizer.json'}: not a usable tokenizer ({error})"
        ) from error


class ChatTokenizer:
    """A checkpoint's tokenizer with its chat template."""

    def __init__(
        self,
        raw: Mapping[str, Any],
        settings: Mapping[str, Any],
        template: str | None,
        eos_ids: Iterable[int | None],
    ) -> None:
        from tokenizers import Tokenizer

        self._full = Tokenizer.from_str(json.dumps(raw))
        plain = {**raw, "added_tokens": [], "post_processor": None}
        self._plain = Tokenizer.from_str(json.dumps(plain))
        self._added = {token["id"] for token in raw.get("added_tokens", [])}
        self._special = {token["id"] for token in raw.get("added_tokens", []) if token["special"]}
        self._names = {
            name: value["content"] if isinstance(value, dict) else value
            for name, value in settings.items()
            if name.endswith("_token") and isinstance(value, (str, dict))
        }
        self._template = template
        named = self._full.token_to_id(self._names.get("eos_token", ""))
        self.eos_ids = tuple(sorted({i for i in (*eos_ids, named) if i is not None}))

    @property
    def has_template(self) -> bool:
        """Whether the checkpoint brings a chat template."""
        return self._template is not None

    @cached_property
    def has_documents(self) -> bool:
        """Whether the template has a place of its own for documents."""
        from jinja2 import TemplateError, meta

        try:
            used = meta.find_undeclared_variables(_environment().parse(self._template or ""))
        except TemplateError as error:
            raise JambaError(f"the checkpoint's chat template failed: {error}") from error
        return "documents" in used

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; control tokens written out in it stay words."""
        ids: list[int] = self._plainly(text).ids
        return ids

    def spell(self, text: str) -> list[TextToken]:
        """As `encode`, with the characters that each token stands for."""
        encoded = self._plainly(text)
        pairs = zip(encoded.ids, encoded.offsets, strict=True)
        return [TextToken(token, start, end) for token, (start, end) in pairs]

    def encode_special(self, text: str) -> list[int]:
        """Token ids of trusted text, a template's, in which control tokens mean themselves."""
        ids: list[int] = self._full.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        return str(self._full.decode([i for i in ids if i not in self._special]))

    def incremental(self) -> IncrementalText:
        """A decoder for one stream of tokens."""
        return IncrementalText(self.decode)

    def render(
        self, messages: Sequence[Message], documents: Sequence[Document] | None = None
    ) -> str:
        """The prompt as text, to look at. What the model reads comes from `encode_chat`."""
        from jinja2 import TemplateError

        if self._template is None:
            raise JambaError("the checkpoint has no chat template; lay the prompt out yourself")
        try:
            text = self._compiled.render(
                messages=[dict(message) for message in messages],
                documents=documents and [dict(document) for document in documents],
                add_generation_prompt=True,
                **self._names,
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise JambaError(f"the checkpoint's chat template failed: {error}") from error
        return str(text)

    @cached_property
    def _compiled(self) -> Any:
        """The template, read once: reading it takes ten times as long as laying out a prompt."""
        return _environment().from_string(self._template)

    def encode_chat(
        self, messages: Sequence[Message], documents: Sequence[Document] | None = None
    ) -> ChatPrompt:
        """The prompt as the template lays it out; every message and document tokenised by itself.

        Boundaries: before the first document, behind each, and before the last message.
        """
        return self.encode_parts(self.parts(messages, documents))

    def parts(
        self, messages: Sequence[Message], documents: Sequence[Document] | None = None
    ) -> list[Part]:
        """The prompt in the pieces that `encode_chat` tokenises; texts stand in them unchanged."""
        _check_names(messages, documents or ())
        slots = _Slots()
        documents = [slots.fill(document, place) for place, document in enumerate(documents or [])]
        messages = [
            {**message, **slots.fill({"content": message["content"]})} for message in messages
        ]
        return slots.parts(self.render(messages, documents or None))

    def _plainly(self, text: str) -> Any:
        encoded = self._plain.encode(text, add_special_tokens=False)
        if any(token in self._added for token in encoded.ids):
            raise JambaError("this tokenizer gives control tokens for plain text; it is not safe")
        return encoded

    def encode_parts(self, parts: Sequence[Part]) -> ChatPrompt:
        """Token ids of parts laid end to end, with the boundaries they declare."""
        encoded = [
            self.encode_special(part.text) if part.is_template else self.encode(part.text)
            for part in parts
        ]
        ends = accumulate(len(ids) for ids in encoded)
        declared = {end for end, part in zip(ends, parts, strict=True) if part.is_boundary and end}
        return ChatPrompt(tuple(i for ids in encoded for i in ids), tuple(sorted(declared)))


class _Slots:
    """Stand-ins for what people wrote, which a template moves about without reading."""

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(8)  # nobody can write a slot who does not know it
        self._texts: list[str] = []
        self._document: list[int | None] = []  # the place of the document that a text is from

    def fill(self, texts: Mapping[str, str], document: int | None = None) -> dict[str, str]:
        """The mapping with a slot in place of each text; empty ones stay."""
        slots = {}
        for key, text in texts.items():
            slots[key] = f"slot{self._nonce}n{len(self._texts)}e" if text else ""
            if text:
                self._texts.append(text)
                self._document.append(document)
        return slots

    def parts(self, rendered: str) -> list[Part]:
        """Cut a rendered prompt at its slots and put the words back."""
        pieces = re.split(f"slot{self._nonce}n([0-9]+)e", rendered)
        between, order = pieces[0::2], [int(number) for number in pieces[1::2]]
        sources = [self._document[number] for number in order]
        parts = []
        for place, number in enumerate(order):
            source = sources[place]
            is_last = place == len(order) - 1
            opens_documents = source is not None and not any(s is not None for s in sources[:place])
            closes_document = source is not None and source not in sources[place + 1 :]
            layout = between[place].rstrip(" ")  # a space belongs to the word that follows it
            space = between[place][len(layout) :]
            parts.append(Part(layout, True, is_boundary=is_last or opens_documents))
            parts.append(Part(space + self._texts[number], False, is_boundary=closes_document))
        return [*parts, Part(between[-1], True)]


def _environment() -> Any:
    """Where templates run: they come with a checkpoint and are not to be trusted."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    return environment


def _refuse(message: str) -> None:
    raise ValueError(message)


def _tojson(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _check_names(messages: Sequence[Message], documents: Sequence[Document]) -> None:
    """Roles and keys end up in the template's own text, so they must be plain names."""
    for message in messages:
        if message.get("role") not in ROLES or "content" not in message:
            raise JambaError(f"a message needs content and a role of {', '.join(ROLES)}")
    for key in (key for document in documents for key in document):
        if not re.fullmatch(r"\w[\w ]*", key):
            raise JambaError(
                f"a document's key may hold letters, digits, _ and spaces, not {key!r}"
            )


def _read_json(path: Path, optional: bool = False) -> dict[str, Any]:
    """One JSON object of a model folder; an optional file that is absent counts as empty."""
    if optional and not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JambaError(f"{path}: no such file; a chat needs the checkpoint's tokenizer") from None
    except (OSError, ValueError) as error:
        raise JambaError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise JambaError(f"{path}: must hold one JSON object")
    return value
