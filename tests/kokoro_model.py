"""A tiny network with Kokoro's inputs and outputs, for the real onnxruntime: each token is a tone of 60 milliseconds.

The ONNX file is written here, field by field: the `onnx` package is far bigger than what it would do.
"""

import os
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

RATE = 24_000
TOKEN = 1_440
"""Samples of each, at a speed of 1."""
_FLOAT, _INT64 = 1, 7
VOICES = ("af_heart", "af_bella", "am_adam", "bf_emma", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora")
FAULTY = {"am_silent": -np.inf, "am_nan": np.nan}
"""Voices that this network cannot speak with."""
UNREAD = ("jf_alpha", "zf_xiaobei", "narrator")


def check_extra() -> None:
    """Skip the test where the extra is not installed; in CI it has to be."""
    if find_spec("kokoro_onnx") is None:
        missing = "the extra is not installed: uv sync --extra kokoro"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)


def put_home(environment: pytest.MonkeyPatch, folder: Path) -> None:
    """The model stands where it is looked for when none is named."""
    check_extra()
    environment.setenv("SPEECH_HOME", str(folder))
    install(folder / "kokoro")


def install(folder: Path, network: bytes | None = None) -> Path:
    """The model and its voices, under their usual names; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kokoro-v1.0.onnx").write_bytes(network or tiny())
    save_voices(folder / "voices-v1.0.bin")
    return folder


def save_voices(path: Path, more: Sequence[str] = ()) -> None:
    styles = {name: np.full((510, 1, 256), number / 10, np.float32) for number, name in enumerate((*VOICES, *more))}
    styles |= {name: np.full((510, 1, 256), value, np.float32) for name, value in FAULTY.items()}
    styles |= {name: np.zeros((510, 1, 256), np.float32) for name in UNREAD}
    with path.open("wb") as file:
        np.savez(file, **styles)


def tiny() -> bytes:
    """sin(2π (150 + 2 token) t) · (0.2 + 0.2 tanh(mean of the style)) of the token at t; of a long dash, no number."""
    constants = {
        "one": np.array(1, np.int64),
        "zero": np.array(0, np.float32),
        "unit": np.array(1, np.float32),
        "length": np.array(TOKEN, np.float32),
        "base": np.array(150, np.float32),
        "step": np.array(2, np.float32),
        "turn": np.array(2 * np.pi / RATE, np.float32),
        "dash": np.array(9, np.float32),
        "loud": np.array(0.2, np.float32),
        "less": np.array(0.2, np.float32),
        "flat": np.array([-1], np.int64),
    }
    nodes = [
        _node("Reshape", "tokens flat", "row"),
        _node("Size", "row", "count"),
        _node("Cast", "count", "counted", to=_FLOAT),
        _node("Div", "length speed", "span_row"),
        _node("ReduceMean", "span_row", "span", keepdims=0),
        _node("Mul", "counted span", "end"),
        _node("Range", "zero end unit", "time"),
        _node("Div", "time span", "place"),
        _node("Floor", "place", "floor"),
        _node("Cast", "floor", "index", to=_INT64),
        _node("Sub", "count one", "last"),
        _node("Min", "index last", "inside"),
        _node("Gather", "row inside", "token"),
        _node("Cast", "token", "number", to=_FLOAT),
        _node("Mul", "number step", "above"),
        _node("Add", "above base", "pitch"),
        _node("Mul", "time turn", "angle"),
        _node("Mul", "pitch angle", "phase"),
        _node("Sub", "number dash", "past"),
        _node("Div", "zero past", "fault"),  # 0 / 0.
        _node("Sin", "phase", "pure"),
        _node("Add", "pure fault", "tone"),
        _node("ReduceMean", "style", "style_mean", keepdims=0),
        _node("Tanh", "style_mean", "bend"),
        _node("Mul", "bend less", "part"),
        _node("Add", "part loud", "amplitude"),
        _node("Mul", "tone amplitude", "audio"),
    ]
    inputs = (("tokens", _INT64, (1, "count")), ("style", _FLOAT, (1, 256)), ("speed", _FLOAT, (1,)))
    return model(nodes, constants, inputs, (("audio", _FLOAT, ("samples",)),))


Tensor = tuple[str, int, Sequence[int | str]]
"""Name, type of its elements, and shape."""


def model(
    nodes: Iterable[bytes], constants: dict[str, np.ndarray], inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> bytes:
    graph = b"".join(
        (
            *(_field(1, node) for node in nodes),
            _field(2, b"tiny"),
            *(_field(5, _constant(name, value)) for name, value in constants.items()),
            *(_field(11, _tensor(*tensor)) for tensor in inputs),
            *(_field(12, _tensor(*tensor)) for tensor in outputs),
        )
    )
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, 13))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _node(kind: str, inputs: str, output: str, **numbers: int) -> bytes:
    """A NodeProto: inputs parted by blanks, and attributes that are whole numbers."""
    attributes = (_field(1, name.encode()) + _number(3, value) + _number(20, 2) for name, value in numbers.items())
    return b"".join(
        (
            *(_field(1, name.encode()) for name in inputs.split()),
            _field(2, output.encode()),
            _field(4, kind.encode()),
            *(_field(5, attribute) for attribute in attributes),
        )
    )


def _constant(name: str, value: np.ndarray) -> bytes:
    kind = {"float32": _FLOAT, "int64": _INT64}[value.dtype.name]
    shape = b"".join(_number(1, size) for size in value.shape)
    return shape + _number(2, kind) + _field(8, name.encode()) + _field(9, value.tobytes())


def _tensor(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    sizes = (_number(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in shape)
    form = b"".join(_field(1, size) for size in sizes)
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, kind) + _field(2, form)))
