"""The released 20 B network as one that looks: a picture in, its layers as a coarse answer, back to front.

Opens the weights, picks a plan for the device's free memory, encodes the prompt (or asks for a caption) before the
transformer takes its place, samples, and turns straight RGBA layers into what `lift` takes. Knows the model and what
`Decomposer` asks of a network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from lamina.decompose.coarse import Coarse
from lamina.decompose.decomposer import STAGES, Decomposer, device_named
from lamina.decompose.naming import Namer
from lamina.decompose.released_settings import Settings
from lamina.document.document import Document
from lamina.errors import CheckpointError, DeviceError, InputError
from lamina.model import checkpoint, hub
from lamina.model.adapters import with_lora
from lamina.model.config import MMDiTConfig
from lamina.model.denoise import Denoiser, Text, tabled_network
from lamina.model.layouts import WEIGHT_FILES, Released, open_released, open_transformer, parts_beside
from lamina.model.pace import PACES
from lamina.model.placing import placed
from lamina.model.plans import Plan, choose_plan, memory_budget, next_smaller
from lamina.model.quantize import computes_fp8
from lamina.model.released import ReleasedModel, draw_noise, load_vae
from lamina.model.spread import SpreadDenoiser, join, several, told
from lamina.model.text import EMPTY, Prompts, cache_folder
from lamina.options import DecomposeOptions
from lamina.pixels import PictureLike, model_size, over_flat, to_model

__all__ = [
    "ReleasedDecomposer",
    "ReleasedLooker",
    "Settings",
    "is_released",
    "layer_count",
    "load_released",
    "text_place",
    "to_coarse",
]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_AUTO = 4
"""Layers where the number is left to the network, which cannot tell: as many as its own demonstrations ask for."""

_TICKS = 50
"""Parts in which the progress of sampling is told."""

_HEAVY = 1e9
"""Parameters from which a network is not run on a CPU unless that is asked for."""

_FREE_CPU = 1e15
"""Memory of a CPU's plan, of which nothing is said: everything is resident, weights are mapped files."""


def is_released(name: str | Path) -> bool:
    """Whether this names a released model: a folder with an index, a name on the hub, a file without our header.

    "small" is the package's own, whatever is called so here.
    """
    path = Path(name)
    if str(name) == "small":
        return False
    if os.path.isdir(path):  # unlike a Path, it takes a name that is too long for one that there is not
        return True
    if os.path.isfile(path):
        return path.suffix.lower() in WEIGHT_FILES and not _ours(path)
    return hub.is_repository(str(name))


class ReleasedLooker:
    """A released model, ready to look at pictures; `Decomposer` carries on from there."""

    def __init__(
        self,
        released: Released,
        settings: Settings | None = None,
        *,
        device: torch.device | None = None,
        free: Callable[[], float] | None = None,
        cache: Path | None = None,
        fused: bool | None = None,
    ) -> None:
        """`free` says how many bytes of device memory there are; `cache` keeps embeddings; `fused` is as in `placed`.

        Where torchrun started several processes they share the work, and every one of them must look at the same
        pictures. Raises CheckpointError for a LoRA that does not fit, DeviceError without a fitting device, InputError
        for a preset that several processes cannot work by.
        """
        self.settings = settings or Settings()
        self._spread = several()
        if self._spread and PACES[self.settings.preset].reuse > 0:
            raise InputError(
                f"preset '{self.settings.preset}' takes steps over, which several processes cannot; use --preset exact"
            )
        merged = released.transformer
        for path in self.settings.lora:
            merged = with_lora(merged, path)
        self.released = replace(released, transformer=merged)
        place = device or _device(self.settings.device, released.config.mmdit)
        self.device = join(place) if self._spread else place
        self._fused = fused
        self._free = free or (lambda: _free_bytes(self.device))
        stored = released.transformer["img_in.weight"].read().dtype
        self.dtype = torch.float32 if self.device.type == "cpu" and stored == torch.float32 else torch.bfloat16
        self.prompts = Prompts(released.folder, device=self.device, dtype=self.dtype, cache=cache, on_load=_loading)
        self.side: int = self.settings.resolution
        self.on_sample: Callable[[int, int], None] | None = None
        """Hears every sampling step; may raise to stop."""
        self.caption: str = ""
        """What the last picture was said to show, where no prompt was given."""
        self._model: tuple[Plan, ReleasedModel] | None = None

    @classmethod
    def load(cls, name: str | Path, settings: Settings | None = None) -> "ReleasedLooker":
        """Open a folder, a file of transformer weights, or a model on the hub; weights are read when first needed.

        A file's other parts are those beside it, or else the published ones, from the hub. Raises CheckpointError,
        DeviceError, MissingExtraError.
        """
        path = Path(name)
        if not os.path.exists(path):
            folder = hub.find_released(str(name))
            return cls(replace(open_released(folder), name=str(name)), settings, cache=cache_folder())
        parts = None
        if path.is_file() and parts_beside(path) is None:
            open_transformer(path)  # a file that is of no use is told before gigabytes are fetched to go with it
            parts = hub.find_released(hub.OFFICIAL, transformer=False)
        return cls(open_released(path, parts), settings, cache=cache_folder())

    @property
    def name(self) -> str:
        """What it is called in a document."""
        return self.released.name

    @property
    def ignores(self) -> tuple[str, ...]:
        """Options without use for it: none."""
        return ()

    @property
    def attempts(self) -> int:
        """One: another look takes as long as the first."""
        return 1

    @property
    def most_layers(self) -> int:
        """How many layers it can make."""
        return self.released.config.max_layers

    def look(self, rgba: UInt8[np.ndarray, "h w 4"], options: DecomposeOptions, attempt: int = 0) -> Coarse:
        """The layers of a picture, bottom first; `attempt` changes the seed.

        Auto makes 4 layers, 2 in coarse and 8 in fine detail, within `max_layers`. Without a prompt the text encoder
        writes a caption. Raises DeviceError when memory runs out, naming the next smaller plan.
        """
        count = layer_count(options)
        size = self.size_of(rgba)
        flat = np.ascontiguousarray(rgba[..., :3]) if (rgba[..., 3] == 255).all() else over_flat(rgba, (255, 255, 255))
        small = Image.fromarray(flat, "RGB").resize(size, Image.Resampling.LANCZOS)
        pixels = np.dstack([np.asarray(small), np.full((size[1], size[0]), 255, np.uint8)])
        self.caption, texts, bare = self._agreed(lambda: self._texts(options, small))
        layers = self._sampled(to_model(pixels)[None], texts, bare, size, count, options, options.seed + attempt)
        return to_coarse(layers)

    def size_of(self, rgba: UInt8[np.ndarray, "h w 4"]) -> tuple[int, int]:
        """The size (width, height) that a picture is worked at: its aspect, the trained area, steps of 32."""
        multiple = 2 * self.released.config.multiple
        return model_size(rgba.shape[1], rgba.shape[0], area=self.side * self.side, multiple=multiple)

    def imagine(self, prompt: str, options: DecomposeOptions, size: tuple[int, int]) -> Float[np.ndarray, "L 4 h w"]:
        """Layers made from words alone, straight RGBA -1..1, for checkpoints trained for it; `size` is (width, height)
        and divides by 16. Raises InputError without words."""
        multiple = self.released.config.multiple
        if not prompt.strip():
            raise InputError("layers from words alone need a prompt, got an empty one")
        if size[0] % multiple or size[1] % multiple:
            raise InputError(f"a size of {size[0]}x{size[1]} does not divide by {multiple}")
        asked = replace(options, prompt=prompt)
        _, texts, bare = self._agreed(lambda: self._texts(asked, None))
        return self._sampled(None, texts, bare, size, layer_count(options), options, options.seed)

    def _agreed(self, make: Callable[[], T]) -> T:
        """What the first process makes: two text encoders may differ in a word."""
        return told(make) if self._spread else make()

    def _texts(self, options: DecomposeOptions, picture: Image.Image | None) -> tuple[str, Text, Text | None]:
        """The caption if one was written, the prompt's embedding, that of the empty prompt if guidance needs it."""
        if not self.prompts.loaded:
            self.prompts.device = text_place(self.device, self._free(), self.prompts.bytes)
        try:
            prompt, caption = options.prompt.strip(), ""
            if not prompt and picture is not None:
                prompt = caption = self.prompts.caption(picture, self.settings.language)
                _log.info("caption: %s", prompt)
            text = self.prompts([prompt])
            width, needed = text.embedding.shape[-1], self.released.config.mmdit.text_width
            if width != needed:
                raise CheckpointError(
                    f"{self.released.folder / 'text_encoder'} makes embeddings of width {width}, the transformer takes "
                    f"{needed}; bring the folder text_encoder of the same model there"
                )
            return caption, text, None if self._guidance(options) == 1 else self.prompts([EMPTY])
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                "the text encoder ran out of device memory; give a prompt met before, or use --device cpu once with "
                "this prompt, which keeps its embedding"
            ) from error

    def _sampled(
        self, picture: torch.Tensor | None, texts: Text, bare: Text | None, size: tuple[int, int], count: int,
        options: DecomposeOptions, seed: int,
    ) -> Any:  # fmt: skip
        self.prompts.free()
        config = self.released.config
        steps = options.steps or PACES[self.settings.preset].steps
        stride = config.vae.stride
        shape = (count + 1, config.vae.latent_channels, size[1] // stride, size[0] // stride)
        tokens = (size[0] // config.multiple) * (size[1] // config.multiple)
        plan = self._plan(tokens, count)
        try:
            model = self._placed(plan)
            found = model.layers(
                picture, texts, bare, count=count, steps=steps, guidance=self._guidance(options),
                noise=draw_noise([seed], shape), pace=PACES[self.settings.preset], on_step=self.on_sample,
            )  # fmt: skip
        except torch.OutOfMemoryError as error:
            self._model = None
            raise DeviceError(f"the {plan} ran out of device memory; {next_smaller(plan)}") from error
        return found[0].float().cpu().numpy()

    def _plan(self, tokens: int, count: int) -> Plan:
        """The plan in force; a new one only when a larger picture or more layers need one."""
        if self._model is not None and self._model[0].fits(tokens, count):
            return self._model[0]
        self._model = None
        budget = memory_budget(self.settings.memory, self._free())
        config = self.released.config
        fp8 = computes_fp8(self.device)
        plan = choose_plan(budget, config, tokens=tokens, layers=count, preset=self.settings.preset, fp8=fp8)
        if self.settings.on_plan is not None and budget < _FREE_CPU:
            self.settings.on_plan(str(plan))
        return plan

    def _placed(self, plan: Plan) -> ReleasedModel:
        """The model where the plan wants it."""
        if self._model is not None:
            return self._model[1]
        config = self.released.config
        network = tabled_network(config.mmdit, self.released.transformer, self.dtype)
        around = (network.img_in, network.txt_norm, network.txt_in, network.time_text_embed, network.norm_out)
        for part in (*around, network.proj_out):
            part.to(self.device)
        # With several processes every step hands blocks a new way to gather, which would be compiled anew.
        compiled = False if self._spread else None
        modules = list(network.transformer_blocks)
        blocks = placed(modules, plan, self.device, fused=self._fused, compiled=compiled)
        vae = load_vae(self.released, device=self.device, dtype=self.dtype)
        denoiser = (SpreadDenoiser if self._spread else Denoiser)(network, blocks)
        model = ReleasedModel(self.released, vae, denoiser, device=self.device, frames=plan.frames)
        self._model = plan, model
        return model

    def _guidance(self, options: DecomposeOptions) -> float:
        return PACES[self.settings.preset].guidance if options.guidance is None else options.guidance


class ReleasedDecomposer(Decomposer):
    """A decomposer whose sampling steps count as progress, and at each of which it can be stopped."""

    stages: ClassVar[tuple[str, ...]] = tuple(
        stage for stage in STAGES for _ in range(_TICKS if stage == "model" else 1)
    )

    def __init__(self, looker: ReleasedLooker, *, namer: Namer | None = None) -> None:
        super().__init__(looker, namer=namer)
        self._released = looker

    def __call__(
        self,
        image: PictureLike,
        options: DecomposeOptions | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Document:
        """See Decomposer; `on_step` counts `stages`, in which "model" stands once for every fiftieth of the sampling.

        It is called at every sampling step, and an exception that it raises stops the work there.
        """
        with self._heard(on_step) as said:
            document = super().__call__(image, options, said)
        caption = self._released.caption
        return replace(document, meta={**document.meta, "caption": caption}) if caption else document

    def split(
        self,
        document: Document,
        layer: str,
        options: DecomposeOptions | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Document:
        """See Decomposer."""
        with self._heard(on_step) as said:
            return super().split(document, layer, options, said)

    def _best_look(self, rgba: Any, options: Any, on_step: Any) -> int:
        """The first look: another takes as long, on a small copy too."""
        return 0

    @contextmanager
    def _heard(self, on_step: Callable[[int, int], None] | None) -> Generator[Callable[[int, int], None] | None]:
        if on_step is None:
            yield None
            return
        total, before = len(self.stages), STAGES.index("model")

        def sampled(step: int, steps: int) -> None:
            on_step(before + max(1, step * _TICKS // steps), total)

        def staged(done: int, _: int) -> None:
            on_step(done if done <= before else done + _TICKS - 1, total)

        self._released.on_sample = sampled
        try:
            yield staged
        finally:
            self._released.on_sample = None


def load_released(
    name: str | Path, settings: Settings | None = None, *, namer: Namer | None = None
) -> ReleasedDecomposer:
    """A decomposer over a released model; see `ReleasedLooker.load`."""
    return ReleasedDecomposer(ReleasedLooker.load(name, settings), namer=namer)


def to_coarse(layers: Float[np.ndarray, "L 4 h w"]) -> Coarse:
    """Straight RGBA layers -1..1, bottom first, as a network's answer.

    A layer is seen with its alpha times what those above leave; what all of them leave is the bottom one's.
    """
    unit = np.clip((layers.astype(np.float32) + 1) / 2, 0, 1)
    alpha = unit[:, 3].copy()
    alpha[0] = 1.0
    left = np.ones_like(alpha[0])
    visible = np.empty_like(alpha)
    for number in reversed(range(len(alpha))):
        visible[number] = alpha[number] * left
        left = left * (1 - alpha[number])
    sure = (visible * visible).sum((1, 2)) / np.maximum(visible.sum((1, 2)), 1e-6)
    return Coarse(
        visible=visible,
        alpha=alpha,
        rgb=np.ascontiguousarray(unit[:, :3].transpose(0, 2, 3, 1)),
        confidence=sure.astype(np.float32),
    )


def text_place(device: torch.device, free: float, needed: float) -> torch.device:
    """Where a text encoder of so many bytes runs: on the device if it has room for it, else on the CPU."""
    return device if free > 1.1 * needed + 1e9 else torch.device("cpu")


def layer_count(options: DecomposeOptions) -> int:
    """How many layers are made; the network cannot tell how many a picture shows."""
    if options.layers != "auto":
        return options.layers
    wanted = {"coarse": _AUTO // 2, "fine": 2 * _AUTO}.get(options.detail, _AUTO)
    return min(options.max_layers, wanted)


def _ours(path: Path) -> bool:
    """Whether a safetensors file has a header of ours."""
    try:
        return bool(checkpoint.read_header(path).kind)
    except CheckpointError:
        return False


def _device(name: str, config: MMDiTConfig) -> torch.device:
    device = device_named(name)
    size = config.depth * 24 * config.width**2
    if name == "auto" and device.type == "cpu" and size > _HEAVY:
        raise DeviceError(
            f"a network of {size / 1e9:.0f} billion parameters needs a GPU, and there is none here; use --model small, "
            "or --device cpu if hours for one picture are all right"
        )
    return device


def _free_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + unused)
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return _FREE_CPU


def _loading(what: str) -> None:
    _log.info("loading the %s", what)
