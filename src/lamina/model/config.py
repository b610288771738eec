"""What defines a network: frozen values that travel as JSON inside the checkpoint.

Knows numbers only, no torch. The published numbers are those of Qwen/Qwen-Image-Layered (arXiv 2512.15603).
"""

from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from lamina.errors import CheckpointError, InputError

__all__ = ["MMDiTConfig", "ModelConfig", "VaeConfig", "from_json", "preset", "to_json"]

C = TypeVar("C")

_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeConfig:
    """Shape of the RGBA-VAE."""

    image_channels: int = 4
    """4 for RGBA; 3 for the RGB VAE that an RGBA-VAE starts from."""
    width: int = 96
    """Channels at the picture's own scale."""
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of each scale, in widths; every scale but the last is followed by a halving."""
    res_blocks: int = 2
    """Residual blocks a scale of the encoder; the decoder has one more."""
    latent_channels: int = 16
    latent_mean: tuple[float, ...] = (0.0,) * 16
    """Per channel: subtracted from the raw latent to normalize it."""
    latent_std: tuple[float, ...] = (1.0,) * 16
    """Per channel: then divided by."""

    def __post_init__(self) -> None:
        _at_least_one(self, "width", "res_blocks", "latent_channels")
        if self.image_channels not in (3, 4):
            raise CheckpointError(f"a VAE of {self.image_channels} image channels; expected 3 (RGB) or 4 (RGBA)")
        for name in ("latent_mean", "latent_std"):
            if len(getattr(self, name)) != self.latent_channels:
                raise CheckpointError(
                    f"{name} has {len(getattr(self, name))} values for {self.latent_channels} latent channels"
                )
        if min(self.latent_std) <= 0:
            raise CheckpointError(f"latent_std {min(self.latent_std)} is not above 0")
        if min(self.multipliers, default=0) < 1:
            raise CheckpointError(f"multipliers {self.multipliers}: expected one or more numbers from 1")
        if any(self.width * multiplier % 2 for multiplier in self.multipliers):
            raise CheckpointError(f"width {self.width} times {self.multipliers} is odd; the decoder halves channels")

    @property
    def stride(self) -> int:
        """Pixels a latent's side stands for."""
        return 2 ** (len(self.multipliers) - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MMDiTConfig:
    """Shape of the variable-layers MMDiT."""

    depth: int = 60
    heads: int = 24
    rope_axes: tuple[int, int, int] = (16, 56, 56)
    """Channels of a head that slot, row and column turn; their sum is the head's width."""
    theta: float = 10_000.0
    """Base of the rotary wavelengths."""
    latent_channels: int = 16
    patch: int = 2
    """Side of a token, in latents."""
    text_width: int = 3584
    """Width of the text embeddings."""

    def __post_init__(self) -> None:
        _at_least_one(self, "depth", "heads", "latent_channels", "patch", "text_width")
        if any(axis % 2 or axis < 2 for axis in self.rope_axes):
            raise CheckpointError(f"rope_axes {self.rope_axes}: each must be even, channels turn in pairs")

    @property
    def width(self) -> int:
        return self.heads * sum(self.rope_axes)

    @property
    def token_width(self) -> int:
        """Numbers in a token: channels times the patch's area."""
        return self.latent_channels * self.patch**2


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """All networks of one model."""

    vae: VaeConfig
    mmdit: MMDiTConfig
    max_layers: int = 20
    """Most layers it was trained for; the composite does not count."""

    def __post_init__(self) -> None:
        _at_least_one(self, "max_layers")
        if self.vae.latent_channels != self.mmdit.latent_channels:
            raise CheckpointError(
                f"the VAE makes {self.vae.latent_channels} latent channels, "
                f"the MMDiT takes {self.mmdit.latent_channels}"
            )

    @property
    def multiple(self) -> int:
        """Sides of a picture divide by this: the pixels of a token's side."""
        return self.vae.stride * self.mmdit.patch


def preset(name: str) -> ModelConfig:
    """The model of this name: "published" is the released 20 B network, "tiny" runs in tests.

    The latent means and deviations of "published" are those of the RGB VAE it was made from. Raises InputError for
    any other name.
    """
    if name == "published":
        return ModelConfig(vae=VaeConfig(latent_mean=_MEAN, latent_std=_STD), mmdit=MMDiTConfig())
    if name == "tiny":
        vae = VaeConfig(
            width=8,
            multipliers=(1, 2, 2),
            res_blocks=1,
            latent_channels=4,
            latent_mean=(0.0, 0.1, -0.1, 0.2),
            latent_std=(1.0, 1.5, 0.8, 1.2),
        )
        mmdit = MMDiTConfig(depth=2, heads=4, rope_axes=(4, 6, 6), latent_channels=4, text_width=24)
        return ModelConfig(vae=vae, mmdit=mmdit, max_layers=4)
    raise InputError(f"no preset '{name}'; there are: published, tiny")


def to_json(config: Any) -> dict[str, Any]:
    """The plain JSON form of a config."""
    return asdict(config)


def from_json(kind: type[C], data: Any) -> C:
    """The config of class `kind` with this JSON form; raises CheckpointError on a field missing, unknown or wrong."""
    if not isinstance(data, dict):
        raise CheckpointError(f"{kind.__name__} is {data!r} in JSON, expected an object")
    values = cast("dict[str, Any]", data)
    known = {field.name: field for field in fields(cast("Any", kind))}
    needed = {name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING}
    if unknown := sorted(set(values) - set(known)):
        raise CheckpointError(f"{kind.__name__} has no field {', '.join(unknown)}; it has {', '.join(known)}")
    if missing := sorted(needed - set(values)):
        raise CheckpointError(f"{kind.__name__} lacks {', '.join(missing)}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, f"{kind.__name__}.{name}") for name, value in values.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as the hinted type: a config, a tuple or a plain value."""
    if is_dataclass(hint):
        return from_json(cast("type[Any]", hint), value)
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        items, inner = cast("tuple[Any, ...]", value), get_args(hint)
        hints = [inner[0]] * len(items) if inner[-1] is Ellipsis else inner
        if len(hints) == len(items):
            return tuple(_value(one, item, where) for one, item in zip(hints, items, strict=True))
    elif hint is float and type(value) is int:
        return float(value)
    elif type(value) is hint:
        return value
    raise CheckpointError(f"{where} is {value!r} in JSON, expected {hint}")


def _at_least_one(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise CheckpointError(f"{type(config).__name__}.{name} is {getattr(config, name)}, expected 1 or more")
