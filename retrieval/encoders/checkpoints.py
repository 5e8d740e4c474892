"""Published checkpoints -> encoder folders: DPR's layout, which Spider has too, Contriever, BERT.

`tau/spider` is stored as a DPR context encoder. AutoModel opens every DPR checkpoint as a question
encoder, finds none of its weights there, and goes on with random ones; here the weights decide.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrieval.encoders.encoder_folder import NOTES, notes
from retrieval.storage.durable import rename
from retrieval.training.training_state import synchronise
from retrieval.types import RetrievalError

PASSAGE_TOKENS = (
    240  # as Spider was trained (appendix A of the paper); DPR and BERT take 256 to 512
)
SPACE = "\n"  # to a WordPiece tokenizer the same as a space
SIDES = {"ctx_encoder": "DPRContextEncoder", "question_encoder": "DPRQuestionEncoder"}


def open_trainable(folder: Path) -> tuple[Any, str]:
    """The model in `folder` as a SentenceTransformer, and what stands between title and text.

    A sentence-transformers folder keeps its own modules. DPR's layout and plain networks are pooled
    as they were trained: Contriever by the mean, everything else by [CLS]. Raises RetrievalError.
    """
    import torch

    _quiet()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a pooler that a checkpoint lacks is unused, and the same each time
        return _opened(folder)


def _opened(folder: Path) -> tuple[Any, str]:
    from sentence_transformers import SentenceTransformer

    if (folder / "modules.json").is_file():
        model = SentenceTransformer(str(folder), local_files_only=True)
        return model, _noted(folder) or _separator(model)
    config = _config(folder)
    if config.get("model_type") == "dpr":
        model = _pooled(_dpr(folder), "cls")
        return model, _separator(model)
    if config.get("architectures") == ["Contriever"]:
        return _pooled(_transformer(folder), "mean"), SPACE
    model = _pooled(_transformer(folder), "cls")
    model.max_seq_length = min(PASSAGE_TOKENS, model.max_seq_length)
    return model, _separator(model)


def import_checkpoint(passages: Path, out: Path, questions: Path | None = None) -> None:
    """Write the checkpoint in `passages` as an encoder folder that describes itself.

    With `questions`, another checkpoint encodes the questions, as in DPR; otherwise one network
    does both, as in Spider and Contriever. Raises RetrievalError if `out` is there already.
    """
    if out.exists():
        raise RetrievalError(f"{out} is there already: name another folder")
    model, separator = open_trainable(passages)
    if questions is not None:
        model = _two_sided(open_trainable(questions)[0], model)
    save_encoder(model, separator, out)


def save_encoder(
    model: Any, separator: str, out: Path, beside: Mapping[str, bytes] | None = None
) -> None:
    """Write a SentenceTransformer and our notes to the new folder `out`, whole or not at all.

    `beside` are more files, content by name.
    """
    unfinished = out.absolute().with_name(f".{out.absolute().name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    unfinished.mkdir(parents=True)
    model.save(str(unfinished), create_model_card=False)
    for name, content in {NOTES: notes(separator).encode(), **(beside or {})}.items():
        (unfinished / name).write_bytes(content)
    for path in unfinished.rglob("*"):
        synchronise(path)
    rename(unfinished, out)


def _dpr(folder: Path) -> Any:
    """A DPR checkpoint's network; its weights' names say which side it is."""
    import transformers
    from transformers import AutoTokenizer

    sides = {side for name in _weight_names(folder) for side in SIDES if name.startswith(side)}
    if len(sides) != 1:
        raise RetrievalError(f"{folder}: holds the weights of no DPR encoder, or of several")
    (side,) = sides
    wrapper, report = getattr(transformers, SIDES[side]).from_pretrained(
        folder, output_loading_info=True, local_files_only=True
    )
    _check_complete(folder, report)
    if wrapper.config.projection_dim:
        raise RetrievalError(f"{folder}: DPR encoders with a projection are not supported")
    with tempfile.TemporaryDirectory() as temporary:
        _as_bert(getattr(wrapper, side).bert_model).save_pretrained(temporary)
        AutoTokenizer.from_pretrained(folder, local_files_only=True).save_pretrained(temporary)
        return _transformer(Path(temporary))


def _as_bert(network: Any) -> Any:
    """The BERT inside a DPR encoder, under BERT's own configuration."""
    from transformers import BertConfig, BertModel

    fields = network.config.to_dict()
    for name in ("model_type", "architectures", "projection_dim"):
        fields.pop(name, None)
    bert = BertModel(BertConfig(**fields), add_pooling_layer=False)
    bert.load_state_dict(network.state_dict())
    return bert


def _weight_names(folder: Path) -> list[str]:
    """The names of the weights, from whichever file holds them."""
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            return list(file.keys())
    for path in sorted(folder.glob("*.bin")):
        import torch

        return list(torch.load(path, map_location="meta", weights_only=True))
    raise RetrievalError(f"{folder} holds no weights (*.safetensors)")


def _transformer(folder: Path) -> Any:
    """The network in a folder; raises RetrievalError where a part of it would be random."""
    from sentence_transformers.base.modules import Transformer
    from transformers import AutoModel

    _config(folder)
    _, report = AutoModel.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    _check_complete(folder, report)
    return Transformer(str(folder), processor_kwargs={"local_files_only": True})


def _check_complete(folder: Path, report: Any) -> None:
    """Only BERT's own pooler, which nobody here reads, may be missing."""
    missing = sorted(name for name in report["missing_keys"] if "pooler." not in name)
    if missing:
        raise RetrievalError(
            f"{folder}: the checkpoint lacks {len(missing)} weights, {missing[0]} first; is it a"
            " retriever at all?"
        )


def _pooled(network: Any, mode: str) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    pooling = Pooling(network.get_embedding_dimension(), mode)
    return SentenceTransformer(modules=[network, pooling], similarity_fn_name="dot")


def _two_sided(questions: Any, passages: Any) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    router = Router.for_query_document(list(questions.children()), list(passages.children()))
    return SentenceTransformer(modules=[router], similarity_fn_name="dot")


def _separator(model: Any) -> str:
    """The tokenizer's own separator in spaces, as in the paper: [CLS] title [SEP] text [SEP]."""
    mark = model.tokenizer.sep_token
    return f" {mark} " if mark else SPACE


def _noted(folder: Path) -> str | None:
    path = folder / NOTES
    return json.loads(path.read_text("utf-8"))["title_separator"] if path.is_file() else None


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise RetrievalError(f"{path} is missing: {folder} holds no model")
    return dict(json.loads(path.read_text("utf-8")))


def _quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()  # the terminal is ours
    logging.set_verbosity_error()
