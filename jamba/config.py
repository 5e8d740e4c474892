"""What a checkpoint's config.json says, checked field by field before a tensor is touched."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any


class JambaError(Exception):
    """Base of every error here; the message says what, where and what to do next."""


class Quantisation(StrEnum):
    """Which matrices are held in int8, one scale for each output channel (network/quantise.py).

    Norms, routers, convolutions and what makes the steps of the scan stay in float32 always.
    """

    NONE = "none"
    EXPERTS = "experts-int8"  # the experts' three matrices: ExpertsInt8 of arXiv 2408.12570
    MLPS = "mlps-int8"  # those and dense feed-forwards
    ALL = "int8"  # every large matrix: projections, embedding and head, too


# What files of other ages and libraries hold that changes no logit.
IGNORED = frozenset(
    """
    model_type architectures transformers_version torch_dtype dtype auto_map use_cache
    use_mamba_kernels use_mambapy use_associative_scan output_router_logits router_aux_loss_coef
    attention_dropout num_logits_to_keep calc_logits_for_entire_prompt n_ctx mamba_inner_layernorms
    output_attentions output_hidden_states return_dict torchscript use_bfloat16
    chunk_size_feed_forward id2label label2id problem_type is_encoder_decoder is_decoder
    sep_token_id task_specific_params do_sample max_length min_length temperature top_k top_p
    typical_p num_beams num_beam_groups num_return_sequences length_penalty repetition_penalty
    diversity_penalty encoder_no_repeat_ngram_size no_repeat_ngram_size tokenizer_class
    prefix name_or_path cross_attention_hidden_size
    """.split()
)
ALIASES = {"num_local_experts": "num_experts", "eos_token_id": "eos_token_ids"}


@dataclass(frozen=True, slots=True)
class JambaConfig:
    """A Jamba architecture under the field names of Hugging Face's config.json.

    Layer i is attention where `i % attn_layer_period == attn_layer_offset`, else Mamba; its
    feed-forward is a mixture of experts where `i % expert_layer_period == expert_layer_offset`
    and there is more than one expert. Raises JambaError where a field cannot be.
    """

    vocab_size: int = 65536
    hidden_size: int = 4096
    intermediate_size: int = 14336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    head_dim: int | None = None  # None: hidden_size // num_attention_heads
    hidden_act: str = "silu"
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = False
    max_position_embeddings: int = 262144
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_ids: tuple[int, ...] = (2,)
    num_experts: int = 16
    num_experts_per_tok: int = 2
    expert_layer_period: int = 2
    expert_layer_offset: int = 1
    attn_layer_period: int = 8
    attn_layer_offset: int = 4
    mamba_d_state: int = 16
    mamba_d_conv: int = 4
    mamba_expand: int = 2
    mamba_dt_rank: int | str = "auto"  # "auto": hidden_size / 16, rounded up
    mamba_conv_bias: bool = True
    mamba_proj_bias: bool = False

    def __post_init__(self) -> None:
        _check_numbers(self)
        _check_structure(self)

    @property
    def inner_size(self) -> int:
        """Channels of a Mamba layer."""
        return self.mamba_expand * self.hidden_size

    @property
    def dt_rank(self) -> int:
        """Width of the low-rank step-size projection."""
        if isinstance(self.mamba_dt_rank, int):
            return self.mamba_dt_rank
        return math.ceil(self.hidden_size / 16)

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    def is_attention(self, layer: int) -> bool:
        """Whether this layer mixes tokens by attention (else by Mamba)."""
        return layer % self.attn_layer_period == self.attn_layer_offset

    def is_moe(self, layer: int) -> bool:
        """Whether this layer's feed-forward is a mixture of experts (else one dense MLP)."""
        chosen = layer % self.expert_layer_period == self.expert_layer_offset
        return chosen and self.num_experts > 1

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "JambaConfig":
        """Read config.json's object; raises JambaError on another model type or unknown fields."""
        if raw.get("model_type") != "jamba":
            raise JambaError(f"model_type is {raw.get('model_type')!r}; only 'jamba' is supported")
        if raw.get("mamba_inner_layernorms") is False:
            raise JambaError("mamba_inner_layernorms is false; Jamba without them is not supported")
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in raw.items():
            name = ALIASES.get(name, name)
            if name in known:
                values[name] = value
            elif not _harmless(name, value):
                raise JambaError(f"config field {name!r} = {value!r} is not known to this engine")
        if values.get("num_key_value_heads", 0) is None:  # no groups: one for each query head
            values["num_key_value_heads"] = values.get("num_attention_heads", 32)
        values["eos_token_ids"] = _token_ids(values.get("eos_token_ids", 2))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The object to write as config.json; Hugging Face's JambaConfig reads it too."""
        raw = {field.name: getattr(self, field.name) for field in fields(self)}
        eos = raw.pop("eos_token_ids")
        if self.head_dim is None:
            raw.pop("head_dim")
        raw["eos_token_id"] = eos[0] if len(eos) == 1 else list(eos)
        return {"model_type": "jamba", "architectures": ["JambaForCausalLM"], **raw}


def load_config(folder: Path) -> JambaConfig:
    """Read `folder/config.json`; raises JambaError naming the file where it cannot be used."""
    path = Path(folder) / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JambaError(f"{path}: no such file; a model folder holds config.json") from None
    except (OSError, ValueError) as error:
        raise JambaError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(raw, dict):
        raise JambaError(f"{path}: must hold one JSON object")
    try:
        return JambaConfig.from_dict(raw)
    except JambaError as error:
        raise JambaError(f"{path}: {error}") from error


def _harmless(name: str, value: object) -> bool:
    """Whether an unknown field says nothing about the architecture."""
    is_unset = value is None or value is False or value == {} or value == []
    return is_unset or name in IGNORED or name.startswith("_")


def _token_ids(value: object) -> tuple[int, ...]:
    """End-of-sequence ids as config.json has them: a number, a list, or nothing."""
    ids = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    if not all(_is_count(token) for token in ids):
        raise JambaError(f"eos_token_id = {value!r} must be a token id or a list of them")
    return tuple(ids)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_size(value: object) -> bool:
    return _is_count(value) and value != 0


def _is_scale(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


OFFSETS = {"expert_layer_offset", "attn_layer_offset"}


def _problem(name: str, kind: object, value: object) -> str | None:
    """What is wrong with one field, in words that follow its name and value."""
    if name == "mamba_dt_rank":
        return None if value == "auto" or _is_size(value) else "must be 'auto' or a positive number"
    if kind is int and not (_is_count(value) if name in OFFSETS else _is_size(value)):
        return "must be a positive whole number"
    if kind is bool and not isinstance(value, bool):
        return "must be true or false"
    if kind is float and not _is_scale(value):
        return "must be a positive number"
    if kind == int | None and not (value is None or _is_count(value)):
        return "must be a whole number or null"
    return None


def _check_numbers(config: JambaConfig) -> None:
    """Types and ranges, one field at a time."""
    for field in fields(config):
        value = getattr(config, field.name)
        problem = _problem(field.name, field.type, value)
        if problem:
            raise JambaError(f"config field {field.name} = {value!r} {problem}")


def _check_structure(config: JambaConfig) -> None:
    """Fields that must fit each other."""
    if config.hidden_act != "silu":
        raise JambaError(f"hidden_act {config.hidden_act!r} is not supported; only 'silu' is")
    for kind in ("attn", "expert"):
        period = getattr(config, f"{kind}_layer_period")
        offset = getattr(config, f"{kind}_layer_offset")
        if offset >= period:
            raise JambaError(
                f"{kind}_layer_offset ({offset}) is not below {kind}_layer_period ({period})"
            )
    if config.head_dim == 0:
        raise JambaError("head_dim must be positive")
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    if config.head_dim is None and config.hidden_size % heads:
        raise JambaError(
            f"hidden_size ({config.hidden_size}) is no multiple of num_attention_heads ({heads})"
        )
    if heads % groups:
        raise JambaError(
            f"num_attention_heads ({heads}) is no multiple of num_key_value_heads ({groups})"
        )
    if config.num_experts_per_tok > config.num_experts > 1:
        raise JambaError(
            f"num_experts_per_tok ({config.num_experts_per_tok}) is more than "
            f"num_experts ({config.num_experts})"
        )
