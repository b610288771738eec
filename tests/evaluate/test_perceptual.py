"""LPIPS and FID on small random networks in the files' own layout, against the same networks built of modules."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.linalg import sqrtm
from torch import nn

from lamina.errors import CheckpointError
from lamina.evaluate.perceptual import Inception, Lpips, frechet, read_weights

RELU, ALEX_POOL, VGG_POOL = nn.ReLU, lambda: nn.MaxPool2d(3, 2), lambda: nn.MaxPool2d(2, 2)


def alexnet():
    """torchvision's order of parts, an eighth of its widths."""
    first, second = nn.Conv2d(3, 8, 11, 4, 2), nn.Conv2d(8, 24, 5, padding=2)
    rest = [nn.Conv2d(a, b, 3, padding=1) for a, b in ((24, 48), (48, 32), (32, 32))]
    parts = [first, RELU(), ALEX_POOL(), second, RELU(), ALEX_POOL(), rest[0], RELU(), rest[1], RELU(), rest[2], RELU()]
    return nn.Sequential(*parts), (1, 4, 7, 9, 11)


def vgg16():
    parts, before = [], 3
    for width in (4, 4, 0, 8, 8, 0, 12, 12, 12, 0, 16, 16, 16, 0, 16, 16, 16):
        parts += [nn.Conv2d(before, width, 3, padding=1), RELU()] if width else [VGG_POOL()]
        before = width or before
    return nn.Sequential(*parts), (3, 8, 15, 22, 29)


def weights_of(network, read):
    state = {f"features.{name}": tensor for name, tensor in network.state_dict().items()}
    widths = [network[i - 1].out_channels for i in read]
    return state, {f"lin{k}.model.1.weight": torch.rand(1, width, 1, 1) for k, width in enumerate(widths)}


@pytest.mark.parametrize(("build", "name"), [(alexnet, "alexnet"), (vgg16, "vgg16")])
def test_lpips_reads_the_features_it_should_and_weighs_their_distance(build, name):
    torch.manual_seed(1)
    network, read = build()
    state, linear = weights_of(network, read)
    one, other = torch.rand(2, 2, 3, 70, 64) * 2 - 1
    lpips = Lpips({**state, "classifier.6.bias": torch.zeros(3)}, linear)
    assert lpips.name == name
    shift = torch.tensor([-0.03, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.45])[:, None, None]
    expected = torch.zeros(2)
    ours, theirs = (one - shift) / scale, (other - shift) / scale
    with torch.no_grad():
        for i, part in enumerate(network):
            ours, theirs = part(ours), part(theirs)
            if i in read:
                a, b = (x / x.norm(dim=1, keepdim=True).clamp_min(1e-9) for x in (ours, theirs))
                weight = linear[f"lin{read.index(i)}.model.1.weight"]
                expected += (weight * (a - b) ** 2).sum(1).mean((1, 2))
    assert lpips(one, other) == pytest.approx(expected.tolist(), rel=1e-4)
    assert min(expected) > 0.01
    assert lpips(one, one) == [0.0, 0.0]


class Conv(nn.Module):
    def __init__(self, inside, outside, size, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=0.001)
        nn.init.uniform_(self.bn.weight, 0.8, 2.0)
        nn.init.uniform_(self.bn.bias, -0.2, 0.2)
        nn.init.uniform_(self.bn.running_mean, -0.1, 0.1)
        nn.init.uniform_(self.bn.running_var, 0.5, 1.5)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Named convolutions; `outs` says which chains of them are put side by side."""

    def __init__(self, inside, chains, pool):
        super().__init__()
        self.chains, self.pool = chains, pool
        for chain in chains:
            before = inside
            for name, width, size, padding, stride in chain:
                if name not in self._modules:
                    self.add_module(name, Conv(before, width, size, stride, padding))
                before = width
        if pool != "halve":
            self.branch_pool = Conv(inside, W, 1)

    def forward(self, x):
        outs = []
        for chain in self.chains:
            y = x
            for name, *_ in chain:
                y = self._modules[name](y)
            outs.append(y)
        pooled = {
            "mean": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
            "max": nn.MaxPool2d(3, 1, 1),
            "halve": nn.MaxPool2d(3, 2),
        }[self.pool](x)
        return torch.cat([*outs, pooled if self.pool == "halve" else self.branch_pool(pooled)], 1)


W = 4  # channels of every convolution
K3, K17, K71, K13, K31 = (3, 1), ((1, 7), (0, 3)), ((7, 1), (3, 0)), ((1, 3), (0, 1)), ((3, 1), (1, 0))


def part(name, kernel=(1, 0), stride=1):
    return (name, W, *kernel, stride)


def a_block(inside):
    return Block(
        inside,
        [
            [part("branch1x1")],
            [part("branch5x5_1"), part("branch5x5_2", (5, 2))],
            [part("branch3x3dbl_1"), part("branch3x3dbl_2", K3), part("branch3x3dbl_3", K3)],
        ],
        "mean",
    )


def b_block(inside):
    double = [part("branch3x3dbl_1"), part("branch3x3dbl_2", K3), part("branch3x3dbl_3", (3, 0), 2)]
    return Block(inside, [[part("branch3x3", (3, 0), 2)], double], "halve")


def c_block(inside):
    single = [part("branch7x7_1"), part("branch7x7_2", K17), part("branch7x7_3", K71)]
    double = [part(f"branch7x7dbl_{k}", kernel) for k, kernel in enumerate(((1, 0), K71, K17, K71, K17), 1)]
    return Block(inside, [[part("branch1x1")], single, double], "mean")


def d_block(inside):
    seven = [part("branch7x7x3_1"), part("branch7x7x3_2", K17), part("branch7x7x3_3", K71)]
    last = part("branch7x7x3_4", (3, 0), 2)
    return Block(inside, [[part("branch3x3_1"), part("branch3x3_2", (3, 0), 2)], [*seven, last]], "halve")


def e_block(inside, pool):
    single, double = [part("branch3x3_1")], [part("branch3x3dbl_1"), part("branch3x3dbl_2", K3)]
    chains = [[part("branch1x1")], [*single, part("branch3x3_2a", K13)], [*single, part("branch3x3_2b", K31)]]
    chains += [[*double, part("branch3x3dbl_3a", K13)], [*double, part("branch3x3dbl_3b", K31)]]
    return Block(inside, chains, pool)


class SmallInception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, W, 3, 2)
        self.Conv2d_2a_3x3 = Conv(W, W, 3)
        self.Conv2d_2b_3x3 = Conv(W, W, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(W, W, 1)
        self.Conv2d_4a_3x3 = Conv(W, W, 3)
        wide = 4 * W
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = a_block(W), a_block(wide), a_block(wide)
        self.Mixed_6a = b_block(wide)
        self.Mixed_6b, self.Mixed_6c = c_block(wide + 2 * W), c_block(wide)
        self.Mixed_6d, self.Mixed_6e = c_block(wide), c_block(wide)
        self.Mixed_7a = d_block(wide)
        self.Mixed_7b, self.Mixed_7c = e_block(wide + 2 * W, "mean"), e_block(6 * W, "max")
        self.pools = nn.ModuleDict({"Conv2d_2b_3x3": nn.MaxPool2d(3, 2), "Conv2d_4a_3x3": nn.MaxPool2d(3, 2)})

    def forward(self, x):
        for name, module in self.named_children():
            if name != "pools":
                x = module(x)
            if name in self.pools:
                x = self.pools[name](x)
        return x.mean((2, 3))


def test_inception_is_the_network_of_the_published_layout(tmp_path):
    torch.manual_seed(2)
    network = SmallInception().eval()
    save_file(network.state_dict(), tmp_path / "inception.safetensors")
    pictures = torch.rand(2, 3, 299, 299)
    with torch.no_grad():
        expected = network(2 * pictures - 1).numpy()
    found = Inception(read_weights(tmp_path / "inception.safetensors"))(pictures)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert expected.std() > 1e-3
    smaller = Inception(network.state_dict())(pictures[:, :, ::2, ::3])
    assert smaller.shape == expected.shape


def whitened(count, rng):
    """Samples whose mean is 0 and whose covariance is 1, exactly."""
    raw = rng.normal(size=(count, 3))
    raw -= raw.mean(axis=0)
    return raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T


def test_frechet_distance_of_known_normals():
    rng = np.random.default_rng(4)
    one, other = whitened(40, rng) * [1, 2, 3], whitened(25, rng) * [2, 2, 1] + [0, 3, 4]
    assert frechet(one, other) == pytest.approx(1 + 0 + 4 + 25)
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(30, 50), (4, 50), (3, 4)])
def test_frechet_distance_is_that_of_the_matrix_root(n, m):
    rng = np.random.default_rng(n)
    one, other = rng.normal(size=(n, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(m, 6)) + 1
    c1, c2 = np.cov(one.T), np.cov(other.T)
    root = np.real(np.sqrt(np.linalg.eigvals(c1 @ c2).astype(complex))).sum()
    if min(n, m) > 6:
        assert root == pytest.approx(np.trace(sqrtm(c1 @ c2)).real, rel=1e-5)
    shift = np.square(one.mean(0) - other.mean(0)).sum()
    assert frechet(one, other) == pytest.approx(shift + np.trace(c1) + np.trace(c2) - 2 * root, rel=1e-5)


def test_one_sample_has_no_covariance():
    with pytest.raises(ValueError, match="two or more"):
        frechet(np.zeros((1, 3)), np.zeros((5, 3)))


def test_weights_come_from_safetensors_and_nothing_is_ever_unpickled(tmp_path, monkeypatch):
    state = {"a": torch.ones(2)}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    assert torch.equal(read_weights(tmp_path / "w.safetensors")["a"], torch.ones(2))
    with pytest.raises(CheckpointError, match=r"make one of a \.pth"):
        read_weights(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="is no file"):
        read_weights(tmp_path / "nowhere.safetensors")


def test_the_conversion_that_the_message_gives_works(tmp_path, monkeypatch):
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        read_weights(tmp_path / "w.pth")
    code = str(caught.value).split(' -c "')[1].split('" IN.pth')[0]
    monkeypatch.setattr("sys.argv", ["-c", str(tmp_path / "w.pth"), str(tmp_path / "w.safetensors")])
    exec(code, {})
    assert torch.equal(read_weights(tmp_path / "w.safetensors")["a"], torch.ones(2))


def test_weights_of_something_else_are_refused_in_words():
    network, read = alexnet()
    state, linear = weights_of(network, read)
    with pytest.raises(CheckpointError, match=r"the first is features\.0\.weight"):
        Lpips(linear, linear)
    with pytest.raises(CheckpointError, match="the linear weights are for features of"):
        Lpips(state, weights_of(*vgg16())[1])
    with pytest.raises(CheckpointError, match=r"Inception.*the first is Conv2d_1a_3x3\.conv\.weight"):
        Inception(state)
