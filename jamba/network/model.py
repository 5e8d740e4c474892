"""The Jamba network (arXiv 2403.19887) under the parameter names of Hugging Face checkpoints.

B batch, T new tokens, H hidden size, D Mamba channels, N state size, R rank of dt, V vocabulary.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right

from jamba.config import JambaConfig, JambaError
from jamba.network import prefill
from jamba.network.experts import MLP, MixtureOfExperts
from jamba.network.quantise import product
from jamba.network.scan import selective_scan
from jamba.state import CPU, AttentionState, MambaState, Place, SequenceState


class Mamba(nn.Module):
    """The Mamba-1 mixer with Jamba's RMSNorms on dt, B and C (arXiv 2403.19887, section 6.4)."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        inner, N = config.inner_size, config.mamba_d_state
        self.sizes = (config.dt_rank, N, N)
        bias = config.mamba_proj_bias
        self.in_proj = nn.Linear(config.hidden_size, 2 * inner, bias=bias)
        self.conv1d = nn.Conv1d(
            inner, inner, config.mamba_d_conv, groups=inner, bias=config.mamba_conv_bias
        )
        self.x_proj = nn.Linear(inner, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(config.dt_rank, inner, bias=True)
        self.A_log = nn.Parameter(torch.arange(1, N + 1).float().log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, config.hidden_size, bias=bias)
        self.dt_layernorm = nn.RMSNorm(config.dt_rank, eps=config.rms_norm_eps)
        self.b_layernorm = nn.RMSNorm(N, eps=config.rms_norm_eps)
        self.c_layernorm = nn.RMSNorm(N, eps=config.rms_norm_eps)

    def forward(self, x: Tensor, state: MambaState | None, reset: Tensor | None) -> Tensor:
        projected = self.in_proj(x)  # (B, T, 2D)
        inputs, gate = projected.chunk(2, dim=-1)  # (B, T, D) each
        window, ssm = self._before(inputs) if state is None else (state.window, state.ssm)
        if prefill.fits(projected, reset):
            y, final = self._fused(projected, window, ssm)
        else:
            y, final = self._plain(inputs, gate, window, ssm, reset)
        if state is not None:
            state.window = last_inputs(window, inputs)
            state.ssm = final
        return self.out_proj(y)

    def _plain(
        self, inputs: Tensor, gate: Tensor, window: Tensor, ssm: Tensor, reset: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What out_proj takes (B, T, D), and the state after it."""
        x = conv_silu(inputs, window, self.conv1d.weight[:, 0], self.conv1d.bias, reset)
        dt, B, C = self.x_proj(x).split(self.sizes, dim=-1)  # (B, T, R), (B, T, N), (B, T, N)
        dt = F.softplus(self.dt_proj(self.dt_layernorm(dt)).float())  # (B, T, D)
        A = -torch.exp(self.A_log.float())
        y, final = selective_scan(
            x, dt, A, self.b_layernorm(B), self.c_layernorm(C), self.D, ssm, reset
        )
        return y * F.silu(gate), final

    def _fused(self, projected: Tensor, window: Tensor, ssm: Tensor) -> tuple[Tensor, Tensor]:
        """The same in three kernels between the products; see jamba/network/prefill.py."""
        x = prefill.conv_silu(projected, window, self.conv1d)
        parts = self.x_proj(x)  # (B, T, R + 2N): dt, B and C
        prefill.norm_parts(parts, self.dt_layernorm, self.b_layernorm, self.c_layernorm)
        dt = self.dt_proj(parts[..., : self.sizes[0]])  # (B, T, D)
        return prefill.gated_scan(x, projected, dt, self.A_log, parts, self.D, ssm)

    def _before(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The empty window and the zero state before a first token."""
        batch, _, inner = x.shape
        window = x.new_zeros(batch, self.conv1d.kernel_size[0] - 1, inner)
        return window, x.new_zeros(batch, inner, self.sizes[1], dtype=torch.float32)


def conv_silu(
    x: Tensor, window: Tensor, weight: Tensor, bias: Tensor | None, reset: Tensor | None
) -> Tensor:
    """silu(convolution) of x (B, T, D) after the inputs in `window` (B, W - 1, D)."""
    if x.is_cuda and reset is None and not torch.is_grad_enabled():
        from jamba.kernels import triton_conv

        return triton_conv.conv_silu(x, window, weight, bias)
    return F.silu(causal_conv(torch.cat([window, x], dim=1), weight, bias, reset))


def last_inputs(window: Tensor, x: Tensor) -> Tensor:
    """The window after x (B, T, D): the last of both, as many as `window` (B, W - 1, D) holds."""
    kept = window.shape[1]
    both = torch.cat([window, x[:, max(0, x.shape[1] - kept) :]], dim=1)
    return both[:, both.shape[1] - kept :].clone()


def causal_conv(
    padded: Tensor, weight: Tensor, bias: Tensor | None, reset: Tensor | None
) -> Tensor:
    """Depthwise convolution over time, one tap after another; never across a reset.

    padded: (B, W - 1 + T, D), inputs and the W - 1 before them; weight: (D, W); gives (B, T, D).
    """
    taps = weight.shape[1]
    steps = padded.shape[1] - taps + 1
    documents = None if reset is None else reset.cumsum(1)  # (B, T)
    out = padded[:, taps - 1 :] * weight[:, taps - 1]
    for back in range(1, taps):
        tap = padded[:, taps - 1 - back :][:, :steps] * weight[:, taps - 1 - back]
        if documents is not None:
            earlier = F.pad(documents, (back, 0))[:, :steps]
            tap = tap.masked_fill((earlier != documents)[..., None], 0.0)
        out = out + tap
    return out if bias is None else out + bias


class Attention(nn.Module):
    """Causal attention over grouped heads; no positions, no biases."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.head_size = config.head_size
        queries = config.num_attention_heads * config.head_size
        keys = config.num_key_value_heads * config.head_size
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)

    def forward(
        self, x: Tensor, state: AttentionState | None, reset: Tensor | None, first: int = 0
    ) -> Tensor:
        """What the tokens x (B, T, H) from `first` on see; `reset` needs all of them."""
        q = self._heads(self.q_proj(x[:, first:]))
        k, v = (self._heads(proj(x)) for proj in (self.k_proj, self.v_proj))
        if state is not None:
            k, v = state.append(k, v)
        if reset is not None and not q.is_cuda:
            y = attend_by_document(q, k, v, reset)
        else:
            y = attend(q, k, v, visible(q.shape[2], k.shape[2], reset, q.device))
        return self.o_proj(y.transpose(1, 2).flatten(2))  # from (B, heads, T, head size)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_size)).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention (B, heads, new, head size) that sees what `mask` allows; None: causal."""
    causal = mask is None and q.shape[2] > 1
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=True
    )


def attend_by_document(q: Tensor, k: Tensor, v: Tensor, reset: Tensor) -> Tensor:
    """Causal attention within each document of packed rows (B, heads, T, head size).

    One after the other: a mask over all of a row costs a CPU several times what documents need.
    """
    rows = []
    for row, starts in enumerate(reset.tolist()):
        borders = [0, *(t for t in range(1, len(starts)) if starts[t]), len(starts)]
        lengths = [end - start for start, end in pairwise(borders)]
        parts = (tensor[row : row + 1].split(lengths, dim=2) for tensor in (q, k, v))
        documents = [attend(q_d, k_d, v_d, None) for q_d, k_d, v_d in zip(*parts, strict=True)]
        rows.append(torch.cat(documents, dim=2))
    return torch.cat(rows)


def visible(
    new: int, total: int, reset: Tensor | None, device: torch.device = CPU.device
) -> Tensor | None:
    """Which of `total` keys each of the last `new` tokens sees; None where plain causal says it.

    `is_causal` aligns its mask to the top left, which is wrong for tokens that continue a cache.
    """
    if reset is not None:
        documents = reset.cumsum(1)
        same = documents[:, :, None] == documents[:, None, :]  # (B, T, T)
        return same.tril()[:, None]
    if new == 1 or new == total:
        return None
    if device.type == "cuda":  # a mask that is never made, where a fused kernel is there
        mask: Tensor = causal_lower_right(new, total)
        return mask
    return torch.ones(new, total, dtype=torch.bool).tril(total - new)


class Layer(nn.Module):
    """x += mixer(norm(x)); x += feed_forward(norm(x))."""

    def __init__(self, config: JambaConfig, index: int) -> None:
        super().__init__()
        if config.is_attention(index):
            self.self_attn = Attention(config)
        else:
            self.mamba = Mamba(config)
        self.is_attention = config.is_attention(index)
        self.feed_forward = MixtureOfExperts(config) if config.is_moe(index) else MLP(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.pre_ff_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self, x: Tensor, state: MambaState | AttentionState | None, reset: Tensor | None
    ) -> Tensor:
        return self.feed(self.mix(x, state, reset))

    def mix(
        self, x: Tensor, state: MambaState | AttentionState | None, reset: Tensor | None
    ) -> Tensor:
        """The half that looks at other tokens."""
        mixer = self.self_attn if self.is_attention else self.mamba
        return x + mixer(self.input_layernorm(x), state, reset)

    def mix_from(self, x: Tensor, first: int) -> Tensor:
        """What `mix` gives for the tokens x (B, T, H) from `first` on; attention asks no more."""
        if not self.is_attention:
            return self.mix(x, None, None)[:, first:]
        return x[:, first:] + self.self_attn(self.input_layernorm(x), None, None, first)

    def feed(self, x: Tensor) -> Tensor:
        """The half that looks at each token by itself."""
        return x + self.feed_forward(self.pre_ff_layernorm(x))


class Backbone(nn.Module):
    """Everything between token ids and the head."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        self.final_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)


class Jamba(nn.Module):
    """A Jamba language model: token ids in, logits out, with or without a state to continue."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    @property
    def place(self) -> Place:
        """Where the weights lie, and the type of those that are not int8."""
        weight = self.model.final_layernorm.weight
        return Place(weight.device, weight.dtype)

    def hidden(
        self, ids: Tensor, state: SequenceState | None = None, reset: Tensor | None = None
    ) -> Tensor:
        """Final hidden states (B, T, H) of ids (B, T); `state` is continued and advanced in place.

        `reset` (B, T) marks tokens that start a new document of a packed row: nothing before them
        is seen. It cannot be combined with a state.
        """
        if state is not None and reset is not None:
            raise ValueError("reset marks documents inside one pass; it cannot continue a state")
        x = self.model.embed_tokens(ids)
        for index, layer in enumerate(self.model.layers):
            x = layer(x, None if state is None else state.layers[index], reset)
        if state is not None:
            state.length += ids.shape[1]
        return self.model.final_layernorm(x)

    def hidden_at(self, ids: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        """Final hidden states (K, H) of ids (B, T) at K `rows` and `places` alone.

        The last layer attends from the first of the places on and feeds forward nothing else.
        """
        *layers, last = self.model.layers
        first = int(places.min())
        if 2 * first < ids.shape[1]:
            first = 0  # plain causal over all costs less than a mask over most
        x = self.model.embed_tokens(ids)
        for layer in layers:
            x = layer(x, None, None)
        return self.model.final_layernorm(last.feed(last.mix_from(x, first)[rows, places - first]))

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., H)."""
        if self.config.tie_word_embeddings:
            return product(hidden, self.model.embed_tokens)
        return self.lm_head(hidden)

    def forward(
        self, ids: Tensor, state: SequenceState | None = None, reset: Tensor | None = None
    ) -> Tensor:
        """Logits (B, T, V) of ids (B, T); see `hidden` for state and reset."""
        return self.head(self.hidden(ids, state, reset))

    def logits(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) float32 of whole prompts (B, T) int64, without gradients."""
        if ids.ndim != 2 or ids.shape[1] == 0:
            raise JambaError(
                f"ids must have shape (batch, tokens) with a token at least, not {tuple(ids.shape)}"
            )
        if int(ids.min()) < 0 or int(ids.max()) >= self.config.vocab_size:
            raise JambaError(f"token ids must lie in 0..{self.config.vocab_size - 1}")
        with torch.inference_mode():
            return self(ids.to(self.place.device)).float()
