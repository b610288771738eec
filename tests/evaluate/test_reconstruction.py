"""An RGBA-VAE measured on three grounds, with networks whose errors are known."""

import numpy as np
import pytest
import torch
from PIL import Image

from lamina.errors import Cancelled, CheckpointError, InputError
from lamina.evaluate import vae_report
from lamina.evaluate.perceptual import Inception, Lpips
from lamina.evaluate.reconstruction import find_pictures, load_vae, reconstruct, vae_scores
from lamina.model import checkpoint
from lamina.model.config import VaeConfig, preset
from lamina.model.vae import Vae

CONFIG = preset("tiny").vae


class Through(Vae):
    """Gives back what `change` makes of the picture, without any network."""

    def __init__(self, change=lambda x: x):
        super().__init__(CONFIG)
        self.change, self.seen = change, []

    def encode(self, images):
        self.seen.append(images)
        return images

    def decode(self, latents):
        return self.change(latents)


def save(path, colour=(0, 0, 0, 255), size=(40, 33)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", size, colour).save(path)
    return path.name, path


def all_grounds(value):
    return {ground: pytest.approx(value) for ground in ("black", "grey", "white")}


def halve_alpha(x):
    return torch.cat([x[:, :3], x[:, 3:] / 2 - 0.5], 1)


def test_a_perfect_copy_has_the_best_figures_and_absent_weights_are_said(tmp_path):
    measured = vae_scores(Through(), [save(tmp_path / "a.png", (10, 200, 30, 90))], side=512)
    (row,) = measured.rows
    assert (row.psnr, row.ssim, row.lpips) == (all_grounds(100.0), all_grounds(1.0), None)
    assert (measured.mean["lpips"], measured.mean["rfid"]) == (None, None)
    assert [note.split(" is absent")[0] for note in measured.notes] == ["rFID", "LPIPS"]
    assert "rFID is absent" in vae_report.table(measured)


def test_lost_alpha_shows_on_the_grounds_it_lets_through(tmp_path):
    measured = vae_scores(Through(halve_alpha), [save(tmp_path / "black.png")], side=512)
    (row,) = measured.rows
    assert row.psnr["black"] == 100.0
    assert row.ssim["black"] == pytest.approx(1.0)
    assert row.psnr["white"] == pytest.approx(20 * np.log10(2), abs=0.05)  # 128 of 255 comes through
    assert row.psnr["grey"] == pytest.approx(20 * np.log10(4), abs=0.1)
    assert row.ssim["white"] < row.ssim["grey"] < 0.1
    assert measured.mean["psnr"] == row.psnr


def test_colour_under_alpha_0_is_defined_and_sides_are_padded_and_cut(tmp_path):
    rgba = np.zeros((33, 41, 4), np.uint8)
    rgba[:, :20] = (255, 0, 0, 255)
    vae = Through()
    copy = reconstruct(vae, rgba)
    assert copy.shape == rgba.shape
    (seen,) = vae.seen
    assert seen.shape == (1, 4, 36, 44)
    assert torch.equal(seen[0, :3, :, -1], torch.tensor([[1.0], [-1.0], [-1.0]]).expand(3, 36))
    assert (seen[0, 3, :, -1] == -1).all()


def test_large_pictures_are_reduced_and_unusable_ones_set_aside(tmp_path):
    pictures = [save(tmp_path / "large.png", size=(400, 200)), save(tmp_path / "small.png", size=(31, 60))]
    (tmp_path / "broken.png").write_text("no picture")
    measured = vae_scores(Through(), [*pictures, ("broken.png", tmp_path / "broken.png")], side=64)
    assert [(row.name, row.width, row.height) for row in measured.rows] == [("large.png", 64, 32)]
    assert set(measured.unusable) == {"small.png", "broken.png"}
    with pytest.raises(InputError, match="no picture can be measured"):
        vae_scores(Through(), pictures[1:], side=64)


class MeanColours(Inception):
    """Mean colours as features."""

    def __init__(self):
        pass

    def __call__(self, pictures_bchw_01):
        return pictures_bchw_01.mean((2, 3)).double().numpy()


class Differences(Lpips):
    """The mean difference as distance."""

    def __init__(self):
        pass

    def __call__(self, one_bchw_11, other_bchw_11):
        return [float(value) for value in (one_bchw_11 - other_bchw_11).abs().mean((1, 2, 3))]


def test_lpips_and_rfid_are_taken_over_every_ground(tmp_path):
    lpips, inception = Differences(), MeanColours()
    pictures = [save(tmp_path / "a.png", (0, 0, 0, 255)), save(tmp_path / "b.png", (0, 0, 0, 255))]
    measured = vae_scores(Through(halve_alpha), pictures, side=512, lpips=lpips, inception=inception)
    half = 127 / 255  # 128 of 255 of the alpha is left
    assert measured.rows[0].lpips == {
        "black": 0.0,
        "grey": pytest.approx(64 / 255 * 2, abs=0.005),
        "white": pytest.approx(half * 2, abs=0.005),
    }
    rfid = measured.mean["rfid"]
    assert rfid["black"] == pytest.approx(0.0, abs=1e-9)
    assert rfid["white"] == pytest.approx(3 * half**2, abs=0.01)
    assert [note for note in measured.notes if "biased" in note]
    one = vae_scores(Through(), pictures[:1], side=512, lpips=lpips, inception=inception)
    assert one.mean["rfid"] is None
    assert "two or more" in one.notes[0]


def test_reports_are_worst_first(tmp_path):
    pictures = [save(tmp_path / "black.png"), save(tmp_path / "white.png", (255, 255, 255, 255))]
    measured = vae_scores(Through(lambda x: x * 0.5 + 0.5), pictures, side=512)
    lines = vae_report.table(measured).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["picture", "black.png", "white.png", "mean"]
    assert [row["name"] for row in vae_report.to_json(measured, {})["pictures"]] == ["black.png", "white.png"]
    page = vae_report.to_html(measured, {"vae": "x"}, {"black.png": "<i>B</i>", "white.png": "<i>W</i>"})
    assert page.index("<i>B</i>") < page.index("<i>W</i>")


def test_pictures_are_found_at_any_depth_and_a_stop_stops(tmp_path):
    for name in ("b.png", "deep/er/a.webp", "c.txt.png"):
        save(tmp_path / name)
    (tmp_path / "words.txt").write_text("no")
    assert [p.relative_to(tmp_path).as_posix() for p in find_pictures(tmp_path)] == [
        "b.png",
        "c.txt.png",
        "deep/er/a.webp",
    ]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        find_pictures(tmp_path / "none")

    def stop(done, total):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        vae_scores(Through(), [save(tmp_path / "b.png")], side=64, on_step=stop)


def test_only_an_rgba_vae_is_loaded(tmp_path):
    torch.manual_seed(0)
    vae = Vae(CONFIG)
    checkpoint.save(tmp_path / "vae.safetensors", vae.state_dict(), CONFIG, kind="vae")
    loaded = load_vae(tmp_path / "vae.safetensors", torch.device("cpu"))
    x = torch.rand(1, 4, 16, 16)
    assert torch.equal(loaded.encode(x), vae.eval().encode(x))
    rgb = VaeConfig(image_channels=3, width=8, multipliers=(1, 2), res_blocks=1)
    checkpoint.save(tmp_path / "rgb.safetensors", Vae(rgb).state_dict(), rgb, kind="vae")
    with pytest.raises(CheckpointError, match="3 channels, expected 4"):
        load_vae(tmp_path / "rgb.safetensors", torch.device("cpu"))
