"""The paper's stages for the full model, one after the other (arXiv 2512.15603, section 3):

    lamina train recipes.paper:vae             init_from=rgb-vae.safetensors shards=SHARDS -o runs/vae
    lamina train recipes.paper:text_to_picture vae=VAE shards=SHARDS text=TEXT -o runs/t2i
    lamina train recipes.paper:text_to_layers  vae=VAE shards=SHARDS text=TEXT init_from=runs/t2i/checkpoint.safetensors
    lamina train recipes.paper:image_to_layers vae=VAE shards=SHARDS text=TEXT init_from=runs/t2l/checkpoint.safetensors
    lamina train recipes.paper:few_steps       vae=VAE shards=SHARDS text=TEXT teacher=runs/i2l/checkpoint.safetensors

VAE is runs/vae/checkpoint.safetensors. TEXT is a file of embeddings (lamina.train.text.store_text), or module:function
that returns a lamina.train.text.TextEncoder; "hashed" understands nothing and is for trials with model=tiny. Samples
come from shards=FOLDER or from scenes of bank=FOLDER. Numbers of steps and rates are the paper's where it gives them
(Adam, 1e-5, 500, 400 and 400 thousand steps); batch, resolution and the VAE's schedule it does not give. What came out
becomes a model folder in the diffusers layout by recipes.release.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lamina.data.art import Bank
from lamina.data.scenes import SceneMaker
from lamina.data.shards import Shards
from lamina.data.windows import WindowSource
from lamina.errors import InputError
from lamina.evaluate.layers import psnr
from lamina.evaluate.metrics import reduce_stack, score_reduced
from lamina.evaluate.perceptual import Lpips, read_weights
from lamina.evaluate.reconstruction import GROUNDS
from lamina.model.config import MMDiTConfig, preset
from lamina.model.vae import Vae
from lamina.pixels import over_flat
from lamina.train import networks
from lamina.train.autoencode import VaeObjective
from lamina.train.config import DataConfig, OptimConfig, Precision, TrainConfig
from lamina.train.flow import FewStepObjective, FlowObjective, sample_frames
from lamina.train.loop import Objective, Run, Validate
from lamina.train.parallel import moved
from lamina.train.recipe import named
from lamina.train.sheets import flow_sheet, vae_sheet
from lamina.train.stacks import SampleSource, StackBatches, Stacks, View
from lamina.train.text import HashedText, StoredText, TextEncoder

__all__ = [
    "few_steps",
    "flow_objective",
    "flow_validation",
    "image_to_layers",
    "samples",
    "sizes",
    "text_to_layers",
    "text_to_picture",
    "vae",
]


def vae(
    out: Path,
    *,
    bank: Path | None = None,
    shards: Path | None = None,
    held: Path | None = None,
    init_from: Path | None = None,
    model: str = "published",
    lpips_net: Path | None = None,
    lpips_linear: Path | None = None,
    steps: int = 32_000,
    batch_size: int = 16,
    side: int = 512,
    lr: float = 1.5e-5,
    precision: Precision = "float32",
    workers: int = 4,
    save_every: int = 500,
    sheet_every: int = 500,
    seed: int = 0,
) -> Run:
    """Stage 1, the RGBA-VAE, from an RGB VAE (`init_from`, three channels) or a four-channel one.

    With `lpips_net` and `lpips_linear`, local weights as `lamina evaluate --lpips` takes them, the loss has LPIPS over
    black and white; without them it has no such term.
    """
    shape = preset(model).vae
    data = DataConfig(bank=bank, shards=shards, batch_size=batch_size, sizes=sizes(side, shape.stride), workers=workers)
    config = TrainConfig(
        stage="vae",
        model=shape,
        data=data,
        optim=OptimConfig(lr=lr, weight_decay=0.0, warmup=max(1, steps // 20), decay_share=0.95, ema=0.999),
        steps=steps,
        seed=seed,
        init_from=init_from,
        out=out,
        save_every=save_every,
        sheet_every=sheet_every,
        precision=precision,
    )
    if (lpips_net is None) != (lpips_linear is None):
        raise InputError("LPIPS needs both lpips_net=FILE and lpips_linear=FILE")
    perceptual = None
    if lpips_net is not None and lpips_linear is not None:
        place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        perceptual = Lpips(read_weights(lpips_net), read_weights(lpips_linear), place).distance
    objective = VaeObjective(perceptual=perceptual)
    train, check = _data(config, "picture", preset(model).max_layers, held)
    return Run(
        config=config,
        objective=objective,
        data=train,
        validate=_vae_validation(objective, check),
        sheet=vae_sheet(check[0]),
    )


def _stage(name: str, view: View, condition: bool, length: int) -> Callable[..., Run]:
    """A stage of the MMDiT: `view` of the samples, with or without the picture as condition."""

    def recipe(
        out: Path,
        *,
        vae: Path,
        bank: Path | None = None,
        shards: Path | None = None,
        held: Path | None = None,
        text: str = "hashed",
        init_from: Path | None = None,
        model: str = "published",
        steps: int = length,
        batch_size: int = 64,
        side: int = 640,
        lr: float = 1e-5,
        warmup: int = 1000,
        guidance: float = 4.0,
        sample_steps: int = 50,
        precision: Precision = "bfloat16",
        workers: int = 4,
        save_every: int = 500,
        validate_every: int = 2000,
        seed: int = 0,
    ) -> Run:
        shape = preset(model)
        data = DataConfig(
            bank=bank, shards=shards, batch_size=batch_size, sizes=sizes(side, shape.multiple), workers=workers
        )
        config = TrainConfig(
            stage=name,
            model=shape.mmdit,
            data=data,
            optim=OptimConfig(lr=lr, weight_decay=0.0, warmup=warmup, decay_share=0.1, ema=0.9999),
            steps=steps,
            seed=seed,
            init_from=init_from,
            out=out,
            save_every=save_every,
            validate_every=validate_every,
            sheet_every=validate_every,
            precision=precision,
        )
        objective = flow_objective(vae, text, shape.mmdit, condition)
        train, check = _data(config, view, shape.max_layers, held)
        validate = flow_validation(objective, objective, check, sample_steps, guidance)
        sheet = flow_sheet(objective, check[0], steps=sample_steps, guidance=guidance)
        return Run(config=config, objective=objective, data=train, validate=validate, sheet=sheet)

    recipe.__name__ = recipe.__qualname__ = name.replace("-", "_")
    return recipe


text_to_picture = _stage("text-to-picture", "picture", condition=False, length=500_000)
"""Stage 2: flat pictures and RGBA pictures from text, mixed; the flag `rgb` tells them apart."""
text_to_layers = _stage("text-to-layers", "layers", condition=False, length=400_000)
"""Stage 3: the composite and all layers from text, jointly."""
image_to_layers = _stage("image-to-layers", "layers", condition=True, length=400_000)
"""Stage 4: the same from the picture at slot -1."""


def few_steps(
    out: Path,
    *,
    teacher: Path,
    vae: Path,
    bank: Path | None = None,
    shards: Path | None = None,
    held: Path | None = None,
    text: str = "hashed",
    model: str = "published",
    student_steps: int = 4,
    teacher_steps: int = 8,
    guidance: float = 4.0,
    distil: bool = True,
    steps: int = 10_000,
    batch_size: int = 64,
    side: int = 640,
    lr: float = 1e-5,
    warmup: int = 500,
    precision: Precision = "bfloat16",
    workers: int = 4,
    save_every: int = 500,
    validate_every: int = 1000,
    seed: int = 0,
) -> Run:
    """Stage 5: go on from stage 4 (`teacher`) to a model of 1 to 4 steps, without guidance.

    `distil`: each step of the student goes as far as `teacher_steps` guided ones of the frozen teacher. Without it the
    stage's own loss goes on with half of the rows at t = 1.
    """
    shape = preset(model)
    data = DataConfig(
        bank=bank, shards=shards, batch_size=batch_size, sizes=sizes(side, shape.multiple), workers=workers
    )
    config = TrainConfig(
        stage=f"few-steps-{student_steps}",
        model=shape.mmdit,
        data=data,
        optim=OptimConfig(lr=lr, weight_decay=0.0, warmup=warmup, decay_share=0.3, ema=0.999),
        steps=steps,
        seed=seed,
        init_from=teacher,
        out=out,
        save_every=save_every,
        validate_every=validate_every,
        sheet_every=validate_every,
        precision=precision,
    )
    base = flow_objective(vae, text, shape.mmdit, condition=True, noise_share=0.0 if distil else 0.5)
    objective: Objective = base
    if distil:
        guide = networks.load(teacher, "mmdit").requires_grad_(False)
        objective = FewStepObjective(
            flow=base, teacher=guide, steps=student_steps, teacher_steps=teacher_steps, guidance=guidance
        )
    train, check = _data(config, "layers", shape.max_layers, held)
    validate = flow_validation(base, objective, check, student_steps, guidance=1.0)
    sheet = flow_sheet(base, check[0], steps=student_steps)
    return Run(config=config, objective=objective, data=train, validate=validate, sheet=sheet)


def samples(bank: Path | None, shards: Path | None, max_layers: int, split: str = "train") -> SampleSource:
    """Scenes of a bank's split, or windows of shards. Raises InputError unless one of them is given."""
    if shards is not None and bank is None:
        return WindowSource(Shards(shards), max_layers)
    if bank is not None and shards is None:
        return SceneMaker(Bank.load(bank, split=split), max_layers=max_layers)
    raise InputError("a recipe needs bank=FOLDER or shards=FOLDER, one of them")


def sizes(side: int, multiple: int) -> tuple[tuple[int, int], ...]:
    """Sizes (width, height) of about side x side pixels in five aspects; every side a multiple of `multiple`."""
    found: list[tuple[int, int]] = []
    for aspect in (1, 4 / 3, 3 / 4, 16 / 9, 9 / 16):
        width, height = side * math.sqrt(aspect), side / math.sqrt(aspect)
        size = max(1, round(width / multiple)) * multiple, max(1, round(height / multiple)) * multiple
        if size not in found:
            found.append(size)
    return tuple(found)


def flow_objective(
    vae: Path, text: str, shape: MMDiTConfig, condition: bool, noise_share: float = 0.0
) -> FlowObjective:
    """The flow's objective over the latents of this VAE checkpoint. Raises InputError when it does not fit."""
    network = networks.load(vae, "vae")
    if not isinstance(network, Vae) or network.config.latent_channels != shape.latent_channels:
        raise InputError(f"{vae} is no VAE of {shape.latent_channels} latent channels, which the model takes")
    if network.config.image_channels != 4:
        raise InputError(f"{vae} is an RGB VAE; train recipes.paper:vae from it first")
    return FlowObjective(
        vae=network.requires_grad_(False).eval(),
        encoder=_encoder(text, shape.text_width),
        patch=shape.patch,
        condition=condition,
        noise_share=noise_share,
    )


def _encoder(text: str, width: int) -> TextEncoder:
    if text == "hashed":
        return HashedText(width)
    return StoredText(Path(text)) if text.endswith(".safetensors") else named(text)()


def _data(config: TrainConfig, view: View, max_layers: int, held: Path | None) -> tuple[StackBatches, list[Stacks]]:
    """Training batches, and two fixed ones of at most four rows that are not trained on, if there are such."""
    data = config.data

    def batches(source: SampleSource, rows: int, seed: int) -> StackBatches:
        return StackBatches(source=source, batch_size=rows, sizes=data.sizes, seed=seed, view=view, most=max_layers)

    train = batches(samples(data.bank, data.shards, max_layers), data.batch_size, config.seed)
    unseen = samples(data.bank, held or data.shards, max_layers, split="validation")
    check = batches(unseen, min(4, data.batch_size), config.seed + 1)
    return train, [check[0], check[1]]


def _mean_loss(objective: Objective, check: list[Stacks]) -> Validate:
    def validate(network: nn.Module) -> dict[str, float]:
        place = next(network.parameters()).device
        rows = [objective(network, moved(batch, place))[1] for batch in check]
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    return validate


def _vae_validation(objective: Objective, check: list[Stacks]) -> Validate:
    """The loss on held batches, and PSNR over black, mid-grey and white of the reconstructed posterior's mean."""
    loss = _mean_loss(objective, check)

    def validate(network: Any) -> dict[str, float]:
        images = check[0].frames[:, 0].to(next(network.parameters()).device)
        config, (height, width) = network.config, images.shape[-2:]
        noise = images.new_zeros(
            (len(images), config.latent_channels, height // config.stride, width // config.stride), dtype=torch.float32
        )
        got = network(images.float() / 127.5 - 1, noise)[0].float().clamp(-1, 1)
        copies = _layers(((got + 1) * 127.5).round().to(torch.uint8))
        decibels = {
            f"psnr_{name}": [
                psnr(over_flat(copy, colour), over_flat(picture, colour))
                for copy, picture in zip(copies, _layers(images), strict=True)
            ]
            for name, colour in GROUNDS.items()
        }
        return loss(network) | {name: sum(values) / len(values) for name, values in decibels.items()}

    return validate


def flow_validation(
    flow: FlowObjective, objective: Objective, check: list[Stacks], steps: int, guidance: float
) -> Validate:
    """The loss on held batches and, for stacks, the evaluator's Layer-F of what the network makes of the first one."""
    loss = _mean_loss(objective, check)

    def validate(network: nn.Module) -> dict[str, float]:
        found = loss(network)
        if not flow.condition:
            return found
        made = sample_frames(network, flow, check[0], steps=steps, guidance=guidance)
        scores: list[float] = []
        for pictures, truth, there in zip(made, check[0].frames, check[0].present, strict=True):
            count = int(there.sum())
            wanted = reduce_stack(_layers(truth[1:count]))
            if len(wanted) > 1:
                scores.append(score_reduced(reduce_stack(_layers(pictures[1:count])), wanted).layer_f)
        return found | ({"layer_f": sum(scores) / len(scores)} if scores else {})

    return validate


def _layers(frames: torch.Tensor) -> list[np.ndarray]:
    return [np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy()) for frame in frames]
