"""Checkpoints in, checkpoints out, and every tensor that does not fit."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from jamba.config import JambaConfig, JambaError
from jamba.network.model import Jamba
from jamba.network.weights import fingerprint, load_model, save_model
from jamba.training.initialise import initialise
from tests.jamba.random_models import HYBRID, make_pair, relative_error

IDS = torch.arange(30)[None] * 3


@pytest.fixture
def folder(hybrid, tmp_path):
    """A copy of the hybrid checkpoint that a test may spoil."""
    for file in hybrid.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(folder, **changes):
    """Rewrite the checkpoint's tensors; None removes one."""
    tensors = load_file(folder / "model.safetensors") | {
        name.replace("__", "."): tensor for name, tensor in changes.items()
    }
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors")


def test_sharded_equals_single(hybrid, model, tmp_path):
    hybrid.theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 3
    assert torch.equal(load_model(tmp_path).logits(IDS), model.logits(IDS))


def test_what_we_write_transformers_reads(model, hybrid, tmp_path):
    from transformers import JambaForCausalLM

    save_model(model, tmp_path)
    theirs = JambaForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert relative_error(model.logits(IDS), theirs(IDS, use_cache=False).logits) < 1e-4
    assert not list(tmp_path.glob("*.partial"))


def test_half_precision_files_are_read_as_float32(hybrid, folder):
    tensors = load_file(folder / "model.safetensors")
    save_file({n: t.bfloat16() for n, t in tensors.items()}, folder / "model.safetensors")
    model = load_model(folder)
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_a_loaded_model_asks_for_no_gradients(model):
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__final_layernorm__weight": None}, "missing model.final_layernorm.weight"),
        ({"model__extra__weight": torch.ones(2)}, "unexpected model.extra.weight"),
        ({"lm_head__weight": torch.ones(97, 31)}, r"misshapen lm_head.weight \(97, 31\)"),
    ],
)
def test_tensors_that_do_not_fit(folder, changes, said):
    change(folder, **changes)
    with pytest.raises(JambaError, match=said):
        load_model(folder)


def test_many_wrong_tensors_are_still_one_line(folder):
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"num_hidden_layers": 9}))
    with pytest.raises(JambaError, match=r"and \d+ more") as caught:
        load_model(folder)
    assert len(str(caught.value)) < 1000


def test_a_damaged_file_is_named(folder):
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage")
    with pytest.raises(JambaError, match=r"model\.safetensors: not readable"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(JambaError, match=r"model\.safetensors: no such file"):
        load_model(folder)


@pytest.mark.parametrize("text", ["{", "{}", '{"weight_map": {"a": "../../etc/passwd"}}'])
def test_a_damaged_index_is_named(folder, text):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(JambaError, match=r"index\.json: not a usable index"):
        load_model(folder)


def test_a_missing_shard_is_named(hybrid, tmp_path):
    hybrid.theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    victim = sorted(tmp_path.glob("model-*.safetensors"))[1]
    victim.unlink()
    with pytest.raises(JambaError, match=f"{victim.name}: no such file"):
        load_model(tmp_path)


def test_a_tied_head_may_be_stored_if_it_is_the_embedding(tmp_path):
    pair = make_pair(HYBRID | {"tie_word_embeddings": True}, 3, tmp_path)
    embedding = load_file(tmp_path / "model.safetensors")["model.embed_tokens.weight"]
    change(tmp_path, lm_head__weight=embedding.clone())
    assert relative_error(load_model(tmp_path).logits(IDS), pair.theirs(IDS).logits) < 1e-4
    change(tmp_path, lm_head__weight=embedding + 1)
    with pytest.raises(JambaError, match="tie_word_embeddings"):
        load_model(tmp_path)


def test_what_this_engine_does_not_run_is_said(hybrid):
    with pytest.raises(JambaError, match="float32"):
        load_model(hybrid.folder, dtype=torch.bfloat16)
    with pytest.raises(JambaError, match="cuda"):
        load_model(hybrid.folder, device="cuda")


def test_fingerprints_follow_the_weights(hybrid, model):
    assert fingerprint(load_model(hybrid.folder)) == fingerprint(model)
    other = load_model(hybrid.folder)
    other.model.layers[0].mamba.D[3] += 1e-3
    assert fingerprint(other) != fingerprint(model)


def test_initial_weights_follow_the_seed():
    config = JambaConfig.from_dict({"model_type": "jamba", **HYBRID})
    first, same, other = Jamba(config), Jamba(config), Jamba(config)
    for model, seed in ((first, 1), (same, 1), (other, 2)):
        initialise(model, seed)
    assert fingerprint(first) == fingerprint(same) != fingerprint(other)
    steps = torch.nn.functional.softplus(first.model.layers[0].mamba.dt_proj.bias)
    assert steps.min() > 0.0009
    assert steps.max() < 0.11


@pytest.mark.parametrize("ids", [torch.zeros(3), torch.zeros(1, 0), torch.tensor([[97]])])
def test_ids_that_cannot_be(model, ids):
    with pytest.raises(JambaError, match="ids"):
        model.logits(ids.long())
