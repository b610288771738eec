"""Decomposer: load a checkpoint once, then turn flat pictures into Documents, and layers into Groups.

Only this room knows both networks and documents. The path is look (network) -> steer (boxes, points) -> apart -> lift
-> exact -> tidy -> judge; each stage is a module of its own. What looks failed is looked at again in other ways, within
a bound, and the best-judged look is taken. Deterministic: same device, picture and options give the same bytes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import UInt8

from lamina.decompose.apart import fill_up, set_apart, shown
from lamina.decompose.coarse import Coarse
from lamina.decompose.compact import NOTHING, Compact
from lamina.decompose.exact import Fidelity, make_exact
from lamina.decompose.judge import Verdict, judge
from lamina.decompose.lift import lift
from lamina.decompose.naming import Namer
from lamina.decompose.reader import GroundReader
from lamina.decompose.splitting import SplitPlan, plan_split
from lamina.decompose.steer import check_places, steer
from lamina.decompose.tidy import Tidied, tidy
from lamina.decompose.together import together
from lamina.decompose.working import Working
from lamina.document.document import Document
from lamina.errors import DeviceError, InputError
from lamina.model import checkpoint
from lamina.model.config import from_json
from lamina.model.small import SmallConfig, SmallNet
from lamina.options import DecomposeOptions
from lamina.pixels import PictureLike, load_image, resize_rgba

__all__ = ["STAGES", "Decomposer", "Looker", "device_named", "embedded"]

STAGES = ("read", "model", "lift", "exact", "tidy", "judge")
"""What a call does, in order; `on_step(k, len(STAGES))` says that the first k are done. Said again for each further
look at a picture that looks failed."""

_LEAST_SIDE = 16

_LOOKS = 3
"""Further looks at a picture that looks failed, at most."""

_TRIAL_SIDE = 512
"""Longer side of the picture that looks are compared on."""

_BETTER = 0.05
"""How much better another look must be judged."""

_EVEN = 10
"""A picture whose bytes differ by no more has nothing to part."""


class Looker(Protocol):
    """A network that can be asked what layers a picture shows: the seam for checkpoints of every kind."""

    @property
    def name(self) -> str:
        """What it is called in a document."""
        ...

    @property
    def ignores(self) -> tuple[str, ...]:
        """Options that it has no use for; one that is given becomes a warning."""
        ...

    @property
    def attempts(self) -> int:
        """How many different looks it can take at one picture."""
        ...

    @property
    def most_layers(self) -> int:
        """How many layers it can make."""
        ...

    def look(self, rgba: UInt8[np.ndarray, "h w 4"], options: DecomposeOptions, attempt: int = 0) -> Coarse:
        """Layers back to front; at most options.max_layers for auto. `attempt` varies what it responds to."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stack:
    """A picture taken apart, and what is said of it."""

    tidied: Tidied
    fidelity: Fidelity
    verdict: Verdict
    warnings: list[str]
    failed: bool
    """Whether it looks failed; half of the layers asked for that had to be filled up with parts are that too."""


class Decomposer:
    """A network, ready to decompose pictures."""

    stages: ClassVar[tuple[str, ...]] = STAGES

    def __init__(
        self,
        network: SmallNet | Looker,
        *,
        name: str = "",
        device: torch.device | None = None,
        namer: Namer | None = None,
    ) -> None:
        """`network` is a compact network, whose grounds are read by what the package has learned of its answers, or
        anything that looks; `namer` may know better names than the rules."""
        self.looker: Looker = (
            Compact(network, name=name or "unnamed", device=device or torch.device("cpu"))
            if isinstance(network, SmallNet)
            else network
        )
        self.reader = GroundReader.load(embedded("ground")) if isinstance(network, SmallNet) else None
        self.namer = namer

    @property
    def name(self) -> str:
        return self.looker.name

    @property
    def ignores(self) -> tuple[str, ...]:
        """Options that the network has no use for; one that is given becomes a warning."""
        return self.looker.ignores

    @classmethod
    def load(
        cls, name_or_path: str | Path = "small", *, device: str = "auto", namer: Namer | None = None
    ) -> "Decomposer":
        """Load a checkpoint: "small" (in the package) or the path of a safetensors file.

        `device` is auto, cpu, cuda or mps. Raises CheckpointError and DeviceError.
        """
        if str(name_or_path) != "small":
            from lamina.decompose import released  # it needs this module

            if released.is_released(name_or_path):
                return released.load_released(name_or_path, released.Settings(device=device), namer=namer)
        path = embedded() if str(name_or_path) == "small" else Path(name_or_path)
        config, state = checkpoint.load(path, kind="small")
        network = SmallNet(from_json(SmallConfig, config))
        checkpoint.fill(network, state)
        name = "small" if str(name_or_path) == "small" else path.stem
        return cls(network, name=name, device=device_named(device), namer=namer)

    def __call__(
        self,
        image: PictureLike,
        options: DecomposeOptions | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Document:
        """Decompose one picture.

        The composite of the result equals the picture at every pixel. `on_step(done, total)` counts STAGES; an
        exception it raises (Cancelled) stops the work. Raises InputError for an unusable picture, or a box or point
        outside it.
        """
        options = options or DecomposeOptions()
        picture = load_image(image)
        if min(picture.width, picture.height) < _LEAST_SIDE:
            raise InputError(
                f"the picture is {picture.width}x{picture.height} px; both sides must be at least {_LEAST_SIDE} px"
            )
        check_places(options, picture.width, picture.height)
        _tell(on_step, "read")
        key = f"{picture.sha256}:{options}:{self.name}"
        stack = self._take_apart(picture.rgba, options, key=key, ground="Background", on_step=on_step)
        return Document(
            width=picture.width,
            height=picture.height,
            layers=tuple(stack.tidied.layers),
            meta={
                "source_sha256": picture.sha256,
                **self._record(stack, options),
                "notes": list(picture.notes),
            },
            dpi=picture.dpi,
            source=picture.rgba,
        )

    def split(
        self,
        document: Document,
        layer: str,
        options: DecomposeOptions | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Document:
        """Decompose one layer of a document into a Group that takes its place, id, name, opacity and visibility.

        The group's layers composite to exactly the layer as it lies on the canvas; everything else stays the same
        object. `meta["splits"][layer]` tells model, options, fidelity and warnings. Boxes and points are in pixels of
        the canvas. Raises InputError for a layer that cannot be split: a group, a locked one, one that blends with
        what is below, one that shows a single thing.
        """
        options = options or DecomposeOptions()
        if options.layers == 1 or (options.layers == "auto" and options.max_layers == 1):
            raise InputError("a layer splits into at least 2 layers, asked for 1")
        plan: SplitPlan = plan_split(document, layer, options)
        _tell(on_step, "read")
        stack = self._take_apart(plan.rgba, plan.options, key=f"{plan.key}:{self.name}", ground="Base", on_step=on_step)
        layers = stack.tidied.layers
        if len(layers) < 2:
            raise InputError(f"layer '{layer}' (\"{plan.layer.name}\") shows one thing only; there is nothing to split")
        return plan.carried_out(layers, stack.tidied.confidence, self._record(stack, options))

    def coarse(self, rgba: UInt8[np.ndarray, "h w 4"], options: DecomposeOptions, attempt: int = 0) -> Coarse:
        """What is asked of the network, and what it says, back to front; boxes and points on top, things that lie apart
        as layers, up to the number asked for or the most that auto may make.

        Raises InputError when more layers are asked for than the checkpoint can make.
        """
        working = Working(rgba)
        coarse, _ = self._steered(rgba, options, attempt, working)
        return _filled(working, _set_apart(working, coarse, options), options)

    def _steered(
        self, rgba: UInt8[np.ndarray, "h w 4"], options: DecomposeOptions, attempt: int, working: Working
    ) -> tuple[Coarse, tuple[str, ...]]:
        rest = replace(options, box=(), point=())
        if options.layers != "auto":
            rest = replace(rest, layers=max(1, options.layers - options.regions))
        else:
            rest = replace(rest, max_layers=max(1, options.max_layers - options.regions))
        coarse, _ = together(lambda: self.looker.look(rgba, rest, attempt), working.tell)
        if self.reader is not None:
            coarse = self.reader.read(working, coarse)
        steered = steer(rgba, coarse, options, working=working)
        return steered.coarse, steered.warnings

    def _take_apart(
        self,
        rgba: UInt8[np.ndarray, "h w 4"],
        options: DecomposeOptions,
        *,
        key: str,
        ground: str,
        on_step: Callable[[int, int], None] | None,
    ) -> _Stack:
        """The whole path, and further looks where it looks failed."""
        stack = self._once(rgba, options, 0, key=key, ground=ground, on_step=on_step)
        if stack.failed and options.layers != 1 and int(np.ptp(rgba, axis=(0, 1)).max()) > _EVEN:
            best = self._best_look(rgba, options, on_step)
            if best:
                stack = self._once(rgba, options, best, key=key, ground=ground, on_step=None)
                stack.warnings.append("the first look at the picture failed; this is a further one")
        _tell(on_step, "judge")
        return stack

    def _best_look(
        self, rgba: UInt8[np.ndarray, "h w 4"], options: DecomposeOptions, on_step: Callable[[int, int], None] | None
    ) -> int:
        """Which attempt is judged best on a small copy of the picture; 0, the first, unless another is better."""
        height, width = rgba.shape[:2]
        shrink = min(1.0, _TRIAL_SIDE / max(height, width))
        small = resize_rgba(rgba, (max(_LEAST_SIDE, round(width * shrink)), max(_LEAST_SIDE, round(height * shrink))))
        trial = replace(options, box=(), point=())
        scores: list[float] = []
        for attempt in range(min(self.looker.attempts, 1 + _LOOKS)):
            _tell(on_step, "tidy")
            scores.append(self._once(small, trial, attempt, key="", ground="", on_step=None).verdict.score)
        best = int(np.argmax(scores))
        return best if scores[best] > scores[0] + _BETTER else 0

    def _once(
        self,
        rgba: UInt8[np.ndarray, "h w 4"],
        options: DecomposeOptions,
        attempt: int,
        *,
        key: str,
        ground: str,
        on_step: Callable[[int, int], None] | None,
    ) -> _Stack:
        """One look, carried through."""
        working = Working(rgba)
        coarse, warnings = self._steered(rgba, options, attempt, working)
        _tell(on_step, "model")
        coarse = _set_apart(working, coarse, options)
        scarce = options.layers != "auto" and 2 * shown(coarse) <= options.layers
        coarse = _filled(working, coarse, options)
        layers = lift(rgba, coarse, working=working)
        _tell(on_step, "lift")
        layers, fidelity = make_exact(rgba, layers)
        _tell(on_step, "exact")
        namer = self.namer if key else None  # nobody reads the names of a trial
        tidied = tidy(rgba, layers, coarse.confidence, key=key, namer=namer, ground=ground)
        _tell(on_step, "tidy")
        verdict = judge(rgba, tidied.layers, tidied.confidence)
        said = [*warnings, *(tidied.warnings if options.layers != 1 else ())]
        names = [layer.name for layer in tidied.layers]
        said += [f"a ghost of '{names[k]}' is left below it" for k in verdict.ghosts]
        said += [f"'{names[c.lower]}' and '{names[c.upper]}' look like one thing cut in two" for c in verdict.cuts]
        failed = scarce or tidied.failed
        return _Stack(tidied=tidied, fidelity=fidelity, verdict=verdict, warnings=said, failed=failed)

    def _record(self, stack: _Stack, options: DecomposeOptions) -> dict[str, Any]:
        """What a document remembers of how it was made."""
        warnings, count = list(stack.warnings), len(stack.tidied.layers)
        ignored = [name for name in self.ignores if getattr(options, name) != NOTHING.get(name)]
        if ignored:
            warnings.append(f"the checkpoint '{self.name}' ignores {', '.join(ignored)}")
        if options.layers != "auto" and count < options.layers:
            warnings.append(f"layers asked for: {options.layers}, found: {count}")
        pairs = zip(stack.tidied.layers, stack.tidied.confidence, strict=True)
        return {
            "model": self.name,
            "options": json.loads(json.dumps(asdict(options))),
            "fidelity": {**asdict(stack.fidelity), "confidence": {layer.id: round(sure, 3) for layer, sure in pairs}},
            "warnings": warnings,
        }


def _set_apart(working: Working, coarse: Coarse, options: DecomposeOptions) -> Coarse:
    """With things that lie apart as layers, as far as the options let them."""
    if options.layers != "auto":
        return set_apart(working, coarse, options.layers, fine=True)
    if options.detail == "coarse":
        return coarse
    return set_apart(working, coarse, options.max_layers, fine=options.detail == "fine")


def _filled(working: Working, coarse: Coarse, options: DecomposeOptions) -> Coarse:
    """With parts of layers as layers, where more were asked for than there are."""
    return coarse if options.layers == "auto" else fill_up(working, coarse, options.layers)


def _tell(on_step: Callable[[int, int], None] | None, stage: str) -> None:
    if on_step:
        on_step(STAGES.index(stage) + 1, len(STAGES))


def embedded(name: str = "small") -> Path:
    """Where a checkpoint of the package lies: `small`, the compact network, or `ground`, which reads its answers."""
    return Path(__file__).resolve().parent.parent / "weights" / f"{name}.safetensors"


def device_named(name: str) -> torch.device:
    """The torch device for auto, cpu, cuda or mps; raises DeviceError when it is not there."""
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if here[kind]))
    if name not in here:
        raise DeviceError(f"device '{name}' is not known; expected auto, cpu, cuda or mps")
    if not here[name]:
        raise DeviceError(f"device '{name}' is not available on this computer; use --device auto or cpu")
    return torch.device(name)
