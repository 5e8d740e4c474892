"""Train a byte-level BPE tokenizer with Jamba's special tokens, as the files of a model folder.

Every text encodes and decodes exactly (no normalisation, no unknown bytes). The chat template lays
turns and `documents` out as AI21's Jamba 1.5 checkpoints do.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from jamba.config import JambaError

PAD, BOS, EOS, UNKNOWN = "<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|unk|>"
END_OF_TURN = "<|eom|>"
FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")  # of a tokenizer
_BLOCKS = ("documents", "tool_definitions", "active_output_modes", "tool_calls", "citations")
SPECIAL_TOKENS = (
    *(PAD, BOS, EOS, UNKNOWN, "<|bom|>", END_OF_TURN),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"),
    *(tag for block in _BLOCKS for tag in (f"<{block}>", f"</{block}>")),
)  # a token's id is its place here
SMALLEST = len(SPECIAL_TOKENS) + 256  # every byte has a token of its own

CHAT_TEMPLATE = """\
{#- Turns are <|bom|><|role|> text<|eom|>; a system turn is always there, empty if none was given.
    `documents` stand in a system turn of their own, directly before the last user turn. -#}
{%- if messages and messages[0].role == 'system' -%}
    {%- set system = messages[0].content -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set system = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- set last = namespace(user=-1) -%}
{%- for turn in turns -%}
    {%- if turn.role == 'user' -%}{%- set last.user = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{{- bos_token + '<|bom|><|system|> ' + system + '<|eom|>' -}}
{%- for turn in turns -%}
    {%- if documents and loop.index0 == last.user -%}
        {{- '<|bom|><|system|> <documents>\\n# Documents\\n\\n' -}}
        {{- 'You can use the following documents for reference:\\n' -}}
        {%- for document in documents -%}
            {{- '\\n## Document ID: ' ~ loop.index0 ~ '\\n' -}}
            {%- if document.title -%}{{- 'Title: ' + document.title + '\\n' -}}{%- endif -%}
            {%- for key, value in document.items() if key not in ('title', 'text') -%}
                {{- (key | title) + ': ' ~ value ~ '\\n' -}}
            {%- endfor -%}
            {{- 'Text: ' + document.text + '\\n' -}}
        {%- endfor -%}
        {{- '</documents><|eom|>' -}}
    {%- endif -%}
    {{- '<|bom|><|' + turn.role + '|> ' + turn.content + '<|eom|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|bom|><|assistant|>' -}}{%- endif -%}
"""


def train_tokenizer(texts: Iterable[str], size: int, folder: Path) -> None:
    """Learn `size` tokens from `texts` and write tokenizer.json, its config and the chat template.

    Raises JambaError where `size` cannot hold the special tokens and the bytes, or the texts have
    too little in common to fill it.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < SMALLEST:
        raise JambaError(f"a vocabulary of {size} is too small; it takes at least {SMALLEST}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() < size:
        raise JambaError(
            f"the texts give only {tokenizer.get_vocab_size()} tokens, not {size}; "
            "add text, or ask for a smaller vocabulary"
        )
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps(_tokenizer_config(), indent=2)
    texts_of_files = (tokenizer.to_str(pretty=True), config + "\n", CHAT_TEMPLATE)
    for name, text in zip(FILES, texts_of_files, strict=True):
        (folder / name).write_text(text, encoding="utf-8")


def _tokenizer_config() -> dict[str, object]:
    """What transformers needs beside tokenizer.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "unk_token": UNKNOWN,
        "clean_up_tokenization_spaces": False,
    }
