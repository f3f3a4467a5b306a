"""Look at every mask of a set: polarity, grey levels, shares per bin before and after resizing, border, index order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inpaintlab.data.files.images import BadPicture, read_grey
from inpaintlab.data.files.items import Files, Item
from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.mask_folder import MaskFolder, fit, index_bins, touches_border
from inpaintlab.data.holes.raw_masks import RawMasks
from inpaintlab.data_preparation.examine import Facts, examine
from inpaintlab.data_preparation.parallel import spread
from inpaintlab.data_preparation.report import Report, table
from inpaintlab.errors import UserError

PUBLISHED = {MaskFolder: 12_000, RawMasks: 55_116}
LARGE = 0.6


class Look(NamedTuple):
    """One mask: its file, its shares of missing pixels as it is and resized, the border, and how grey it is."""

    facts: Facts
    native: float = 0.0
    resized: float = 0.0
    touching: bool = False
    grey: float = 0.0
    wrong: str = ""


def look(item: Item, *, polarity: str, threshold: float, size: int) -> Look:
    """Examine one mask file; never raises for what is wrong with it."""
    facts = examine(item)
    if facts.wrong:
        return Look(facts)
    try:
        levels = read_grey(item.path)
    except (BadPicture, OSError) as error:  # in a mode that has no way to grey, say
        return Look(replace(facts, wrong=f"cannot be read ({error})"))
    white = levels >= threshold * 255
    hole = (white if polarity == "white_hole" else ~white).astype(np.uint8)
    wrong = ""
    try:
        resized = fit(hole, size, size, item.path)
    except BadPicture as error:
        resized, wrong = hole, str(error)
    grey = float(((levels > 0) & (levels < 255)).mean())
    return Look(facts, float(hole.mean()), float(resized.mean()), touches_border(resized), grey, wrong)


def verify_masks(
    source: MaskFolder | RawMasks, *, size: int, published: bool = False, any_count: bool = False,
    processes: int | None = None,
) -> Report:  # fmt: skip
    """Examine all masks of a source.

    Args:
        size: side of the pictures that the holes are for.
        published: whether it is meant to be the complete set of Liu et al., so that its number and order are checked.
        any_count: do not complain that there are more or fewer masks than were published.
    """
    report = Report(f"Masks in {source.root.absolute()}, {source.polarity}, threshold {source.threshold:g}")
    examiner = partial(look, polarity=source.polarity, threshold=source.threshold, size=size)
    files = Files(source.root, source.names)
    looks = list(spread(examiner, files, len(files), "masks", processes))
    for name, one in zip(source.names, looks, strict=True):
        if one.facts.wrong:
            report.blame(one.facts.wrong.partition(" (")[0], f"{name}: {one.facts.wrong}")
        elif one.wrong:
            report.blame("another shape than the pictures", one.wrong)
    usable = {name: one for name, one in zip(source.names, looks, strict=True) if not one.facts.wrong}
    good = list(usable.values())
    number = PUBLISHED[type(source)]
    report.facts.append(f"{len(looks)} masks" + (f", {number} published" if published else ""))
    if published and len(looks) != number and not any_count:
        report.blame(
            "another number of masks than published", f"{len(looks)} and not {number} (--any-count accepts it)"
        )
    if not good:
        report.blame("no mask can be read")
        return report
    sizes = Counter(one.facts.size for one in good)
    coloured = Counter(one.facts.mode for one in good if one.facts.mode not in ("L", "1"))
    report.notes += [f"{count} masks are {mode}, read by their colours" for mode, count in coloured.items()]
    report.facts.append("sizes " + ", ".join(f"{s[0]}x{s[1]} ({n})" for s, n in sizes.most_common(4) if s is not None))
    _holes(report, source, usable)
    _bins(report, good, size)
    if isinstance(source, MaskFolder):
        _order(report, source, looks, published)
    digests = Counter(one.facts.digest for one in good)
    double = sum(count - 1 for count in digests.values())
    if double:
        report.notes.append(f"{double} masks are there twice, under other names")
    return report


def _holes(report: Report, source: MaskFolder | RawMasks, usable: dict[str, Look]) -> None:
    native = np.array([one.native for one in usable.values()])
    large = int((native > LARGE).sum())
    report.facts.append(
        f"missing on average {native.mean():.1%}, from {native.min():.1%} to {native.max():.1%} of the file's pixels"
    )
    if 2 * large > len(native):
        other = "black_hole" if source.polarity == "white_hole" else "white_hole"
        report.blame(
            "the polarity looks wrong",
            f"{large} masks are more than 60 % hole; {other} would make it {1 - native.mean():.1%}",
        )
    for share, what in ((0, "masks without a hole"), (1, "masks that are all hole")):
        names = [name for name, one in usable.items() if one.native == share]
        if names:
            report.blame(what, *names)
    grey = [one.grey for one in usable.values() if one.grey > 0]
    if grey:
        report.notes.append(
            f"{len(grey)} masks are not purely black and white (up to {max(grey):.1%} of their pixels): the threshold "
            f"{source.threshold:g} decides"
        )


def _bins(report: Report, good: list[Look], size: int) -> None:
    """How many masks fall into each bin, by the file's share and by that at the final size."""
    names = (*hole_bins.IRREGULAR, "none of them")
    counts = []
    for shares in ([one.native for one in good], [one.resized for one in good]):
        counts.append(Counter(hole_bins.find(share, hole_bins.IRREGULAR) or names[-1] for share in shares))
    moved = sum(
        hole_bins.find(one.native, hole_bins.IRREGULAR) != hole_bins.find(one.resized, hole_bins.IRREGULAR)
        for one in good
    )
    border = [
        sum(one.touching for one in good if (hole_bins.find(one.resized, hole_bins.IRREGULAR) or names[-1]) == name)
        for name in names
    ]
    most = max(max(count.values()) for count in counts)
    rows = [("share of missing pixels", "in the file", f"at {size} px", "touching the border", "")]
    for name, touching in zip(names, border, strict=True):
        bar = "#" * round(30 * counts[1][name] / most)
        rows.append((name, str(counts[0][name]), str(counts[1][name]), str(touching), bar.ljust(30)))
    report.facts += ["", *table(rows), ""]
    report.facts.append(f"resizing moves {moved} of {len(good)} masks into another bin")


def _order(report: Report, source: MaskFolder, looks: list[Look], published: bool) -> None:
    """Whether the files are ordered as those of Liu et al., and what their two border conditions are."""
    try:
        by_index = index_bins(source.names)
    except UserError as error:
        if published or source.binning == "index":
            report.blame("not in the order of the published set", str(error))
        return
    agree = np.array(
        [hole_bins.find(one.native, hole_bins.IRREGULAR) == name for one, name in zip(looks, by_index, strict=True)]
    )
    report.facts.append(f"bins by index agree with the file's share for {agree.mean():.1%} of the masks")
    if agree.mean() < 0.95:
        kind = report.blame if source.binning == "index" or published else None
        line = "bins by index do not fit the shares; take masks.binning=measured"
        if kind is not None:
            kind("not in the order of the published set", line)
    numbers = [int(Path(name).stem) for name in source.names]
    block = len(looks) // len(hole_bins.IRREGULAR)
    halves = [
        [one.touching for one, n in zip(looks, numbers, strict=True) if (n % block < block // 2) == first]
        for first in (True, False)
    ]
    report.facts.append(
        f"holes within 50 px (of 512) of the border: {np.mean(halves[0]):.1%} of each bin's first half, "
        f"{np.mean(halves[1]):.1%} of its second half"
    )
