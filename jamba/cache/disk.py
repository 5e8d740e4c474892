"""Snapshots in files, one for each stored prefix, named by its hash chain over model and tokens.

A file holds the edge since the prefix above it and the state at its end. It is written beside its
place, synced and renamed; when anything about one is not as it should be, it does not exist.
"""

import json
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from jamba.cache.prefixes import TOKEN_BYTES, Node
from jamba.state import Tensors

FORMAT = "orbweaver-snapshot-1"
PARTIAL = ".partial-"
MAX_BYTES = 8 * 2**30
ABANDONED_S = 3600.0  # a partial file this old has no writer any more


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself, in the metadata of its safetensors."""

    fingerprint: str
    start: int  # tokens before the edge
    end: int
    above: str  # the name of the prefix of `start` tokens; "" for none
    tags: frozenset[str]
    checksum: str


class SnapshotFolder:
    """Files of snapshots within a byte budget; several processes may use one folder."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def save(self, fingerprint: str, node: Node) -> None:
        """Write a node with its state; raises OSError where that cannot be done."""
        above = node.above
        if above is None or node.recurrent is None or node.logits is None:
            raise AssertionError("only a node with an edge and a state is saved")
        tokens = torch.frombuffer(bytearray(node.tokens), dtype=torch.int32)
        tensors = {"tokens": tokens, "logits": node.logits.contiguous()}
        tensors |= {f"kv.{i}": tensor.contiguous() for i, tensor in enumerate(node.kv)}
        tensors |= {f"recurrent.{i}": t.contiguous() for i, t in enumerate(node.recurrent)}
        metadata = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "start": str(above.end),
            "end": str(node.end),
            "above": above.name.hex(),
            "tags": json.dumps(sorted(node.tags)),
            "checksum": _checksum(tensors),
        }
        self._write(self._path(node.name), tensors, metadata)

    def chain(
        self, fingerprint: str, name: bytes, tokens: bytes, known: Collection[bytes]
    ) -> list[tuple[Node, bytes]] | None:
        """The prefix of this name and those above it, up to one that is known; the topmost first.

        Each comes with the name of the prefix above it. None where a file is missing or wrong.
        """
        chain: list[tuple[Node, bytes]] = []
        while not chain or name not in known:
            link = self._load(fingerprint, name, tokens)
            if link is None:
                return None
            chain.append(link)
            name = link[1]
        return chain[::-1]

    def _load(self, fingerprint: str, name: bytes, tokens: bytes) -> tuple[Node, bytes] | None:
        path = self._path(name)
        try:
            header = _header(path)
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            edge = tensors["tokens"].numpy().tobytes()
            expected = tokens[header.start * TOKEN_BYTES : header.end * TOKEN_BYTES]
            if header.fingerprint != fingerprint or edge != expected:
                raise ValueError("another prefix")
            if _checksum(tensors) != header.checksum:
                raise ValueError("damaged")
            os.utime(path)  # used now, so not the next to go
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, ValueError, KeyError):
            path.unlink(missing_ok=True)
            return None
        node = Node(name, edge, header.end, kv=_numbered(tensors, "kv"), tags=header.tags)
        node.fill(_numbered(tensors, "recurrent"), tensors["logits"])
        return node, bytes.fromhex(header.above)

    def _origin(self, path: Path) -> tuple[str, frozenset[str]] | None:
        """The name of the prefix a file goes on from, and its tags; None where it is of no use."""
        try:
            header = _header(path)
        except (OSError, SafetensorError, ValueError, KeyError):
            return None
        return header.above, header.tags

    def forget(self, tag: str) -> int:
        """Remove the files with this tag and all that go on from one; how many."""
        known = {path.stem: self._origin(path) for path in self._files()}
        gone = {name for name, found in known.items() if found is None or tag in found[1]}
        count = -1
        while count != len(gone):  # until nothing goes on from what is gone
            count = len(gone)
            gone |= {name for name, found in known.items() if found and found[0] in gone}
        for name in gone:
            (self._folder / f"{name}.safetensors").unlink(missing_ok=True)
        return count

    def shrink(self) -> None:
        """Remove the files unused for longest until the budget holds."""
        files = []
        for path in self._files():
            try:
                stat = path.stat()
            except FileNotFoundError:  # another process was quicker
                continue
            files.append((stat.st_mtime_ns, path.name, stat.st_size, path))
        total = sum(size for _, _, size, _ in files)
        for _, _, size, path in sorted(files):
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
        for path in self._folder.glob(f"{PARTIAL}*"):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink(missing_ok=True)

    def _path(self, name: bytes) -> Path:
        return self._folder / f"{name.hex()}.safetensors"

    def _files(self) -> Iterator[Path]:
        return (p for p in self._folder.glob("*.safetensors") if _is_name(p.stem))

    def _write(self, path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # states tell what was read
        handle, partial = tempfile.mkstemp(prefix=PARTIAL, dir=self._folder)
        try:
            os.close(handle)
            save_file(tensors, partial, metadata=metadata)
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(str(error)) from error
        finally:
            Path(partial).unlink(missing_ok=True)


def _is_name(stem: str) -> bool:
    return len(stem) == 64 and all(c in "0123456789abcdef" for c in stem)


def _header(path: Path) -> Header:
    """A file's own account of itself; raises ValueError or KeyError where it is of no use."""
    if not path.exists():
        raise FileNotFoundError(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ValueError("another format")
    return Header(
        fingerprint=metadata["fingerprint"],
        start=int(metadata["start"]),
        end=int(metadata["end"]),
        above=metadata["above"],
        tags=frozenset(json.loads(metadata["tags"])),
        checksum=metadata["checksum"],
    )


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _numbered(tensors: dict[str, Tensor], prefix: str) -> Tensors:
    count = sum(name.startswith(f"{prefix}.") for name in tensors)
    return tuple(tensors[f"{prefix}.{i}"] for i in range(count))
