"""`over` and the blend modes, against the formulas of W3C Compositing and Blending Level 1 written out per pixel."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lamina.document.blend import blend, over
from lamina.document.layer import BlendMode

units = st.floats(0, 1, allow_subnormal=False)


@st.composite
def premultiplied(draw):
    pixels = draw(arrays(np.float64, (2, 3, 4), elements=units)).copy()
    pixels[..., :3] *= pixels[..., 3:]
    return pixels


@given(premultiplied(), premultiplied(), premultiplied())
def test_over_is_associative(top, middle, bottom):
    assert np.allclose(over(over(top, middle), bottom), over(top, over(middle, bottom)), rtol=0, atol=1e-12)


@given(premultiplied(), st.sampled_from(BlendMode))
def test_transparent_is_neutral_on_both_sides(pixels, mode):
    nothing = np.zeros_like(pixels)
    assert np.array_equal(blend(nothing, pixels, mode), pixels)
    assert np.allclose(blend(pixels, nothing, mode), pixels, rtol=0, atol=1e-15)


def test_over_with_opaque_source_hides_the_backdrop():
    source = np.ones((1, 1, 4)) * [0.2, 0.4, 0.6, 1.0]
    assert np.array_equal(over(source, np.ones((1, 1, 4))), source)


def lum(c):
    return 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]


def clip_color(c):
    grey, low, high = lum(c), min(c), max(c)
    if low < 0:
        c = [grey + (v - grey) * grey / (grey - low) for v in c]
    if high > 1:
        c = [grey + (v - grey) * (1 - grey) / (high - grey) for v in c]
    return c


def set_lum(c, wanted):
    return clip_color([v + wanted - lum(c) for v in c])


def sat(c):
    return max(c) - min(c)


def set_sat(c, wanted):
    order = sorted(range(3), key=lambda i: c[i])
    out = [0.0, 0.0, 0.0]
    if c[order[2]] > c[order[0]]:
        out[order[1]] = (c[order[1]] - c[order[0]]) * wanted / (c[order[2]] - c[order[0]])
        out[order[2]] = wanted
    return out


def one_channel(mode, cb, cs):
    match mode:
        case "normal":
            return cs
        case "multiply":
            return cb * cs
        case "screen":
            return 1 - (1 - cb) * (1 - cs)
        case "overlay":
            return one_channel("hard-light", cs, cb)
        case "darken":
            return min(cb, cs)
        case "lighten":
            return max(cb, cs)
        case "color-dodge":
            return 0 if cb == 0 else 1 if cs == 1 else min(1, cb / (1 - cs))
        case "color-burn":
            return 1 if cb == 1 else 0 if cs == 0 else 1 - min(1, (1 - cb) / cs)
        case "hard-light":
            return cb * 2 * cs if cs <= 0.5 else one_channel("screen", cb, 2 * cs - 1)
        case "soft-light":
            if cs <= 0.5:
                return cb - (1 - 2 * cs) * cb * (1 - cb)
            curve = ((16 * cb - 12) * cb + 4) * cb if cb <= 0.25 else math.sqrt(cb)
            return cb + (2 * cs - 1) * (curve - cb)
        case "difference":
            return abs(cb - cs)
        case "exclusion":
            return cb + cs - 2 * cb * cs
    raise AssertionError(mode)


def mixed(mode, cb, cs):
    match mode:
        case "hue":
            return set_lum(set_sat(cs, sat(cb)), lum(cb))
        case "saturation":
            return set_lum(set_sat(cb, sat(cs)), lum(cb))
        case "color":
            return set_lum(cs, lum(cb))
        case "luminosity":
            return set_lum(cb, lum(cs))
    return [one_channel(mode, b, s) for b, s in zip(cb, cs, strict=True)]


@pytest.mark.parametrize("mode", BlendMode)
def test_blend_mode_equals_the_w3c_formula(mode):
    rng = np.random.default_rng(0)
    levels = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0]
    colours = [*(list(c) for c in itertools.product(levels, repeat=3)), *rng.random((100, 3)).tolist()]
    alphas = [0.0, 0.3, 1.0]
    cases = [
        (cb, colours[rng.integers(len(colours))], ab, alpha) for cb in colours for ab in alphas for alpha in alphas
    ]
    expected = []
    for cb, cs, ab, alpha in cases:
        formula = mixed(str(mode), cb, cs)
        colour = [
            (1 - alpha) * ab * b + (1 - ab) * alpha * s + alpha * ab * m
            for b, s, m in zip(cb, cs, formula, strict=True)
        ]
        expected.append([*colour, alpha + ab * (1 - alpha)])
    backdrop = np.array([[*(np.array(cb) * ab), ab] for cb, _, ab, _ in cases])[None]
    source = np.array([[*(np.array(cs) * alpha), alpha] for _, cs, _, alpha in cases])[None]
    assert np.abs(blend(source, backdrop, mode)[0] - expected).max() < 1e-9
