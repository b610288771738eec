"""Weights and their config in one safetensors file; loading is strict.

A file's header carries `kind` (which network: "small", "mmdit", "vae"), `config` (its JSON form) and further words.
Weights may be stored as bytes with a scale for each row of their first axis; loading widens them. Knows files and names
of tensors, no network. No pickle is read or written, ever.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# safetensors is untyped.
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lamina.errors import CheckpointError
from lamina.model.config import to_json

__all__ = ["Header", "fill", "in_bytes", "load", "read_header", "require_shapes", "save"]

_SCALE = ".scale"
"""Ends the name of the scales of a weight that is stored in bytes."""

_LARGE = 4096
"""Numbers from which a weight is worth storing in bytes."""

_LEVELS = 127

_NAMED = 5
"""Tensors that a message names before it only counts."""


@runtime_checkable
class _Shaped(Protocol):
    """A tensor, or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class Header(NamedTuple):
    """What a checkpoint says of itself."""

    kind: str
    config: dict[str, Any]
    extra: dict[str, str]


def save(
    path: Path, state: Mapping[str, Tensor], config: Any, *, kind: str, extra: Mapping[str, str] | None = None
) -> None:
    """Write weights with their config (a dataclass); the file appears whole or not at all.

    Raises CheckpointError when it cannot be written.
    """
    further = dict(extra or {})
    if taken := {"kind", "config"} & set(further):
        raise CheckpointError(f"extra words of a checkpoint may not be called {', '.join(sorted(taken))}")
    tensors = {name: tensor.detach().contiguous() for name, tensor in state.items()}
    header = {**further, "kind": kind, "config": json.dumps(to_json(config))}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask has it; safetensors would leave the file to its owner alone
        save_file(tensors, temporary, metadata=header)
        temporary.chmod(mode)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, kind: str, device: str = "cpu") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config in JSON form and the weights, bytes widened to float32; raises CheckpointError when it is no
    checkpoint of this kind."""
    header = read_header(path)
    if header.kind != kind:
        raise CheckpointError(f"{path} holds a network of kind '{header.kind}', expected '{kind}'")
    with safe_open(path, "pt", device=device) as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    scales = {
        name: stored.pop(name + _SCALE, None) for name, value in stored.copy().items() if value.dtype == torch.int8
    }
    for name, scale in scales.items():
        if scale is None or scale.shape != stored[name].shape[:1]:
            raise CheckpointError(f"{path} has {name} in bytes without a scale for each row")
        stored[name] = (stored[name].flatten(1) * scale[:, None]).reshape(stored[name].shape)
    return header.config, stored


def in_bytes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights to store in little room: large ones of two axes and more as int8 and a float32 scale for each row,
    the largest number being 127; others as float16."""
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.ndim < 2 or value.numel() < _LARGE:
            stored[name] = value.to(torch.float16)
            continue
        rows = value.float().flatten(1)
        scale = (rows.abs().amax(dim=1, keepdim=True) / _LEVELS).clamp_min(torch.finfo(torch.float32).tiny)
        stored[name] = (rows / scale).round().to(torch.int8).reshape(value.shape)
        stored[name + _SCALE] = scale.squeeze(1)
    return stored


def read_header(path: Path) -> Header:
    """Kind, config and further words, without reading the weights."""
    if not path.is_file():
        found = "is no file" if path.exists() else "does not exist"
        raise CheckpointError(f"{path} {found}; expected a checkpoint (.safetensors)")
    try:
        with safe_open(path, "pt") as file:
            words: dict[str, str] = file.metadata() or {}
        kind, config = words.pop("kind"), json.loads(words.pop("config"))
        if not isinstance(config, dict):
            raise ValueError("it is no object")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{path} has no {error} in its header; it was not written by Lamina") from error
    except ValueError as error:
        raise CheckpointError(f"{path} has a broken config in its header: {error}") from error
    return Header(kind, config, words)


def fill(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network its weights; raises CheckpointError unless names and shapes are exactly the network's."""
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    require_shapes(state, own, type(network).__name__)
    network.load_state_dict(dict(state))


def require_shapes(state: Mapping[str, _Shaped], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise CheckpointError naming tensors missing, unknown or of another shape."""
    got = {name: tuple(tensor.shape) for name, tensor in state.items()}
    both = sorted(set(got) & set(expected))
    faults = {
        "missing": sorted(set(expected) - set(got)),
        "unknown": sorted(set(got) - set(expected)),
        "misshapen": [f"{name} {got[name]} for {expected[name]}" for name in both if got[name] != expected[name]],
    }
    found = [f"{len(names)} {fault}: {_listed(names)}" for fault, names in faults.items() if names]
    if found:
        raise CheckpointError(f"weights do not fit {what}; {'; '.join(found)}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
