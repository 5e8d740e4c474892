"""The rules of the house: which way imports run, what importing costs, how long files get."""

import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("app", "retrieval", "jamba")
ALLOWED = {"app": {"retrieval", "jamba"}, "retrieval": set(), "jamba": set()}
MAX_LINES = 400
HEAVY = (
    "torch", "transformers", "sentence_transformers", "faiss", "gradio", "pyserini", "jnius",
    "numba", "pandas", "scipy", "ray",
)  # fmt: skip


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every absolute import, at any depth of the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def wrong_arrows(package: str, code: str) -> list[tuple[int, str]]:
    """Imports of our packages that the layers forbid; relative ones, which hide their target."""
    forbidden = set(PACKAGES) - {package} - ALLOWED[package]
    return [
        (line, name)
        for line, name in imported(ast.parse(code))
        if name.split(".")[0] in forbidden or name.startswith(".")
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package):
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(package)
        for line, name in wrong_arrows(package, path.read_text("utf-8"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("retrieval", "import jamba"),
        ("jamba", "def f():\n    from retrieval.types import Hit"),
        ("retrieval", "from app.types import Answer"),
        ("app", "from .types import Answer"),
    ],
)
def test_a_planted_wrong_arrow_is_found(package, code):
    assert len(wrong_arrows(package, code)) == 1


def test_files_hold_one_idea():
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in sources(package)
        if (lines := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_no_file_is_called_utils():
    names = {path.stem for package in PACKAGES for path in sources(package)}
    assert names & {"utils", "helpers", "common", "misc"} == set()


def run_python(code: str, home: Path) -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=home, env=env, timeout=120
    )


def test_help_is_quick_and_loads_nothing_heavy(tmp_path):
    code = f"""
import sys
sys.argv = ["orbweaver", "--help"]
from app.cli import main
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    began = time.monotonic()
    done = run_python(code, tmp_path)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert {"ask", "serve", "demo", "index", "search", "doctor"} <= set(done.stdout.split())
    assert done.stderr.strip().splitlines()[-1] == "[]"
    assert seconds < 5
    assert list(tmp_path.iterdir()) == [], "--help wrote into the home folder"


def test_importing_a_module_does_nothing(tmp_path):
    """Every module imports without arguments, a JVM, new threads, files or a word."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in sources(package)
        if path.name != "__main__.py"
    ]
    code = f"""
import importlib, os, sys, threading
before = dict(os.environ)
for name in {modules!r}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        if error.name != "triton":  # there is none but for Linux
            sys.exit(f"{{name}}: {{error}}")
assert threading.active_count() == 1, threading.enumerate()
assert "jnius" not in sys.modules, "a JVM was started"
changed = {{k for k in os.environ if os.environ[k] != before.get(k)}}
ours = {{k for k in changed if not k.startswith(("KMP_", "TORCH", "PYTORCH", "CUDA_"))}}
assert not ours, ours
"""
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir() if path.name != ".cache"] == []


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_machine():
    """Nobody's home folder, and nothing of the machine this stands on, is written into a file."""
    here = {f"{folder}/".encode() for folder in (ROOT.parent, Path.home()) if len(str(folder)) > 4}
    marks = {b"/ho" + b"me/", b"/Use" + b"rs/", *here}
    found = [
        f"{path.relative_to(ROOT)}: {mark.decode()}"
        for path in tracked()
        if path.suffix not in {".safetensors", ".png", ".pdf", ".docx", ".pptx", ".xlsx"}
        and path.is_file()
        for mark in marks
        if mark in path.read_bytes()
    ]
    assert found == []


def test_what_the_docs_name_is_there():
    """Relative links, and paths of ours in backticks, in the README and under docs/."""
    named = re.compile(
        r"\]\((?!https?:|#)([^)#\s]+)"
        r"|`((?:app|retrieval|jamba|benchmarks|tests|docs)/[\w./-]+|[\w-]+\.txt)`"
    )
    missing = [
        f"{page.relative_to(ROOT)}: {link or path}"
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for link, path in named.findall(page.read_text("utf-8"))
        if not (page.parent / link if link else ROOT / path).exists()
    ]
    assert missing == []


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 200
