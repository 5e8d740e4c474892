"""Messages between the pool and its children: a JSON header and bytes, never pickle."""

import json
import struct
from dataclasses import dataclass
from typing import IO, Any

_LENGTHS = struct.Struct("<IQ")  # of the header and of the body, in bytes


@dataclass(frozen=True, slots=True)
class Frame:
    header: dict[str, Any]
    body: bytes = b""


def write_frame(stream: IO[bytes], frame: Frame) -> None:
    """Send `frame`. Raises OSError if nobody reads."""
    header = json.dumps(frame.header).encode()
    stream.write(_LENGTHS.pack(len(header), len(frame.body)) + header)
    stream.write(frame.body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> Frame | None:
    """The next frame; None if the other side is gone."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_length, body_length = _LENGTHS.unpack(lengths)
    header, body = stream.read(header_length), stream.read(body_length)
    if len(header) < header_length or len(body) < body_length:
        return None
    return Frame(json.loads(header), body)
