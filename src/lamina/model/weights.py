"""Tensors in files, by name and shape, read only when asked for: safetensors (whole, in shards, scaled fp8) and GGUF.

Opening reads headers alone. A safetensors tensor is a view of the mapped file, so nothing is held twice; a scaled or
quantized one becomes plain numbers when it is read. Knows names and shapes, no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false
# safetensors and gguf are untyped.
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lamina.errors import CheckpointError, MissingExtraError

__all__ = ["Lazy", "Weights", "open_file", "open_folder", "plain", "read_json", "shapes_of"]

_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "model.")
"""What repacks put before every name of the transformer."""

_SCALES = (".scale_weight", ".weight_scale")
"""Names, beside a layer's `.weight` in 8-bit floats, of the number that it is to be multiplied by."""

_MARKS = (".scale_input", ".input_scale", ".comfy_quant")
"""Further names of such a layer: hints for computing, of no use for reading."""


class Lazy(NamedTuple):
    """A tensor that lies in a file."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


Weights = Mapping[str, Lazy]


def shapes_of(weights: Weights) -> dict[str, tuple[int, ...]]:
    """Shape by name."""
    return {name: lazy.shape for name, lazy in weights.items()}


def plain(state: Mapping[str, Tensor]) -> dict[str, Lazy]:
    """Tensors at hand as if they lay in a file."""
    return {name: Lazy(tuple(tensor.shape), lambda tensor=tensor: tensor) for name, tensor in state.items()}


def open_folder(folder: Path, stem: str = "diffusion_pytorch_model") -> dict[str, Lazy]:
    """The weights of a folder in the diffusers layout: one file, or shards that an index names.

    Raises CheckpointError naming the file that is absent or cut off.
    """
    index = folder / f"{stem}.safetensors.index.json"
    if not index.is_file():
        single = folder / f"{stem}.safetensors"
        if not single.is_file():
            raise CheckpointError(f"{folder} has neither {single.name} nor {index.name}; is the download complete?")
        return _open_safetensors([single])
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(f"{index} has no 'weight_map' from tensors to files")
    names = cast("dict[str, str]", places)
    if odd := [name for name in names.values() if Path(name).name != name]:
        raise CheckpointError(f"{index} names {odd[0]!r}, expected a file beside it")
    shards = [folder / name for name in sorted(set(names.values()))]
    if absent := [shard.name for shard in shards if not shard.is_file()]:
        lacking = f"{folder} lacks {', '.join(absent[:3])} ({len(absent)} of {len(shards)} shards)"
        raise CheckpointError(f"{lacking}; download it again")
    weights = _open_safetensors(shards)
    if lost := sorted(set(names) - set(weights)):
        raise CheckpointError(f"{index} names {lost[0]} ({len(lost)} in all), which no shard holds")
    return weights


def open_file(path: Path) -> dict[str, Lazy]:
    """The weights of one file, by its ending: .safetensors (plain or scaled fp8) or .gguf; a repack's prefix is cut.

    Raises CheckpointError when it cannot be read, MissingExtraError without the package for GGUF.
    """
    if not path.is_file():
        found = "is a folder, expected a file of weights" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {found}")
    weights = _open_gguf(path) if path.suffix.lower() == ".gguf" else _open_safetensors([path])
    return _unscaled(_unprefixed(weights), path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file; raises CheckpointError."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        advice = "; is the download complete?" if isinstance(error, FileNotFoundError) else ""
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}{advice}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}; download it again") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object; download it again")
    return data


def _open_safetensors(paths: Iterable[Path]) -> dict[str, Lazy]:
    weights: dict[str, Lazy] = {}
    for path in paths:
        try:
            file: Any = safe_open(path, "pt").__enter__()  # stays open: tensors are views of it
            for name in file.keys():  # noqa: SIM118
                if name in weights:
                    raise CheckpointError(f"{path} holds {name}, which another shard holds too")
                shape = tuple(file.get_slice(name).get_shape())
                weights[name] = Lazy(shape, partial(file.get_tensor, name))
        except (OSError, SafetensorError) as error:
            message = f"{path} is no whole safetensors file ({error}); download it again"
            raise CheckpointError(message) from error
    return weights


def _open_gguf(path: Path) -> dict[str, Lazy]:
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError(f"{path.name} (GGUF)", "large") from error
    library: Any = gguf
    try:
        reader = library.GGUFReader(path)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise CheckpointError(f"{path} is no whole GGUF file ({error}); download it again") from error
    weights: dict[str, Lazy] = {}
    for tensor in reader.tensors:
        field = reader.fields.get(f"comfy.gguf.orig_shape.{tensor.name}")
        shape = tuple(int(side) for side in (reversed(tensor.shape) if field is None else field.contents()))

        def read(tensor: Any = tensor, shape: tuple[int, ...] = shape) -> Tensor:
            try:
                values = library.quants.dequantize(tensor.data, tensor.tensor_type)
            except NotImplementedError as error:
                raise CheckpointError(
                    f"{path}: {tensor.name} has the type {tensor.tensor_type.name}; {error}"
                ) from error
            return torch.tensor(values).reshape(shape)

        weights[tensor.name] = Lazy(shape, read)
    return weights


def _unprefixed(weights: dict[str, Lazy]) -> dict[str, Lazy]:
    for prefix in _PREFIXES:
        inside = [name for name in weights if name.startswith(prefix)]
        if inside and not any(name.startswith("transformer_blocks.") for name in weights):
            return {name.removeprefix(prefix): lazy for name, lazy in weights.items()}
    return weights


def _unscaled(weights: dict[str, Lazy], path: Path) -> dict[str, Lazy]:
    """Scaled 8-bit weights as plain ones; the scales and marks themselves go."""
    found: dict[str, Lazy] = {}
    for name, lazy in weights.items():
        if name == "scaled_fp8" or name.endswith((*_SCALES, *_MARKS)):
            continue
        stem = name.removesuffix(".weight")
        mark = weights.get(f"{stem}.comfy_quant")
        if name.endswith(".weight") and mark is not None:
            _check_format(mark, name, path)
        scale = next((weights[stem + end] for end in _SCALES if stem + end in weights), None)
        if scale is not None and name.endswith(".weight"):
            lazy = Lazy(lazy.shape, partial(_scaled, lazy, scale))
        found[name] = lazy
    return found


def _check_format(mark: Lazy, name: str, path: Path) -> None:
    try:
        kind = json.loads(bytes(mark.read().tolist())).get("format")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: the mark beside {name} is unreadable") from error
    if kind not in ("float8_e4m3fn", "float8_e5m2"):
        raise CheckpointError(f"{path}: {name} is stored as {kind}; expected bf16, scaled fp8, or GGUF")


def _scaled(stored: Lazy, factor: Lazy) -> Tensor:
    weight, scale = stored.read(), factor.read().float()
    if scale.numel() > 1 and scale.ndim < weight.ndim:
        scale = scale.reshape(-1, *[1] * (weight.ndim - 1))
    return (weight.float() * scale).to(torch.bfloat16)
