"""Write requirements.txt, -ocr and -dev: what pyproject.toml names and all it needs, as installed.

Run it with the environment's Python after changing a dependency (`make pins`).
"""

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution, version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
OCR_EXTRA = "orbweaver[ocr]"  # what the tests need of ours is a file of its own
HEADER = """\
# {what}
# Python 3.11 or 3.12. Written by `make pins` from pyproject.toml; every package is pinned.
"""


def key(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(roots: Iterable[Requirement]) -> dict[str, set[str]]:
    """Every package the roots need on this platform, with the packages that ask for it."""
    parents: dict[str, set[str]] = {}
    queue = [(root, "") for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        wanted, parent = queue.pop()
        name, extras = key(wanted.name), frozenset(wanted.extras)
        parents.setdefault(name, set()).add(parent)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in distribution(name).requires or ():
            child = Requirement(line)
            marker = child.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in {"", *extras}):
                queue.append((child, name))
    return parents


def pin(name: str) -> str:
    """`name==version`; a local build's suffix such as +cpu is no version of a registry."""
    return f"{name}=={version(name).split('+')[0]}"


def render(what: str, parents: dict[str, set[str]], asked: Iterable[str], first: str = "") -> str:
    """The text of one requirements file: asked for, then what those need."""
    markers = {key(each.name): each.marker for each in map(Requirement, asked) if each.marker}
    direct = sorted(name for name, by in parents.items() if "" in by)
    rest = sorted(set(parents) - set(direct))
    lines = [HEADER.format(what=what) + first, "# asked for by pyproject.toml"]
    lines += [pin(name) + (f"; {markers[name]}" if name in markers else "") for name in direct]
    lines += ["", "# needed by those"]
    lines += [f"{pin(name):<36}# {', '.join(sorted(parents[name])[:3])}" for name in rest]
    return "\n".join(lines) + "\n"


def _beside(known: dict[str, set[str]], lines: Iterable[str]) -> dict[str, set[str]]:
    """What `lines` pull in that is not known, and what they name themselves."""
    found = closure(map(Requirement, lines))
    return {name: by for name, by in found.items() if name not in known or "" in by}


def main() -> None:
    """Rewrite the three files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    runtime = closure(map(Requirement, project["dependencies"]))
    extras = project["optional-dependencies"]
    scans = _beside(runtime, extras["ocr"])
    tools = _beside(runtime | scans, [line for line in extras["dev"] if line != OCR_EXTRA])
    (ROOT / "requirements.txt").write_text(
        render("What `make demo` installs, on a CPU.", runtime, project["dependencies"]), "utf-8"
    )
    (ROOT / "requirements-dev.txt").write_text(
        render(
            "What tests and checks need beside that.",
            tools,
            extras["dev"],
            "-r requirements-ocr.txt\n",
        ),
        "utf-8",
    )
    (ROOT / "requirements-ocr.txt").write_text(
        render(
            "What reading scanned PDFs needs (`make ocr`).",
            scans,
            extras["ocr"],
            "-r requirements.txt\n",
        ),
        "utf-8",
    )


if __name__ == "__main__":
    main()
