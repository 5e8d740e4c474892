"""Everything about the engine that only a GPU can show: right, fast, able to train; one command.

    python -m benchmarks.engine.gpu_check [--out build/gpu] [--smoke]

Runs the tests of the kernels, then parts that each give figures: parity with transformers, rates of
the device, prompts and writing beside transformers, waiting for a first token with and without a
kept state, experts in int8, a training. Writes gpu.json and gpu.md; a part that fails is named and
the others go on. Nine minutes at most: parts that would begin later are left out and named. Where
there is no GPU it says so and has nothing to do; --smoke runs all parts there on tiny models, which
shows that the command works and nothing else.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.engine import gpu_figures as figures
from benchmarks.engine.gpu_models import REAL, SMOKE, Sizes

LATEST_S = 440.0  # no part begins after so many seconds; the longest takes a minute and a half
TESTS = (
    "tests/jamba/kernels/test_triton.py",
    "tests/jamba/network/test_graph_decode.py",
    "tests/jamba/test_gpu.py",
)
Part = Callable[[Sizes, Path], dict[str, Any]]
PARTS: dict[str, Part] = {
    "parity": figures.parity,
    "rates": figures.rates,
    "training": figures.training,
    "speed": figures.speed,
    "cache": figures.cache,
    "experts": figures.experts,
}


def main() -> None:
    """Run the parts; print the table; exit with 1 where one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--smoke", action="store_true", help="tiny models on the CPU")
    options = parser.parse_args()
    if not options.smoke and not torch.cuda.is_available():
        print(f"gpu-check: torch {torch.__version__} finds no GPU here; nothing was checked")
        return
    found = check(SMOKE if options.smoke else REAL)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (options.out / "gpu.md").write_text(table(found), encoding="utf-8")
    print(table(found))
    sys.exit(bool(found["failed"]))


def check(sizes: Sizes) -> dict[str, Any]:
    """The device, and what each part found, or why it did not."""
    began = time.perf_counter()
    found: dict[str, Any] = {"device": described(sizes), "failed": [], "left_out": []}
    if sizes is REAL:
        found["tests"] = tests()
        if found["tests"]["exit"]:
            found["failed"].append("tests")
    with tempfile.TemporaryDirectory() as folder:
        for name, part in PARTS.items():
            if time.perf_counter() - began > LATEST_S:
                found["left_out"].append(name)
                continue
            print(f"{time.perf_counter() - began:6.1f} s  {name} ...", file=sys.stderr, flush=True)
            try:
                found[name] = part(sizes, Path(folder))
            except Exception as error:  # the other parts have something to say, too
                traceback.print_exc()
                found[name] = {"error": f"{type(error).__name__}: {error}"}
                found["failed"].append(name)
    found["seconds"] = time.perf_counter() - began
    return found


def described(sizes: Sizes) -> dict[str, Any]:
    """Names and versions, without which figures mean nothing."""
    import transformers

    is_gpu = sizes.place.device.type == "cuda"
    found = {
        "name": torch.cuda.get_device_name() if is_gpu else "CPU (smoke)",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "models": sizes.name,
    }
    if is_gpu:
        import triton

        found |= {"cuda": torch.version.cuda or "", "triton": triton.__version__}
    return found


def tests() -> dict[str, Any]:
    """The tests of kernels and engine on the GPU, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-8000:], file=sys.stderr)
    return {"exit": done.returncode, "last_line": (done.stdout.strip() or "-").splitlines()[-1]}


def table(found: dict[str, Any]) -> str:
    """All figures as a table in Markdown."""
    lines = [" · ".join(f"{name} {value}" for name, value in found["device"].items()), ""]
    if "tests" in found:
        lines += [f"tests: {found['tests']['last_line']}", ""]
    lines += ["| part | figure | value |", "|---|---|---|"]
    for part in PARTS:
        for name, value in found.get(part, {}).items():
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"| {part} | {name} | {shown} |")
    for kind in ("failed", "left_out"):
        if found[kind]:
            lines += ["", f"{kind.replace('_', ' ')}: {', '.join(found[kind])}"]
    return "\n".join([*lines, "", f"{found['seconds']:.0f} seconds", ""])


if __name__ == "__main__":
    main()
