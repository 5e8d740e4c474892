"""Memory, counted beforehand and measured while a checkpoint is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jamba.config import JambaConfig, JambaError, Quantisation
from jamba.network.memory import CHUNK, estimate
from jamba.network.model import Jamba
from jamba.network.weights import load_model
from jamba.training.initialise import initialise
from tests.jamba.random_models import HYBRID, VOCABULARY

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", list(Quantisation))
def test_weights_are_counted_exactly(hybrid, kind):
    model = load_model(hybrid.folder, quantisation=kind)
    held = sum(tensor.nbytes for tensor in model.state_dict().values())
    assert estimate(model.config, kind).weights == held


def test_a_longer_sequence_takes_more_and_a_longer_chunk_too(model):
    short, long = estimate(model.config), estimate(model.config, tokens=2**14, chunk=2 * CHUNK)
    assert short.weights == long.weights
    assert long.state > 10 * short.state
    assert long.chunk == 2 * short.chunk
    assert long.total == long.weights + long.state + long.chunk


def test_a_model_too_large_for_this_machine_is_refused_before_it_is_read(tmp_path):
    fields = HYBRID | {"hidden_size": 2**17, "intermediate_size": 2**17, "vocab_size": VOCABULARY}
    config = JambaConfig.from_dict({"model_type": "jamba", **fields})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    with pytest.raises(JambaError, match=r"needs \d+\.\d GiB of memory and .* are free"):
        load_model(tmp_path)


CHILD = """
import sys, torch
from jamba.config import Quantisation
from jamba.network.memory import estimate
from jamba.network.weights import fingerprint, load_model

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

load_model(sys.argv[3]).logits(torch.zeros(1, 1, dtype=torch.int64))  # whatever loads only once
before = status("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts again
model = load_model(sys.argv[1], quantisation=Quantisation(sys.argv[2]))
fingerprint(model)  # touches every weight
print((status("VmHWM") - before) / estimate(model.config).weights)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("dtype", "kind", "allowed"),
    [
        (torch.float32, Quantisation.NONE, 1.15),  # mapped, never copied
        (torch.bfloat16, Quantisation.NONE, 1.65),  # the file's half, and what it becomes
        (torch.float32, Quantisation.ALL, 0.65),  # a quarter, and one shard at a time
    ],
    ids=["float32", "bfloat16", "int8"],
)
def test_the_peak_while_loading_shards(hybrid, tmp_path, dtype, kind, allowed):
    """In shares of the weights in float32; loading twice over would be 2."""
    fields = HYBRID | {"hidden_size": 384, "intermediate_size": 1024, "vocab_size": 4096}
    model = Jamba(JambaConfig.from_dict({"model_type": "jamba", **fields}))
    initialise(model, 0)
    write_shards(model, tmp_path, dtype, shards=8)
    command = [sys.executable, "-c", CHILD, str(tmp_path), kind, str(hybrid.folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=250)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < allowed


def write_shards(model, folder, dtype, shards):
    """The model as a checkpoint of several files."""
    tensors = {name: tensor.detach().to(dtype) for name, tensor in model.state_dict().items()}
    names = sorted(tensors)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        held = names[shard::shards]
        save_file({name: tensors[name] for name in held}, folder / file)
        weight_map |= dict.fromkeys(held, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))
