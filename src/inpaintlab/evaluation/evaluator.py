"""Run a generator over evaluation pairs and collect the metrics of each, and the features that FID compares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inpaintlab.data.datamodule import to_batch
from inpaintlab.data.pairs import Pair, PairSet, digest
from inpaintlab.data.workers import loader
from inpaintlab.evaluation.ranking import RANKED, bin_means, both_ends
from inpaintlab.image import inpaint, to_uint8
from inpaintlab.metrics import fid, protocols
from inpaintlab.metrics.per_picture import PerPicture
from inpaintlab.networks.generator import InpaintingGenerator

Picture = NDArray[np.uint8]
Kept = tuple[Picture, Picture, Picture]  # truth, hole, result
FeatureExtractor = Callable[[torch.Tensor], torch.Tensor]
TIMED = 9  # pairs whose time is measured


@dataclass
class Evaluation:
    """The metrics of all pairs.

    Args:
        protocol: of the metrics.
        pairs: the manifest.
        rows: the metrics of each pair.
        kept: number of a pair -> (truth, hole, result), 8 bit; for some pairs.
        features: metric, a kind of FID -> the features (pairs, 2, D) of truth and result.
        seconds: per picture, see `seconds_per_picture`; None if they were not measured.
    """

    protocol: protocols.Protocol
    pairs: list[Pair]
    rows: list[dict[str, float]]
    kept: dict[int, Kept] = field(default_factory=dict)
    features: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    seconds: float | None = None

    def means(self) -> dict[str, dict[str, float]]:
        """The numbers of each bin, and under "all" the mean over the bins, as in MSA-Net's Tables 2-5.

        FID compares sets: under "all" it is that of all pairs.
        """
        by_bin: dict[str, list[int]] = {}
        for number, pair in enumerate(self.pairs):
            by_bin.setdefault(pair.bin, []).append(number)
        means = {bin: self.protocol.pool([self.rows[n] for n in numbers]) for bin, numbers in by_bin.items()}
        means["all"] = {k: float(np.mean([m[k] for m in means.values()])) for k in self.protocol.columns}
        for metric, features in self.features.items():
            for bin, values in means.items():
                chosen = features[by_bin.get(bin, slice(None))]
                values[metric] = fid.frechet(chosen[:, 0], chosen[:, 1])
        if self.seconds is not None:
            means = {bin: values | {"seconds": self.seconds} for bin, values in means.items()}
        return means

    def pairs_digest(self) -> str:
        """Equal for equal pictures and holes in the same order."""
        return digest(self.pairs)


@torch.no_grad()
def evaluate_pairs(
    generator: InpaintingGenerator,
    pairs: PairSet,
    *,
    protocol: str | Sequence[str] = "standard",
    more: Mapping[str, protocols.Column] | None = None,
    extractors: Mapping[str, FeatureExtractor] | None = None,
    batch_size: int = 8,
    workers: int = 0,
    keep: int = 0,
    extremes: int = 0,
    device: str | torch.device = "cpu",
    rank: int = 0,
    world: int = 1,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Evaluate a generator in float32 on every pair of `pairs`, once each and in order.

    Args:
        generator: in eval mode, on `device`.
        protocol: name of the metric protocol, or of several; see `protocols.find`.
        more: further metrics, such as LPIPS.
        extractors: metric, a kind of FID -> its features of 8-bit pictures on `device`.
        keep: number of results to keep as pictures, spread evenly over the pairs.
        extremes: number of results to keep besides those, of the best and again of the worst, relative to the mean of
            their bin.
        rank, world: with several processes, each evaluates its share of the pairs and all return all numbers.
        progress: called with the number of pairs that are done and the number of all pairs of this process.
    """
    chosen = protocols.find(protocol)
    chosen = replace(chosen, columns={**chosen.columns, **(more or {})})
    mine = range(rank, len(pairs), world)
    measured = _Measured(chosen, extractors or {}, device, together=world > 1)
    kept = _KeptPictures(pairs.spread(keep), extremes)
    done = 0
    for raw in loader(pairs.chosen(mine), workers, batch_size=batch_size):
        on_device = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in raw.items()}
        batch = to_batch(on_device)
        with torch.autocast(torch.device(device).type, enabled=False):
            filled = inpaint(generator, batch.image, batch.hole)
            results = to_uint8(filled)
            features = measured.features_of(raw["name"], on_device["image"], results)
        arrays = (_arrays(raw["image"]), raw["hole"][:, 0].numpy(), _arrays(results))
        for place, (composite, *pictures) in enumerate(zip(_arrays(filled), *arrays, strict=True)):
            truth, hole, result = pictures
            row = chosen.measure(composite, truth, hole)
            measured.add(mine[done], row, [of_batch[place] for of_batch in features])
            kept.add(mine[done], raw["bin"][place], row.get(RANKED, 0.0), (truth, hole, result))
            done += 1
        progress(done, len(mine))
    rows, features_of_all = measured.rows(), measured.features()
    manifest = [pairs.describe(number) for number in range(len(pairs))]
    return Evaluation(chosen, manifest, rows, kept.pictures(), features_of_all)


@torch.no_grad()
def seconds_per_picture(generator: InpaintingGenerator, pairs: PairSet, device: str | torch.device = "cpu") -> float:
    """Median seconds for one picture at a time, over `TIMED` pairs spread evenly, after one pair to warm up."""
    taken = []
    for number in [0, *pairs.spread(TIMED)]:
        truth, hole, *_ = pairs.load(number)
        image = torch.from_numpy(truth).to(device).permute(2, 0, 1)[None] / 255
        missing = torch.from_numpy(hole).to(device)[None, None].float()
        _wait(device)
        start = time.perf_counter()
        with torch.autocast(torch.device(device).type, enabled=False):
            inpaint(generator, image, missing)
        _wait(device)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def _wait(device: str | torch.device) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


class _Measured:
    """The metrics and features of all pairs, collected pair by pair and gathered from all processes.

    Args:
        protocol: whose columns each pair has.
        extractors: metric, a kind of FID -> its network.
        device: on which the values are kept.
        together: gather from all processes. A process that evaluates alone, as for sample pictures, must not wait for
            the others.
    """

    def __init__(
        self,
        protocol: protocols.Protocol,
        extractors: Mapping[str, FeatureExtractor],
        device: str | torch.device,
        together: bool,
    ) -> None:
        self._columns = list(protocol.columns)
        self._extracts = {metric: fid.Features(network) for metric, network in extractors.items()}
        count = 1 + len(self._extracts)
        self._table, *self._features = (PerPicture(sync_on_compute=together).to(device) for _ in range(count))

    def features_of(self, names: Sequence[str], truths: torch.Tensor, results: torch.Tensor) -> list[torch.Tensor]:
        """The features (N, 2, D) of a batch, for each extractor; see `fid.Features`."""
        return [extract(names, truths, results) for extract in self._extracts.values()]

    def add(self, number: int, row: Mapping[str, float], features: Sequence[torch.Tensor]) -> None:
        """Collect a pair: its metrics, and its features (2, D) for each extractor."""
        values = torch.tensor([row[name] for name in self._columns], dtype=torch.float64)
        self._table.update(number, values)
        for collected, of_pair in zip(self._features, features, strict=True):
            collected.update(number, of_pair)

    def rows(self) -> list[dict[str, float]]:
        """The metrics of all pairs, in order; all processes must ask together."""
        return [dict(zip(self._columns, values.tolist(), strict=True)) for values in self._table.compute().values()]

    def features(self) -> dict[str, NDArray[np.float32]]:
        """The features (pairs, 2, D) by metric; all processes must ask together."""
        gathered = [list(collected.compute().values()) for collected in self._features]
        return {m: torch.stack(values).numpy() for m, values in zip(self._extracts, gathered, strict=True)}


class _KeptPictures:
    """The pictures to keep: those chosen beforehand, and the best and the worst relative to the mean of their bin.

    One pass is enough: both ends of each bin are held until all means are known.

    Args:
        chosen: numbers of pairs.
        extremes: how many of the best, and how many of the worst.
    """

    def __init__(self, chosen: Iterable[int], extremes: int) -> None:
        self._chosen, self._extremes = set(chosen), extremes
        self._kept: dict[int, Kept] = {}
        self._values: list[tuple[str, float]] = []  # bin and value of every pair
        self._ends: dict[str, list[tuple[float, int, Kept]]] = {}  # both ends of each bin, sorted

    def add(self, number: int, bin: str, value: float, pictures: Kept) -> None:
        """Offer a pair; a larger value is better."""
        if number in self._chosen:
            self._kept[number] = pictures
        if self._extremes:
            self._values.append((bin, value))
            ends = sorted([*self._ends.get(bin, []), (value, number, pictures)], key=lambda end: end[:2])
            self._ends[bin] = both_ends(ends, self._extremes)

    def pictures(self) -> dict[int, Kept]:
        """The kept pictures by the number of their pair."""
        means = bin_means((bin for bin, _ in self._values), (value for _, value in self._values))
        relative = [
            (value - means[bin], number, pictures)
            for bin, ends in self._ends.items()
            for value, number, pictures in ends
        ]
        chosen = both_ends(sorted(relative, key=lambda end: end[:2]), self._extremes)
        return self._kept | {number: pictures for _, number, pictures in chosen}


def _arrays(pictures: torch.Tensor) -> NDArray[Any]:
    """(N, 3, H, W) to (N, H, W, 3), contiguous: the last digit of a sum depends on the order in memory."""
    return pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()
