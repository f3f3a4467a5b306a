"""FID: the distance against scipy and torch-fidelity, the features, and evaluations that share the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hydra.utils import instantiate
from omegaconf import DictConfig
from scipy import linalg
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.config.compose import compose_config
from inpaintlab.errors import UserError
from inpaintlab.evaluation.evaluator import evaluate_pairs
from inpaintlab.metrics import fid
from inpaintlab.networks.generator import InpaintingGenerator

Compose = Callable[..., DictConfig]


class Tiny(nn.Module):
    """A few features of 8-bit pictures; those of one picture do not depend on the others of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.origin = "a test's network"
        self.seen = 0

    def forward(self, pictures: Tensor) -> Tensor:
        assert pictures.dtype == torch.uint8
        self.seen += len(pictures)
        x = pictures.double() / 255
        edges = (x[..., 1:] - x[..., :-1]).abs()
        rows = [torch.cat([p.mean((1, 2)), p.var((1, 2)), e.mean((1, 2))]) for p, e in zip(x, edges, strict=True)]
        return torch.stack(rows).float()


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return gap + np.trace(ca) + np.trace(cb) - 2 * np.trace(linalg.sqrtm(ca @ cb)).real


def features(count: int, size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) / size**0.5
    return (mixed + rng.normal(size=size)).astype(np.float32)


# ---------------------------------------------------------------------- the distance
@pytest.mark.parametrize(("n", "m", "size"), [(200, 300, 16), (5000, 90, 12), (9000, 8300, 4)])
def test_distance_equals_its_definition(n: int, m: int, size: int) -> None:
    a, b = features(n, size, 0), features(m, size, 1)
    assert fid.frechet(a, b) == pytest.approx(by_definition(a, b), rel=1e-9)
    assert fid.frechet(a, b) == pytest.approx(fid.frechet(b, a), rel=1e-12)


def test_distance_of_one_dimension_by_hand() -> None:
    a, b = np.array([[0.0], [2.0]], np.float32), np.array([[1.0], [7.0]], np.float32)
    assert fid.frechet(a, b) == pytest.approx(3**2 + (2**0.5 - 18**0.5) ** 2)  # means 1 and 4, variances 2 and 18


def test_fewer_pictures_than_features_lose_no_digits() -> None:
    """The same set moved by a constant; eigenvalues of a product of covariances give 1e-4 of noise here."""
    a = (np.round(features(20, 300, 0) * 1024) / 1024).astype(np.float32)
    shift = np.zeros(300, np.float32)
    shift[0] = 0.25
    assert fid.frechet(a, a) < 1e-9
    assert fid.frechet(a, a + shift) == pytest.approx(0.25**2, rel=1e-9)
    with pytest.raises(UserError, match="at least 2 pictures in each bin, got 1 and 20"):
        fid.frechet(a[:1], a)


def test_distance_equals_torch_fidelity() -> None:
    metric = pytest.importorskip("torch_fidelity.metric_fid")
    a, b = features(400, 64, 0), features(500, 64, 1)
    statistics = [metric.fid_features_to_statistics(torch.from_numpy(x).double()) for x in (a, b)]
    expected = metric.fid_statistics_to_metric(*statistics, False)[metric.KEY_METRIC_FID]
    assert fid.frechet(a, b) == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------------- features
def test_a_truth_with_several_holes_is_seen_once() -> None:
    network = Tiny()
    extract = fid.Features(network)
    truths = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)[[0, 0, 1]]
    results = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    found = extract(["a", "a", "b"], truths, results)
    assert network.seen == 3 + 2
    assert torch.equal(found, torch.stack([network(truths), network(results)], 1))
    again = extract(["b", "c"], truths[1:].flip(0), results[:2])
    assert torch.equal(again[0, 0], found[2, 0])
    assert torch.equal(again[1, 0], found[0, 0])


# ---------------------------------------------------------------------- evaluations
class Grey(InpaintingGenerator):
    """Predicts mid-grey."""

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        return Output(torch.full_like(image, 0.5))


def test_evaluation_gives_the_distance_per_bin_and_of_all(compose: Compose) -> None:
    pairs = instantiate(compose().data, _convert_="all").pairs()
    plain = evaluate_pairs(Grey(), pairs).means()
    means = evaluate_pairs(Grey(), pairs, extractors={"fid": Tiny()}).means()
    network, of = Tiny(), {}
    for number in range(len(pairs)):
        truth, hole, _, bin = pairs.load(number)
        both = np.stack([truth, np.where(hole[..., None] > 0, np.uint8(128), truth)]).transpose(0, 3, 1, 2)
        of.setdefault(bin, []).append(network(torch.from_numpy(both)).numpy())
    of["all"] = [pair for bin in pairs.bins for pair in of[bin]]
    for bin, rows in of.items():
        a, b = np.stack(rows).swapaxes(0, 1)
        assert means[bin].pop("fid") == pytest.approx(by_definition(a, b), abs=1e-6)
    assert means == plain  # nothing else changes


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 7}, {"workers": 2}])
def test_distance_does_not_depend_on_how_it_is_computed(compose: Compose, options: dict[str, int]) -> None:
    pairs = instantiate(compose().data, _convert_="all").pairs()
    base = evaluate_pairs(Grey(), pairs, extractors={"fid": Tiny()})
    assert evaluate_pairs(Grey(), pairs, extractors={"fid": Tiny()}, **options).means() == base.means()


def _share(rank: int, where: str, overrides: list[str], expected: dict[str, dict[str, float]]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=2)
    pairs = instantiate(compose_config(overrides).data, _convert_="all").pairs()
    options = {"protocol": ["standard", "lbam"], "extractors": {"fid": Tiny(), "other": Tiny()}}
    shared = evaluate_pairs(Grey(), pairs, **options, rank=rank, world=2)
    assert shared.means() == expected
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_exactly_what_one_gives(tiny: list[str], tmp_path: Path) -> None:
    overrides = ["experiment=msanet_places2_mum", *tiny]
    pairs = instantiate(compose_config(overrides).data, _convert_="all").pairs()
    options = {"protocol": ["standard", "lbam"], "extractors": {"fid": Tiny(), "other": Tiny()}}
    alone = evaluate_pairs(Grey(), pairs, **options).means()
    assert {"psnr", "lbam/psnr", "fid", "other"} < set(alone["all"])
    assert alone["all"]["other"] == alone["all"]["fid"]
    torch.multiprocessing.spawn(_share, (str(tmp_path / "meeting"), overrides, alone), nprocs=2)
