import torch

from lamina.model.groundnet import BORDER, REGION, GroundConfig, GroundNet


def graph(seed: int = 0, regions: int = 7, borders: int = 11) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(seed)
    area, rim = torch.rand(2, regions)
    pairs = torch.stack([torch.randint(0, regions, (borders,)) for _ in range(2)])
    return (
        torch.randn(regions, REGION),
        area / area.sum(),
        rim / rim.sum(),
        pairs,
        torch.randn(borders, BORDER),
        torch.rand(2, borders),
    )


def taught() -> GroundNet:
    torch.manual_seed(1)
    net = GroundNet(GroundConfig(width=16)).eval()
    torch.nn.init.normal_(net.answer[1].weight)
    return net


def test_one_that_has_learned_nothing_adds_nothing() -> None:
    net = GroundNet(GroundConfig()).eval()
    with torch.inference_mode():
        assert torch.equal(net(*graph()), torch.zeros(7))


def test_the_order_of_regions_and_the_side_that_a_border_is_seen_from_do_not_matter() -> None:
    net, (region, area, rim, pairs, border, share) = taught(), graph()
    order = torch.randperm(7)
    place = torch.empty(7, dtype=torch.int64)
    place[order] = torch.arange(7)
    with torch.inference_mode():
        answer = net(region, area, rim, pairs, border, share)
        moved = net(region[order], area[order], rim[order], place[pairs], border, share)
        turned = net(region, area, rim, pairs.flip(0), border[:, [1, 0, 2, 3, 4]], share.flip(0))
    assert answer.std() > 0.01
    assert torch.allclose(moved, answer[order], atol=1e-5)
    assert torch.allclose(turned, answer, atol=1e-5)


def test_a_region_hears_its_neighbours() -> None:
    net, (region, area, rim, _, border, share) = taught(), graph(borders=1)
    pairs = torch.tensor([[0], [1]])
    with torch.inference_mode():
        before = net(region, area * 0, rim * 0, pairs, border, share)
        region[1] += 1
        after = net(region, area * 0, rim * 0, pairs, border, share)
    assert (after - before).abs()[[0, 1]].min() > 1e-4
    assert torch.allclose(after[2:], before[2:], atol=1e-6)


def test_what_lies_along_more_of_the_border_is_heard_more() -> None:
    net, (region, area, rim, _, border, _) = taught(), graph(borders=1)
    pairs = torch.tensor([[0], [1]])

    def told(share: float) -> torch.Tensor:
        with torch.inference_mode():
            return net(region, area * 0, rim * 0, pairs, border, torch.tensor([[share], [0.5]]))

    alone, little, much = told(0.0), told(0.2), told(1.0)
    assert (much - alone)[0].abs() > (little - alone)[0].abs() > 0


def test_a_picture_of_one_region_has_no_borders() -> None:
    net, (region, area, rim, *_) = taught(), graph(regions=1)
    none = torch.zeros(2, 0, dtype=torch.int64)
    with torch.inference_mode():
        assert net(region, area, rim, none, torch.zeros(0, BORDER), torch.zeros(2, 0)).shape == (1,)
