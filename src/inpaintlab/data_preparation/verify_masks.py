"""Verify a set of masks: polarity, grey levels, shares by bin before and after resizing, border, order of the files."""

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
from inpaintlab.data.holes.mask_files import LARGE, fit, other_polarity, to_hole, touches_border
from inpaintlab.data.holes.mask_folder import MaskFolder, index_bins
from inpaintlab.data.holes.raw_masks import RawMasks
from inpaintlab.data_preparation.examine import Facts, examine
from inpaintlab.data_preparation.parallel import spread
from inpaintlab.data_preparation.report import Findings, Report, table
from inpaintlab.errors import UserError

PUBLISHED = {MaskFolder: 12_000, RawMasks: 55_116}  # masks of Liu et al. 2018
NO_BIN = "none of them"


class Look(NamedTuple):
    """One mask.

    Args:
        facts: about its file.
        native, resized: share of missing pixels in the file, and at the size of the pictures.
        touching: whether the resized hole has pixels in the border zone.
        grey: share of pixels that are neither black nor white.
        wrong: why it does not fit the pictures, or "".
    """

    facts: Facts
    native: float = 0.0
    resized: float = 0.0
    touching: bool = False
    grey: float = 0.0
    wrong: str = ""


def look(item: Item, *, polarity: str, threshold: float, size: int) -> Look:
    """Examine one mask file. Errors are part of the result; none is raised."""
    facts = examine(item)
    if facts.wrong:
        return Look(facts)
    try:
        levels = read_grey(item.path)
    except (BadPicture, OSError) as error:  # for example a colour mode without a conversion to grey
        return Look(replace(facts, wrong=f"cannot be read ({error})"))
    hole = to_hole(levels, polarity, threshold)
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
        size: side of the pictures that get the holes, in pixels.
        published: the masks should be the complete set of Liu et al. 2018, so check their number and order.
        any_count: accept a number of masks that differs from the published one.
        processes: number of processes; None for all cores.
    """
    report = Report(title=f"Masks in {source.root.absolute()}, {source.polarity}, threshold {source.threshold:g}")
    examiner = partial(look, polarity=source.polarity, threshold=source.threshold, size=size)
    files = Files(source.root, source.names)
    looks = list(spread(examiner, files, len(files), "masks", processes))
    report.extend(_files(source, looks, published, any_count))
    usable = {name: one for name, one in zip(source.names, looks, strict=True) if not one.facts.wrong}
    if not usable:
        report.blame("no mask can be read")
        return report
    good = list(usable.values())
    sizes = Counter(one.facts.size for one in good)
    coloured = Counter(one.facts.mode for one in good if one.facts.mode not in ("L", "1"))
    report.notes += [f"{count} masks are {mode}, read by their colours" for mode, count in coloured.items()]
    report.facts.append("sizes " + ", ".join(f"{s[0]}x{s[1]} ({n})" for s, n in sizes.most_common(4) if s is not None))
    report.extend(_holes(source, usable))
    report.facts += _bins(good, size)
    if isinstance(source, MaskFolder):
        report.extend(_order(source, looks, published))
    double = sum(count - 1 for count in Counter(one.facts.digest for one in good).values())
    if double:
        report.notes.append(f"{double} masks are duplicates under other names")
    return report


def _files(source: MaskFolder | RawMasks, looks: list[Look], published: bool, any_count: bool) -> Findings:
    """Find files that cannot be used, and compare their number with the published one."""
    found = Findings()
    for name, one in zip(source.names, looks, strict=True):
        if one.facts.wrong:
            found.blame(one.facts.wrong.partition(" (")[0], f"{name}: {one.facts.wrong}")
        elif one.wrong:
            found.blame("another shape than the pictures", one.wrong)
    number = PUBLISHED[type(source)]
    found.facts.append(f"{len(looks)} masks" + (f", {number} published" if published else ""))
    if published and len(looks) != number and not any_count:
        found.blame("another number of masks than published", f"{len(looks)} and not {number} (--any-count accepts it)")
    return found


def _holes(source: MaskFolder | RawMasks, usable: dict[str, Look]) -> Findings:
    """Check the shares of missing pixels and the grey levels."""
    found = Findings()
    native = np.array([one.native for one in usable.values()])
    large = int((native > LARGE).sum())
    found.facts.append(
        f"missing on average {native.mean():.1%}, from {native.min():.1%} to {native.max():.1%} of the file's pixels"
    )
    if 2 * large > len(native):
        found.blame(
            "the polarity looks wrong",
            f"{large} masks are more than {LARGE * 100:.0f} % hole; {other_polarity(source.polarity)} would make it "
            f"{1 - native.mean():.1%}",
        )
    for share, what in ((0, "masks without a hole"), (1, "masks that are all hole")):
        names = [name for name, one in usable.items() if one.native == share]
        if names:
            found.blame(what, *names)
    grey = [one.grey for one in usable.values() if one.grey > 0]
    if grey:
        found.notes.append(
            f"{len(grey)} masks are not purely black and white (up to {max(grey):.1%} of their pixels): the threshold "
            f"{source.threshold:g} decides"
        )
    return found


def _bins(good: list[Look], size: int) -> list[str]:
    """Return a table of the masks in each bin, by the share in the file and at the final size."""
    names = (*hole_bins.IRREGULAR, NO_BIN)
    native = [hole_bins.find(one.native, hole_bins.IRREGULAR) or NO_BIN for one in good]
    resized = [hole_bins.find(one.resized, hole_bins.IRREGULAR) or NO_BIN for one in good]
    before, after = Counter(native), Counter(resized)
    border = Counter(name for name, one in zip(resized, good, strict=True) if one.touching)
    most = max(*before.values(), *after.values())
    rows = [("share of missing pixels", "in the file", f"at {size} px", "touching the border", "")]
    for name in names:
        bar = "#" * round(30 * after[name] / most)
        rows.append((name, str(before[name]), str(after[name]), str(border[name]), bar.ljust(30)))
    moved = sum(name != other for name, other in zip(native, resized, strict=True))
    return ["", *table(rows), "", f"resizing moves {moved} of {len(good)} masks into another bin"]


def _order(source: MaskFolder, looks: list[Look], published: bool) -> Findings:
    """Check whether the files have the order of Liu et al. 2018, and measure their two border conditions."""
    found, wanted = Findings(), published or source.binning == "index"
    try:
        by_index = index_bins(source.names)
    except UserError as error:
        if wanted:
            found.blame("not in the order of the published set", str(error))
        return found
    agree = np.array(
        [hole_bins.find(one.native, hole_bins.IRREGULAR) == name for one, name in zip(looks, by_index, strict=True)]
    )
    found.facts.append(f"bins by index agree with the file's share for {agree.mean():.1%} of the masks")
    if wanted and agree.mean() < 0.95:
        found.blame(
            "not in the order of the published set",
            "bins by index do not fit the shares; set masks.binning=measured",
        )
    numbers = [int(Path(name).stem) for name in source.names]
    block = len(looks) // len(hole_bins.IRREGULAR)
    halves = [
        [one.touching for one, n in zip(looks, numbers, strict=True) if (n % block < block // 2) == first]
        for first in (True, False)
    ]
    found.facts.append(
        f"holes within 50 px (of 512) of the border: {np.mean(halves[0]):.1%} of each bin's first half, "
        f"{np.mean(halves[1]):.1%} of its second half"
    )
    return found
