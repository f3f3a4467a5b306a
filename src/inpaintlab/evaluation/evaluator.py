"""Run a generator over evaluation pairs and keep every picture's numbers, and the features that FID compares.

A finished evaluation is a folder: `metrics.json` (means per bin and overall, and the conditions), `per_picture.csv`,
`pairs.csv` (the manifest) and some pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inpaintlab.data.datamodule import to_batch
from inpaintlab.data.pairs import Pair, PairSet
from inpaintlab.data.workers import loader
from inpaintlab.image import inpaint, to_uint8
from inpaintlab.metrics import fid, protocols
from inpaintlab.metrics.per_picture import PerPicture
from inpaintlab.networks.generator import InpaintingGenerator

Picture = NDArray[np.uint8]
Kept = tuple[Picture, Picture, Picture]  # truth, hole, result
TIMED = 9
RANKED = "psnr"  # what calls a picture good or bad; every protocol has it


@dataclass
class Evaluation:
    """The results on all pairs.

    Args:
        protocol: of the metrics.
        pairs: the manifest.
        rows: per pair, the metrics.
        kept: for some pairs, (truth, hole, result), 8 bit.
        features: (pairs, 2, D), of truth and result, by the metric that they are for: kinds of FID.
        seconds: per picture, if that was asked for; see `seconds_per_picture`.
    """

    protocol: protocols.Protocol
    pairs: list[Pair]
    rows: list[dict[str, float]]
    kept: dict[int, Kept] = field(default_factory=dict)
    features: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    seconds: float | None = None

    def means(self) -> dict[str, dict[str, float]]:
        """The numbers by bin, means as a rule; "all" is the mean over the bins, as MSA-Net's Tables 2-5 average.

        FID is a distance of sets and no mean: under "all" it is that of all pairs.
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


@torch.no_grad()
def evaluate_pairs(
    generator: InpaintingGenerator,
    pairs: PairSet,
    *,
    protocol: str | Sequence[str] = "standard",
    more: Mapping[str, protocols.Column] | None = None,
    extractors: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] | None = None,
    batch_size: int = 8,
    workers: int = 0,
    keep: int = 0,
    extremes: int = 0,
    device: str | torch.device = "cpu",
    rank: int = 0,
    world: int = 1,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Evaluate in float32 on `pairs`, in order, none twice and none left out.

    Args:
        generator: in eval mode, on `device`.
        protocol: of the metrics; of several, see `protocols.find`.
        more: metrics beside those of the protocol, LPIPS say.
        extractors: features of 8-bit pictures on `device`, by the name under which their FID is measured, too.
        keep: how many results to keep as pictures, spread evenly over the pairs.
        extremes: how many to keep, too, of the best and of the worst, against the mean of their bin.
        rank, world: with several processes each takes its share of the pairs, and all return all numbers.
        progress: called with the number of pairs done and their total.
    """
    chosen = protocols.find(protocol)
    chosen = replace(chosen, columns={**chosen.columns, **(more or {})})
    mine = range(rank, len(pairs), world)
    shown = set(pairs.spread(keep))
    # A process that evaluates alone, for sample pictures say, must not wait for the others to gather with it.
    extracts = {metric: fid.Features(network) for metric, network in (extractors or {}).items()}
    table, *features = (PerPicture(sync_on_compute=world > 1).to(device) for _ in range(1 + len(extracts)))
    kept, ends, done = {}, _Extremes(extremes), 0
    for raw in loader(pairs.chosen(mine), workers, batch_size=batch_size):
        truths, holes = _arrays(raw["image"]), raw["hole"][:, 0].numpy()
        on_device = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in raw.items()}
        batch = to_batch(on_device)
        with torch.autocast(torch.device(device).type, enabled=False):
            filled = inpaint(generator, batch.image, batch.hole)
            results = to_uint8(filled)
            found = [extract(raw["name"], on_device["image"], results) for extract in extracts.values()]
        composites, pictures = _arrays(filled), _arrays(results)
        for i, (composite, truth, hole) in enumerate(zip(composites, truths, holes, strict=True)):
            number = mine[done]
            row = chosen.measure(composite, truth, hole)
            table.update(number, torch.tensor([row[name] for name in chosen.columns], dtype=torch.float64))
            for collected, of_batch in zip(features, found, strict=True):
                collected.update(number, of_batch[i])
            pictures_of = (truth, hole, pictures[i])
            if number in shown:
                kept[number] = pictures_of
            ends.add(number, raw["bin"][i], row.get(RANKED, 0.0), pictures_of)
            done += 1
        progress(done, len(mine))
    gathered, numbers = table.compute(), range(len(pairs))
    rows = [dict(zip(chosen.columns, gathered[number].tolist(), strict=True)) for number in numbers]
    kept |= ends.chosen()
    manifest = [pairs.describe(number) for number in numbers]
    result = Evaluation(chosen, manifest, rows, kept)
    for metric, collected in zip(extracts, features, strict=True):
        of_pairs = collected.compute()
        result.features[metric] = torch.stack([of_pairs[number] for number in numbers]).numpy()
    return result


@torch.no_grad()
def seconds_per_picture(generator: InpaintingGenerator, pairs: PairSet, device: str | torch.device = "cpu") -> float:
    """Median time for one picture at a time, of `TIMED` pairs spread evenly, after one that is not counted."""
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


class _Extremes:
    """The pictures that lie furthest from the mean of their bin, found in one pass: those of each bin are kept.

    Args:
        count: how many of the best, and of the worst.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.values: dict[str, list[float]] = {}
        self.ends: dict[str, list[tuple[float, int, Kept]]] = {}  # both ends of each bin, sorted

    def add(self, number: int, bin: str, value: float, pictures: Kept) -> None:
        """A pair with its number, larger being better."""
        if not self.count:
            return
        self.values.setdefault(bin, []).append(value)
        ends = sorted([*self.ends.get(bin, []), (value, number, pictures)], key=lambda end: end[:2])
        self.ends[bin] = ends if len(ends) <= 2 * self.count else ends[: self.count] + ends[-self.count :]

    def chosen(self) -> dict[int, Kept]:
        """The pictures by the number of their pair."""
        order = sorted(
            (value - float(np.mean(self.values[bin])), number, pictures)
            for bin, ends in self.ends.items()
            for value, number, pictures in ends
        )
        few = order if len(order) <= 2 * self.count else order[: self.count] + order[-self.count :]
        return {number: pictures for _, number, pictures in few}


def _arrays(pictures: torch.Tensor) -> NDArray[Any]:
    """(N, 3, H, W) to (N, H, W, 3), contiguous: sums depend, in the last digit, on the order in memory."""
    return pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()
