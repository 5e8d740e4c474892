"""Int8 weights: the arithmetic by hand, every way of loading, and how far logits may move."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from jamba.config import JambaError, Quantisation
from jamba.network.decode import Decoder
from jamba.network.experts import MixtureOfExperts
from jamba.network.quantise import Int8Embedding, Int8Linear, int8_product, quantise
from jamba.network.weights import fingerprint, load_model
from jamba.state import SequenceState
from tests.jamba.random_models import HYBRID, make_pair, relative_error

IDS = torch.arange(30)[None] * 3
KINDS = [kind for kind in Quantisation if kind is not Quantisation.NONE]


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def pair(request, tmp_path_factory):
    fields = HYBRID | {"tie_word_embeddings": request.param, "mamba_proj_bias": request.param}
    return make_pair(fields, 11, tmp_path_factory.mktemp("quantised"))


def test_a_row_has_the_scale_of_its_largest_weight():
    values, scale = quantise(torch.tensor([[127.0, -63.6, 0.4], [0.5, -1.0, 0.25]]), "w")
    assert scale.tolist() == pytest.approx([1.0, 1 / 127])
    assert values.tolist() == [[127, -64, 0], [64, -127, 32]]
    assert values.dtype == torch.int8


def test_rows_of_zeros_and_of_the_smallest_numbers():
    values, scale = quantise(torch.tensor([[0.0, -0.0], [1e-45, 0.0], [3e38, 1.0]]), "w")
    assert values.tolist() == [[0, 0], [0, 0], [127, 0]]
    assert torch.isfinite(scale).all()
    assert scale[0] == 0


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_named(pair, tmp_path, wrong):
    for file in pair.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.layers.1.feed_forward.experts.2.up_proj.weight"
    tensors[name][5, 3] = wrong
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(JambaError, match=f"{name} holds weights that are not finite"):
        load_model(tmp_path, quantisation=Quantisation.EXPERTS)


def test_the_product_is_that_of_the_restored_matrix():
    weight, x = torch.randn(300, 5000), torch.randn(2, 3, 5000)  # two blocks
    values, scale = quantise(weight, "w")
    expected = x @ (values * scale[:, None]).T
    assert relative_error(int8_product(x, values, scale), expected) < 1e-5


def test_the_error_of_a_weight_is_at_most_half_a_step():
    weight = torch.randn(64, 100) * torch.logspace(-3, 3, 64)[:, None]
    values, scale = quantise(weight, "w")
    assert ((values * scale[:, None] - weight).abs() <= 0.5001 * scale[:, None]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_int8_and_what_stays(pair, kind):
    model = load_model(pair.folder, quantisation=kind)
    int8 = {n for n, m in model.named_modules() if isinstance(m, Int8Linear | Int8Embedding)}
    linear = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    assert all("experts" in name for name in int8) == (kind is Quantisation.EXPERTS)
    assert any("feed_forward.gate_proj" in name for name in int8) == (kind != Quantisation.EXPERTS)
    assert any("in_proj" in name for name in int8) == (kind is Quantisation.ALL)
    assert all(part not in name for name in int8 for part in ("router", "x_proj", "dt_proj"))
    if kind is Quantisation.ALL:
        assert {name.rpartition(".")[2] for name in linear} == {"router", "x_proj", "dt_proj"}
        assert "model.embed_tokens" in int8


@pytest.mark.parametrize("kind", KINDS)
def test_logits_move_a_little(pair, kind):
    exact, model = load_model(pair.folder), load_model(pair.folder, quantisation=kind)
    moved = (model.logits(IDS) - exact.logits(IDS)).norm(dim=-1) / exact.logits(IDS).norm(dim=-1)
    # The median: where two experts are nearly as likely, a router may choose the other one.
    assert 0 < moved.median() < (0.1 if kind is Quantisation.ALL else 0.03)
    assert fingerprint(model) != fingerprint(exact)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_and_steps_are_the_whole_prompt(pair, kind):
    model = load_model(pair.folder, quantisation=kind)
    whole = model.logits(IDS)[0]
    state, decoder = SequenceState.fresh(model.config), Decoder(model)
    with torch.inference_mode():
        first = model(IDS[:, :13], state)[0]
    steps = [torch.from_numpy(decoder.step([int(t)], [state])[0]) for t in IDS[0, 13:]]
    assert relative_error(torch.cat([first, torch.stack(steps)]), whole) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_in_the_batch_change_nothing(pair, kind):
    model = load_model(pair.folder, quantisation=kind)
    strangers = torch.stack([IDS[0], IDS[0].flip(0), (IDS[0] * 7) % 97])
    assert relative_error(model.logits(strangers)[:1], model.logits(IDS)) < 1e-4


def test_experts_take_little_over_a_quarter_of_their_memory(tmp_path):
    fields = HYBRID | {"hidden_size": 128, "intermediate_size": 256}
    folder = make_pair(fields, 5, tmp_path).folder
    exact, model = load_model(folder), load_model(folder, quantisation=Quantisation.EXPERTS)
    assert expert_bytes(model) <= 0.27 * expert_bytes(exact)


def expert_bytes(model):
    blocks = [module for module in model.modules() if isinstance(module, MixtureOfExperts)]
    return sum(t.nbytes for block in blocks for t in block.experts.state_dict().values())


def test_a_head_stored_twice_must_be_the_embedding_in_int8_too(tmp_path):
    make_pair(HYBRID | {"tie_word_embeddings": True}, 3, tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, file)
    load_model(tmp_path, quantisation=Quantisation.ALL)
    save_file(tensors | {"lm_head.weight": -tensors["model.embed_tokens.weight"]}, file)
    with pytest.raises(JambaError, match="tie_word_embeddings"):
        load_model(tmp_path, quantisation=Quantisation.ALL)


def test_an_unknown_kind_is_an_error(pair):
    with pytest.raises(ValueError, match="int4"):
        load_model(pair.folder, quantisation="int4")
