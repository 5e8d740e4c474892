"""llama.cpp as a peer: built once from the archive of llama-cpp-python, fed with our checkpoints.

    python -m benchmarks.engine.llama_cpp [--jobs 2]      # build only, with llama-server

Everything is kept in the user's cache folder, outside the repository. Needs cmake, ninja and a C++
compiler; takes ten minutes on two free cores.
"""

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from jamba.config import JambaConfig, load_config
from jamba.tokens.bpe import END_OF_TURN

VERSION = "0.3.36"
ARCHIVE = f"llama_cpp_python-{VERSION}.tar.gz"
SOURCE = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/"
FOR_BENCH = ("llama-bench", "llama-quantize")
CMAKE = (
    "-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DLLAMA_CURL=OFF "
    "-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF"
).split()


class CannotBuild(Exception):
    """A tool that the build needs is missing, or a step of it failed."""


def cache() -> Path:
    """Where archive, source and build are kept."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("orbweaver", appauthor=False)) / f"llama-cpp-python-{VERSION}"


def build(names: Sequence[str] = FOR_BENCH, jobs: int = 2) -> Path:
    """The folder of the built programs; builds what is missing of those named."""
    folder = cache()
    programs = folder / "build" / "bin"
    if all((programs / name).exists() for name in names):
        return programs
    missing = [tool for tool in ("cmake", "ninja", "c++") if shutil.which(tool) is None]
    if missing:
        raise CannotBuild(f"building llama.cpp needs {', '.join(missing)}; install them")
    folder.mkdir(parents=True, exist_ok=True)
    source = _source(folder)
    _run(["cmake", "-S", source, "-B", folder / "build", "-G", "Ninja", *CMAKE])
    _run(["ninja", "-C", folder / "build", f"-j{jobs}", *names])
    return programs


def _source(folder: Path) -> Path:
    """llama.cpp's source, out of the archive that pip downloads."""
    source = folder / SOURCE
    if source.exists():
        return source
    if not (folder / ARCHIVE).exists():
        wanted = f"llama-cpp-python=={VERSION}"
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-binary",
            "llama-cpp-python",
        ]
        _run([*pip, "--dest", folder, wanted])
    with tarfile.open(folder / ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return source


def _run(command: list[Any]) -> None:
    done = subprocess.run([str(part) for part in command], stdout=sys.stderr, check=False)
    if done.returncode:
        raise CannotBuild(f"{command[0]} failed with {done.returncode}; its output stands above")


def write_gguf(folder: Path, out: Path, has_words: bool = False) -> Path:
    """Our checkpoint folder as a float32 GGUF file; a server needs its words, a benchmark none."""
    gguf = _gguf()
    config = load_config(folder)
    writer = gguf.GGUFWriter(out, "jamba")
    _write_fields(writer, gguf, config)
    if has_words:
        _write_words(writer, gguf, folder)
    else:
        writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.JAMBA, config.num_hidden_layers)
    for name, tensor in _fused(load_file(folder / "model.safetensors"), config).items():
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if theirs is None:
            raise ValueError(f"llama.cpp has no name for {name}")
        writer.add_tensor(theirs, tensor.float().contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _gguf() -> Any:
    """llama.cpp's own writer; its folder, which has a `tests` too, leaves the path again."""
    folder = str(_source(cache()) / "gguf-py")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("gguf")
    finally:
        sys.path.remove(folder)


def _write_fields(writer: Any, gguf: Any, config: JambaConfig) -> None:
    layers = range(config.num_hidden_layers)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    heads = [config.num_key_value_heads if config.is_attention(i) else 0 for i in layers]
    writer.add_head_count_kv(heads)
    writer.add_ssm_conv_kernel(config.mamba_d_conv)
    writer.add_ssm_inner_size(config.inner_size)
    writer.add_ssm_state_size(config.mamba_d_state)
    writer.add_ssm_time_step_rank(config.dt_rank)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(config.vocab_size)


def _write_words(writer: Any, gguf: Any, folder: Path) -> None:
    """The byte-level BPE of tokenizer.json, its ends and the chat template."""
    described = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    numbers: dict[str, int] = described["model"]["vocab"]
    special = {token["content"] for token in described["added_tokens"] if token["special"]}
    words = sorted(numbers, key=numbers.__getitem__)
    kinds = gguf.TokenType
    merges = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in described["model"]["merges"]
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([kinds.CONTROL if word in special else kinds.NORMAL for word in words])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(numbers[settings["bos_token"]])
    writer.add_eos_token_id(numbers[settings["eos_token"]])
    writer.add_eot_token_id(numbers[END_OF_TURN])
    writer.add_add_bos_token(False)  # the template writes it
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def _fused(tensors: dict[str, torch.Tensor], config: JambaConfig) -> dict[str, torch.Tensor]:
    """The tensors as llama.cpp wants them: experts in one block, A itself, flat convolutions."""
    out = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for layer in (i for i in range(config.num_hidden_layers) if config.is_moe(i)):
        for kind in ("gate_proj", "up_proj", "down_proj"):
            own = f"model.layers.{layer}.feed_forward.experts.{{}}.{kind}.weight"
            parts = [tensors[own.format(expert)] for expert in range(config.num_experts)]
            out[f"model.layers.{layer}.mlp.experts.{kind}.weight"] = torch.stack(parts)
    for name in list(out):
        if name.endswith("conv1d.weight"):
            out[name] = out[name].squeeze(1)
        elif name.endswith("A_log"):
            out[name] = -out[name].exp()
    return out


def quantise(programs: Path, file: Path) -> Path:
    """The GGUF file with its matrices in Q8_0, beside it."""
    out = file.with_name("q8_0.gguf")
    _run([programs / "llama-quantize", file, out, "Q8_0"])
    return out


def rates(
    programs: Path, file: Path, prompt: int, tokens: int, threads: int
) -> tuple[float, float]:
    """One run of llama-bench: tokens a second of prefill, and of decoding from an empty context."""
    command = [programs / "llama-bench", "-m", file, "-p", prompt, "-n", tokens, "-r", 1]
    command += ["-t", threads, "-o", "json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode:
        raise CannotBuild(f"llama-bench failed: {done.stderr.decode()[-500:]}")
    prefill, decode = json.loads(done.stdout)
    return prefill["avg_ts"], decode["avg_ts"]


def main() -> None:
    """Build all, and say where the programs are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2)
    print(build((*FOR_BENCH, "llama-server"), parser.parse_args().jobs))


if __name__ == "__main__":
    main()
