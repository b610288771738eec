"""Regions keep the picture's edges; their votes find owners for what is smaller than a cell of the network."""

import cv2
import numpy as np

from lamina.decompose.regions import part_where_sure, segment, vote


def ring_picture():
    """A dark ring, thinner than the network's cells, on a bright ground; and where the ring is."""
    picture = np.full((160, 160, 3), (230, 220, 190), np.uint8)
    ring = np.zeros((160, 160), np.uint8)
    cv2.circle(ring, (80, 80), 14, 255, 4)
    picture[ring > 0] = (30, 30, 90)
    return picture, ring > 0


def blurred_weights(mask, cells=16):
    height, width = mask.shape
    small = cv2.resize(mask.astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA)
    weight = cv2.resize(cv2.GaussianBlur(small, (0, 0), 0.7), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.stack([1 - weight, weight])


def test_regions_do_not_cross_a_strong_edge():
    picture, ring = ring_picture()
    regions = segment(picture)
    area = np.bincount(regions.ravel())
    dark = np.bincount(regions.ravel(), ring.ravel())
    assert np.minimum(dark, area - dark).sum() < 0.04 * ring.sum()


def test_regions_are_numbered_without_gaps():
    rng = np.random.default_rng(0)
    for picture in (rng.integers(0, 256, (40, 50, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)):
        regions = segment(picture)
        assert np.array_equal(np.unique(regions), np.arange(regions.max() + 1))


def test_thin_strokes_and_what_they_enclose_find_their_owners():
    picture, ring = ring_picture()
    weights = blurred_weights(ring)
    assert (weights[1][ring] < 0.5).mean() > 0.5, "the bare weights would miss most of the ring"
    regions = segment(picture)
    votes = vote(regions, picture, weights)
    assert np.allclose(votes.sum(axis=0), 1, atol=1e-4)
    found = votes.argmax(axis=0)[regions] == 1
    assert (found & ring).sum() > 0.95 * (found | ring).sum()
    assert not found[75:85, 75:85].any()


def test_a_region_that_a_blurred_edge_ran_together_is_parted_where_the_weights_are_sure():
    blurred = np.full((160, 160, 3), (40, 90, 60), np.uint8)
    disc = np.zeros((160, 160), np.uint8)
    cv2.circle(disc, (80, 80), 30, 255, -1)
    blurred[disc > 0] = (210, 60, 40)
    picture = cv2.GaussianBlur(blurred, (0, 0), 16)
    thing = disc > 0
    regions = np.zeros((160, 160), np.int32)  # all one, as a watershed finds where no edge is
    sure = np.where(thing, 0.8, 0.1).astype(np.float32)
    parted = part_where_sure(regions, np.stack([1 - sure, sure]))
    assert len(np.unique(parted[thing])) == len(np.unique(parted[~thing])) == 1
    assert parted[80, 80] != parted[0, 0]
    votes = vote(parted, picture, np.stack([1 - sure, sure]))
    assert (votes.argmax(axis=0)[parted] == thing).all()
    unsure = np.where(thing, 0.55, 0.1).astype(np.float32)
    small = np.zeros((160, 160), np.float32)
    small[:4, :4] = 0.9  # a speck
    for weight in (unsure, small):
        assert not part_where_sure(regions, np.stack([1 - weight, weight])).any()
