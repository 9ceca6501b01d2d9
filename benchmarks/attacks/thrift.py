"""Thrift's compact protocol both ways, enough to rewrite what a parquet file says of itself.

A struct is a dict of field number to (kind, value), in the order of the file; a list is (kind, values).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

Struct = dict[int, tuple[int, Any]]


def change_footer(path: Path, *changes: tuple[list[int], Any]) -> None:
    """Set fields of a parquet footer, each named by its path of field numbers and places in lists."""
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[-8:-4])
    footer, _ = read(content, len(content) - 8 - length)
    for place, value in changes:
        change(footer, place, value)
    encoded = write(footer)
    path.write_bytes(content[: -8 - length] + encoded + struct.pack("<I", len(encoded)) + b"PAR1")


def change(at: Any, place: list[int], value: Any) -> None:
    """Set one field of a struct."""
    for step in place[:-1]:
        at = at[step]
        while isinstance(at, tuple):  # the value of a field, and the values of a list
            at = at[1]
    at[place[-1]] = (at[place[-1]][0], value)


def read(data: bytes, at: int) -> tuple[Struct, int]:
    """A struct, and where it ends."""
    fields: Struct = {}
    last = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            last += head >> 4
        else:
            last, at = _integer(data, at)
        kind = head & 15
        value, at = _read(data, at, kind)
        fields[last] = (kind, value)
    return fields, at + 1


def _read(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 7:
        return data[at : at + 8], at + 8
    if kind == 8:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == 9:
        count, inner = data[at] >> 4, data[at] & 15
        at += 1
        if count == 15:
            count, at = _varint(data, at)
        values = []
        for _ in range(count):
            value, at = (data[at] == 1, at + 1) if inner in (1, 2) else _read(data, at, inner)
            values.append(value)
        return (inner, values), at
    return read(data, at)


def write(fields: Struct) -> bytes:
    """A struct as bytes."""
    out, last = b"", 0
    for number, (kind, value) in fields.items():
        code = (1 if value else 2) if kind in (1, 2) else kind
        near = 0 < number - last < 16
        out += bytes([(number - last) << 4 | code]) if near else bytes([code]) + _varint_bytes(number << 1)
        last = number
        out += _write(kind, value)
    return out + b"\0"


def _write(kind: int, value: Any) -> bytes:
    if kind in (1, 2):
        return b""
    if kind == 3:
        return bytes([value])
    if kind in (4, 5, 6):
        return _varint_bytes(value << 1 if value >= 0 else (-value << 1) - 1)
    if kind == 7:
        return value
    if kind == 8:
        return _varint_bytes(len(value)) + value
    if kind == 9:
        inner, values = value
        head = bytes([len(values) << 4 | inner]) if len(values) < 15 else bytes([0xF0 | inner])
        count = b"" if len(values) < 15 else _varint_bytes(len(values))
        return head + count + b"".join(bytes([1 if v else 2]) if inner in (1, 2) else _write(inner, v) for v in values)
    return write(value)


def _integer(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _varint_bytes(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
