"""The doctor tries the real parts, and says what is wrong with broken ones."""

import json
import subprocess
import sys

import pytest

from app.doctor import State, check_encoder, check_home, check_model, run_checks
from app.settings import load_settings


@pytest.mark.java
def test_everything_essential_works_here(tmp_path):
    checks = {check.name: check for check in run_checks(load_settings(home=tmp_path / "home"))}
    failed = {name: check.detail for name, check in checks.items() if check.state is State.FAIL}
    assert failed == {}
    assert "started" in checks["java"].detail
    assert "384 dimensions, weights 53aa51172d14" in checks["encoder"].detail
    assert "north" in checks["reader"].detail
    assert not (tmp_path / "home").exists(), "looking must not create anything"


def test_a_home_that_cannot_be_made_is_a_failure(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert check_home(tmp_path / "file" / "home").state is State.FAIL
    assert check_home(tmp_path / "not" / "yet" / "there").state is State.OK


def test_a_broken_part_is_a_failed_check_and_not_a_traceback(tmp_path):
    with pytest.raises(Exception, match="nothing-here"):
        check_model(str(tmp_path / "nothing-here"))
    with pytest.raises(Exception, match="nothing-here"):
        check_encoder(str(tmp_path / "nothing-here"))


@pytest.mark.java
@pytest.mark.slow
def test_json_is_the_last_line_and_a_failure_the_exit_code(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "app", "doctor", "--json", "--model", str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    report = json.loads(done.stdout.splitlines()[-1])
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert states["model"] == "fail"
    assert states["python"] == "ok"
    assert report["ok"] is False
    assert done.returncode == 1
