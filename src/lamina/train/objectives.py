"""Losses: what a batch teaches. One function per stage, `(network, batch) -> (loss, parts)`.

The small network's slots 1.. are a set, so the truth is matched to them first (Hungarian, as in DETR,
arXiv 2005.12872) by who is seen where; slot 0 always answers for the ground.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lamina.data.loader import Batch
from lamina.model.small import SmallOutput

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

__all__ = ["match", "small_objective", "small_validation", "visible_weights"]


def visible_weights(alpha_bmhw_01: Float[Tensor, "b M h w"]) -> Float[Tensor, "b M h w"]:
    """Share of each layer in the composite: w_k = a_k * prod over j > k of (1 - a_j), bottom first."""
    through = torch.cumprod(torch.flip(1 - alpha_bmhw_01, [1]), dim=1)
    above = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], dim=1)
    return alpha_bmhw_01 * torch.flip(above, [1])


def small_objective(network: Any, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """Loss of the compact network: cross-entropy and Dice of who is seen, alpha with hidden parts, hidden colours,
    presence and depth order; of what was said before closer looks, who is seen. `network` is a SmallNet or a compiled
    one."""
    output = _answer(network, batch)
    with torch.autocast(batch.picture.device.type, enabled=False):  # only the network computes in less than float32
        layers = batch.layers.float() / 255
        alpha = layers[:, :, 3]
        size = output.visible.shape[-2:]
        seen = F.interpolate(visible_weights(alpha), size=size, mode="area")
        premul = F.interpolate((layers[:, :, :3] * alpha[:, :, None]).flatten(1, 2), size=size, mode="area")
        alpha = F.interpolate(alpha, size=size, mode="area")
        colour = premul.unflatten(1, (-1, 3)) / alpha[:, :, None].clamp_min(1e-3) * 2 - 1

        slots_of = match(output, seen, batch.truth)
        return _losses(output, batch, slots_of, seen, alpha, colour)


def _answer(network: Any, batch: Batch) -> SmallOutput:
    """What the network says of the pictures, in float32."""
    picture = (batch.picture.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    answer: SmallOutput = network(picture, batch.counts, batch.slots)
    return SmallOutput(**{name: value.float() for name, value in answer._asdict().items() if value is not None})


def match(output: SmallOutput, seen: Float[Tensor, "b M h w"], truth: Int[Tensor, " b"]) -> Int[Tensor, "b M"]:
    """Slot of every true layer, -1 where there is none: least sum of (1 - Dice) + 0.5 (1 - presence)."""
    with torch.no_grad():
        guess = F.avg_pool2d(output.visible.softmax(1), 2).flatten(2)
        want = F.avg_pool2d(seen, 2).flatten(2)
        both = torch.einsum("blp,bmp->blm", guess, want)
        dice = 2 * both / (guess.sum(-1)[:, :, None] + want.sum(-1)[:, None] + 1e-3)
        cost = (1 - dice + 0.5 * (1 - output.presence.sigmoid())[:, :, None]).cpu().numpy()
    slots_of = torch.full(seen.shape[:2], -1, dtype=torch.long)
    for index, count in enumerate(truth.tolist()):
        slots_of[index, 0] = 0
        usable = int((output.visible[index, :, 0, 0] > -1e3).sum())
        rows, columns = linear_sum_assignment(cost[index, 1:usable, 1:count])
        slots_of[index, torch.from_numpy(columns) + 1] = torch.from_numpy(rows) + 1
    return slots_of.to(seen.device)


def _losses(
    output: SmallOutput, batch: Batch, slots_of: Tensor, seen: Tensor, alpha: Tensor, colour: Tensor
) -> tuple[Tensor, dict[str, float]]:
    there = (slots_of >= 0).float()
    index = slots_of.clamp_min(0)
    total = there.sum().clamp_min(1)

    def of_slots(values: Tensor) -> Tensor:
        picked = index.reshape(*index.shape, *([1] * (values.ndim - 2))).expand(-1, -1, *values.shape[2:])
        return values.gather(1, picked)

    def of_masks(logits: Tensor) -> tuple[Tensor, Tensor]:
        log_weights = of_slots(logits.log_softmax(1))
        cross = -(seen * log_weights * there[..., None, None]).sum(1).mean()
        weights = log_weights.exp()
        dice = 1 - (2 * (weights * seen).sum((-1, -2)) + 1) / (weights.sum((-1, -2)) + seen.sum((-1, -2)) + 1)
        return cross, (dice * there).sum() / total

    cross, dice = of_masks(output.visible)
    draft = torch.zeros_like(cross)
    if output.drafts is not None:
        draft = torch.stack([torch.stack(of_masks(early)).sum() for early in output.drafts.unbind(1)]).mean()

    upper = there.clone()
    upper[:, 0] = 0
    logits = of_slots(output.alpha)
    hidden = (alpha - seen).clamp_min(0)
    fit = F.binary_cross_entropy_with_logits(logits, alpha, reduction="none") * (1 + 2 * hidden)
    soft = logits.sigmoid()
    alpha_dice = 1 - (2 * (soft * alpha).sum((-1, -2)) + 1) / (soft.sum((-1, -2)) + alpha.sum((-1, -2)) + 1)
    cover = ((fit.mean((-1, -2)) + 0.5 * alpha_dice) * upper).sum() / upper.sum().clamp_min(1)

    heavy = (hidden + 0.1 * alpha) * there[..., None, None]
    error = (of_slots(output.rgb) - colour).abs().mean(2)
    tint = (error * heavy).sum() / heavy.sum().clamp_min(1)

    held = torch.zeros_like(output.presence).scatter_add_(1, index, there).clamp_max(1)
    presence = F.binary_cross_entropy_with_logits(output.presence, held, reduction="none")
    presence = (presence * batch.slots).sum() / batch.slots.sum()

    depth = of_slots(output.depth[..., None])[..., 0]
    nearer = depth[:, None, :] - depth[:, :, None]
    touching = torch.einsum("bmhw,bnhw->bmn", alpha, alpha) / alpha[0, 0].numel()
    pairs = torch.triu(there[:, :, None] * there[:, None, :] * (touching > 2e-3), diagonal=1)
    pairs[:, 0] = 0
    order = (F.softplus(-nearer) * pairs).sum() / pairs.sum().clamp_min(1)

    loss = cross + dice + 0.5 * draft + 0.5 * cover + 0.3 * tint + 0.3 * presence + 0.2 * order
    parts = {
        "loss": loss,
        "cross": cross,
        "dice": dice,
        "draft": draft,
        "alpha": cover,
        "rgb": tint,
        "presence": presence,
        "order": order,
    }
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def small_validation(network: Any, batches: list[Batch]) -> dict[str, float]:
    """Mean loss, soft IoU of the matched upper layers' visible weights, and error of the layer count found."""
    losses: list[float] = []
    scores: list[float] = []
    counts: list[float] = []
    for batch in batches:
        losses.append(small_objective(network, batch)[1]["loss"])
        output = _answer(network, batch)
        layers = batch.layers.float() / 255
        seen = F.interpolate(visible_weights(layers[:, :, 3]), size=output.visible.shape[-2:], mode="area")
        slots_of = match(output, seen, batch.truth)
        weights = output.visible.softmax(1)
        for index, count in enumerate(batch.truth.tolist()):
            got, want = weights[index, slots_of[index, 1:count]], seen[index, 1:count]
            overlap = torch.minimum(got, want).sum((-1, -2)) / torch.maximum(got, want).sum((-1, -2)).clamp_min(1e-6)
            scores += overlap.tolist()
        free = torch.ones(len(batch.truth), min(10, network.config.max_layers), dtype=torch.bool)
        found = _answer(network, batch._replace(counts=torch.zeros_like(batch.counts), slots=free)).presence > 0
        counts += (found.sum(1).clamp_min(1) - batch.truth).abs().float().tolist()
    return {
        "loss": sum(losses) / len(losses),
        "iou": sum(scores) / len(scores),
        "count_error": sum(counts) / len(counts),
    }
