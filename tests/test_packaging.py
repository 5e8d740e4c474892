"""A wheel built from here works elsewhere: model and sample inside, nothing read from outside."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.java, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    """What the command printed; its whole output if it failed."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the files git knows, so that a forgotten file is missed here and not by a user."""
    work = tmp_path_factory.mktemp("wheel")
    checkout = work / "checkout"
    checkout.mkdir()
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", work, cwd=checkout)
    (built,) = work.glob("*.whl")
    return Path(built)


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """An empty environment with the wheel; its dependencies are lent, the checkout is not."""
    folder = tmp_path_factory.mktemp("empty") / "env"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    (site,) = folder.glob("lib/python*/site-packages")
    python: Path = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def test_the_wheel_holds_what_runs_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "app/checkpoints/small-jamba/model.safetensors" in names
    assert "app/checkpoints/small-jamba/tokenizer.json" in names
    assert "app/sample/questions.json" in names
    assert len([name for name in names if name.startswith("app/sample/documents/")]) == 12
    assert {"app/ui/style.css", "app/ui/page.js"} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"app", "retrieval", "jamba"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_answers_outside_the_checkout(python, tmp_path):
    orbweaver = python.with_name("orbweaver")
    found = run(python, "-c", "import app.sample as s; print(s.FOLDER)", cwd=tmp_path).strip()
    assert Path(found).is_relative_to(python.parent.parent), "the checkout was imported"
    run(orbweaver, "index", "build", f"{found}/documents", "--out", "river", cwd=tmp_path)
    printed = run(
        orbweaver, "ask", "river", "What does a season fishing permit cost?", "--json", cwd=tmp_path
    )
    answer = json.loads(printed.splitlines()[-1])
    assert answer["mode"] == "quote"
    assert "95 pounds" in answer["citations"][0]["text"]
    assert answer["citations"][0]["document"] == "faq.md"


def test_the_bundled_model_is_found_there(python, tmp_path):
    printed = run(python.with_name("orbweaver"), "doctor", "--json", cwd=tmp_path)
    checks = {check["name"]: check for check in json.loads(printed.splitlines()[-1])["checks"]}
    assert checks["model"]["state"] == "ok", checks["model"]
    assert checks["sample"]["state"] == "ok"
