"""The released architecture with random weights: Lamina beside diffusers, in one run.

    python benchmarks/released_model.py                          # this computer's CPU, a mid-size configuration
    python benchmarks/released_model.py --full --device cuda     # a GPU, the 20 B architecture, every case of CASES

Every measurement is a new process that makes the same random weights, warms up with the kinds of step that the case
has, samples one image and decodes it: seconds a step (the mean of all but the first), seconds an image (encoding,
sampling, decoding), seconds of the table of the modulations, which is kept for further images and not a part of these,
seconds of decoding alone, peak memory (on CUDA of tensors, and as reserved). With --full an image has the steps of its
preset and theirs 50, else all have 2; --steps says otherwise, and every line says them. With --full also the share of
the floor: the time that the multiplications of all blocks alone take at --gemm and --attention TFLOP/s, for the prompts
that a step has; steps taken over are not left out of it. Text is random too: encoders are not measured. Ratios are
theirs over ours; above 1, ours is better. Random weights say nothing about quality, so how far the presets deviate is a
matter of mechanism only; how often steps are taken over depends on the weights, and so does what that saves. With
--fused also `exact` with queries, keys and values in one product and in three, as a ratio of their steps; on a device
of CUDA that is a part of --full.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import zlib
from dataclasses import asdict, dataclass, replace
from statistics import mean, median
from typing import Any

import torch

from lamina.model.config import MMDiTConfig, ModelConfig, preset
from lamina.model.denoise import Denoiser, Text, tabled_network
from lamina.model.flow import Schedule
from lamina.model.layouts import Released, transformer_shapes
from lamina.model.pace import PACES
from lamina.model.placing import placed
from lamina.model.plans import choose_plan
from lamina.model.quantize import computes_fp8
from lamina.model.released import ReleasedModel, draw_noise, load_vae
from lamina.model.vae import published_shapes
from lamina.model.weights import Lazy

_DECODES = 5
"""Times that decoding is measured; the median counts."""

_QUICK = 2
"""Steps where the whole image is not what is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One measurement."""

    who: str
    """ours, theirs."""
    side: int = 640
    layers: int = 2
    steps: int = 2
    width: int = 256
    depth: int = 4
    device: str = "cpu"
    preset: str = "exact"
    memory: float = 0.0
    """Gigabytes of the plan; 0 is all on the device."""
    vae_width: int = 16
    """Of the VAE in the image; decoding alone is always measured with the published one."""
    decode_side: int = 128
    fused: bool | None = None
    """Queries, keys and values in one product; None as the device has it."""
    compiled: bool | None = None
    """Blocks compiled; None as the device has it."""

    @property
    def config(self) -> ModelConfig:
        """The transformer and VAE of these widths, heads of 128."""
        published = preset("published")
        mmdit = MMDiTConfig(depth=self.depth, heads=self.width // 128)
        return replace(published, vae=replace(published.vae, width=self.vae_width), mmdit=mmdit)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.device == "cpu" else torch.bfloat16


def main() -> None:
    """Measure and print; --case JSON is the part that runs in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--full", action="store_true", help="The 20 B architecture, at 640 and 1024, 4 and 8 layers.")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--steps", type=int, help="Of every image; without it as said above.")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--memory", type=float, action="append", default=[], help="Also plans of so many GB (CUDA).")
    parser.add_argument("--fused", action="store_true", help="Also one product for queries, keys and values.")
    parser.add_argument("--gemm", type=float, default=790.0, help="TFLOP/s of the device's bfloat16 products.")
    parser.add_argument("--attention", type=float, default=650.0, help="TFLOP/s of its attention.")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measured(Case(**json.loads(args.case)))))
        return
    base = Case(who="ours", device=args.device, width=args.width, depth=args.depth, layers=args.layers)
    places = [(640, args.layers)]
    if args.full:
        base = replace(base, width=3072, depth=60, vae_width=96, decode_side=640)
        places = [(side, n) for side in (640, 1024) for n in (4, 8)]
    for side, layers in places:
        case = replace(base, side=side, layers=layers, steps=steps_of("exact", args.steps, args.full))
        theirs = told(replace(case, who="theirs"))
        kinds = [replace(case, preset=kind, steps=steps_of(kind, args.steps, args.full)) for kind in PACES]
        kinds += [replace(case, memory=memory) for memory in args.memory]
        for one in kinds:
            ours = told(one)
            steps = {"ours": one.steps, "theirs": case.steps}
            line: dict[str, Any] = {"case": asdict(one), "steps": steps, "ours": ours, "theirs": theirs}
            if "error" not in ours and "error" not in theirs:
                line["ratio"] = {name: round(theirs[name] / ours[name], 2) for name in ours if name in theirs}
            if args.full and "error" not in ours:
                line["share of floor"] = round(floor(one, args.gemm, args.attention) / ours["step_s"], 3)
            print(json.dumps(line), flush=True)
        if args.fused or (args.full and args.device == "cuda"):
            few = min(case.steps, 5)
            one, three = (told(replace(case, fused=fused, steps=few)) for fused in (True, False))
            line = {"case": asdict(replace(case, steps=few)), "one product": one, "three products": three}
            if "error" not in one and "error" not in three:
                line["three over one"] = {name: round(three[name] / one[name], 3) for name in one}
            print(json.dumps(line), flush=True)


def told(case: Case) -> dict[str, Any]:
    """What a process of its own measured; its last words where it failed."""
    ran = subprocess.run(
        [sys.executable, __file__, "--case", json.dumps(asdict(case))], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        return {"error": (ran.stderr.strip().splitlines() or ["no words"])[-1]}
    return json.loads(ran.stdout.strip().splitlines()[-1])


def steps_of(kind: str, asked: int | None, full: bool) -> int:
    """Steps of an image of a preset."""
    return asked or (PACES[kind].steps if full else _QUICK)  # type: ignore[index]


def prompts(case: Case, steps: int | None = None) -> list[int]:
    """How many prompts each step computes: 2 where it is guided."""
    pace, count = PACES[case.preset], steps or case.steps  # type: ignore[index]
    times = Schedule().timesteps(count, (case.side // 16) ** 2)[:-1]
    theirs = case.who == "theirs"
    return [2 if theirs or (pace.guidance != 1 and pace.guides_at(float(t))) else 1 for t in times]


def warm_steps(case: Case) -> int:
    """The fewest steps that have every kind of step of the case."""
    kinds = set(prompts(case))
    return next(count for count in range(1, case.steps + 1) if set(prompts(case, count)) >= kinds)


def measured(case: Case) -> dict[str, float]:
    """Seconds and gigabytes of one image; a shorter run first, to warm up."""
    made = ours(case) if case.who == "ours" else theirs(case)
    image, decode, times = made["image"], made["decode"], made["times"]
    image(warm_steps(case))
    done(case)
    start = time.perf_counter()
    if "table" in made:
        made["table"]()
        done(case)
    tabled = time.perf_counter() - start
    if case.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times.clear()
    start = time.perf_counter()
    image(case.steps)
    done(case)
    whole = time.perf_counter() - start
    peaks = {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
    if case.device == "cuda":
        peaks = {
            "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
            "reserved_gb": torch.cuda.max_memory_reserved() / 1e9,
        }
    decoding: list[float] = []
    for _ in range(1 + _DECODES):
        start = time.perf_counter()
        decode()
        done(case)
        decoding.append(time.perf_counter() - start)
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else whole
    found = {"step_s": round(step, 3), "image_s": round(whole, 3), "decode_s": round(median(decoding[1:]), 3)}
    if "table" in made:
        found["table_s"] = round(tabled, 3)
    return found | {name: round(peak, 2) for name, peak in peaks.items()}


def done(case: Case) -> None:
    """Wait for the device."""
    if case.device == "cuda":
        torch.cuda.synchronize()


def numbers(name: str, shape: tuple[int, ...], case: Case) -> torch.Tensor:
    """Random weights, the same for both; norms' gains about 1."""
    place = torch.Generator(case.device).manual_seed(zlib.crc32(name.encode()))
    drawn = torch.randn(shape, generator=place, device=case.device, dtype=torch.float32)
    fan = max(1, int(torch.Size(shape[1:]).numel()))
    gain = name.endswith(".gamma") or ("norm" in name and name.endswith(".weight") and len(shape) == 1)
    return (1 + 0.05 * drawn if gain else drawn * fan**-0.5 * 0.7).to(case.dtype)


def weights(shapes: dict[str, tuple[int, ...]], case: Case) -> dict[str, Lazy]:
    """Made when read."""
    return {n: Lazy(s, lambda n=n, s=s: numbers(n, s, case).to("cpu")) for n, s in shapes.items()}


def texts(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """A caption of 200 tokens and the empty prompt's 6."""
    place, width = torch.Generator().manual_seed(1), case.config.mmdit.text_width
    prompt, bare = (torch.randn(1, length, width, generator=place).to(case.dtype) for length in (200, 6))
    return prompt, bare


def ours(case: Case) -> dict[str, Any]:
    """Lamina."""
    config, device = case.config, torch.device(case.device)
    # The same random numbers serve for every tensor's reading, as a file's would.
    released = Released(
        name="random", config=config, schedule=Schedule(), folder=None,  # type: ignore[arg-type]
        transformer=weights(transformer_shapes(config.mmdit), case), vae=weights(published_shapes(config.vae), case),
    )  # fmt: skip
    network = tabled_network(config.mmdit, released.transformer, case.dtype)
    for name, part in network.named_children():
        if name != "transformer_blocks":
            part.to(device)
    modules = list(network.transformer_blocks)
    free = torch.cuda.mem_get_info()[0] if case.device == "cuda" else 1e15
    budget = min(free, case.memory * 1e9) if case.memory else free
    tokens = (case.side // 16) ** 2
    words = {"preset": case.preset, "fp8": computes_fp8(device)}
    plan = choose_plan(budget, config, tokens=tokens, layers=case.layers, **words)  # type: ignore[arg-type]
    frames = plan.frames
    pace = PACES[case.preset]  # type: ignore[index]
    blocks = placed(modules, plan, device, fused=case.fused, compiled=case.compiled)
    vae = load_vae(released, device=device, dtype=case.dtype)
    model = ReleasedModel(released, vae, Denoiser(network, blocks), device=device, frames=frames)
    (prompt, bare), times = texts(case), []
    side, channels = case.side // 8, config.vae.latent_channels
    pixels = torch.zeros(1, 4, case.side, case.side)
    whole = vae
    if case.vae_width != 96:
        whole_config = preset("published")
        own = replace(released, config=whole_config, vae=weights(published_shapes(whole_config.vae), case))
        whole = load_vae(own, device=device, dtype=case.dtype)
    latents = torch.randn(case.layers, channels, case.decode_side // 8, case.decode_side // 8).to(device, case.dtype)

    def step(_: int, __: int) -> None:
        done(case)
        times.append(time.perf_counter())

    def image(steps: int) -> None:
        noise = draw_noise([0], (case.layers + 1, channels, side, side))
        model.layers(
            pixels, Text(prompt), Text(bare), count=case.layers, steps=steps, guidance=pace.guidance, noise=noise,
            pace=pace, on_step=step,
        )  # fmt: skip

    def decode() -> None:
        with torch.inference_mode():
            whole.decode(latents)

    def table() -> None:
        model.table(case.steps, tokens)

    return {"image": image, "decode": decode, "times": times, "table": table}


def theirs(case: Case) -> dict[str, Any]:
    """diffusers."""
    import logging

    import diffusers
    from PIL import Image

    logging.getLogger("diffusers").setLevel(logging.ERROR)
    config, device = case.config, torch.device(case.device)
    shape = config.mmdit
    with torch.device("meta"):
        transformer: Any = diffusers.QwenImageTransformer2DModel(
            num_layers=shape.depth, num_attention_heads=shape.heads, use_additional_t_cond=True, use_layer3d_rope=True
        )
        vae: Any = diffusers.AutoencoderKLQwenImage(input_channels=4, base_dim=case.vae_width)
        whole: Any = diffusers.AutoencoderKLQwenImage(input_channels=4)
    for network in (transformer, vae, whole):
        state = {name: numbers(name, tuple(t.shape), case) for name, t in network.state_dict().items()}
        network.load_state_dict(state, assign=True)
        network.eval().requires_grad_(False)
    # Positions are made at once, not stored: those made on the meta device are made again.
    transformer.pos_embed = type(transformer.pos_embed)(theta=10000, axes_dim=[16, 56, 56], scale_rope=True)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, time_shift_type="linear")

    class Encoder(torch.nn.Module):  # the pipeline takes its type and device from an encoder
        dtype = case.dtype

    pipeline: Any = diffusers.QwenImageLayeredPipeline(
        scheduler=scheduler, vae=vae, text_encoder=Encoder(), tokenizer=None, processor=None, transformer=transformer
    )
    pipeline.set_progress_bar_config(disable=True)
    type(pipeline)._execution_device = property(lambda _: device)
    (prompt, bare), times = [text.to(device) for text in texts(case)], []
    picture = Image.new("RGBA", (case.side, case.side))
    small = case.decode_side // 8
    latents = torch.randn(case.layers, config.vae.latent_channels, 1, small, small)
    latents = latents.to(device, case.dtype)

    def step(_pipeline: Any, _step: int, _t: Any, kept: dict[str, Any]) -> dict[str, Any]:
        done(case)
        times.append(time.perf_counter())
        return kept

    def image(steps: int) -> None:
        pipeline(
            picture, prompt=["given"], prompt_embeds=prompt, negative_prompt_embeds=bare, layers=case.layers,
            num_inference_steps=steps, resolution=case.side, cfg_normalize=True, output_type="pt",
            generator=torch.Generator().manual_seed(0), callback_on_step_end=step,
        )  # fmt: skip

    def decode() -> None:
        with torch.inference_mode():
            whole.decode(latents)

    return {"image": image, "decode": decode, "times": times}


def floor(case: Case, gemm: float, attention: float) -> float:
    """Seconds of a step's multiplications alone: the mean of the steps that `step_s` counts, all but the first."""
    width, depth = case.width, case.depth
    visual = (case.side // 16) ** 2 * (case.layers + 2)
    costs: list[float] = []
    for text in (200, 6):
        products = 24 * width**2 * (visual + text) * depth / gemm / 1e12
        costs.append(products + 4 * (visual + text) ** 2 * width * depth / attention / 1e12)
    counts = prompts(case)
    return mean(sum(costs[:count]) for count in counts[1:] or counts)


if __name__ == "__main__":
    main()
