"""`inpaintlab data`: are the pictures and masks all there and sound, how do they become what a training reads, and
which pairs of picture and hole does an evaluation use.

NAME is an option of data= or masks= as for training (masks=folder where both have one), and KEY=VALUE are the same
overrides: what is verified is what is trained on.
"""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.data.files.lists import printable
from inpaintlab.data.pairing import PROTOCOLS
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import require_writable, write_text
from inpaintlab.utils.process import run_program

if TYPE_CHECKING:
    from omegaconf import DictConfig

VERIFY = """examples:
  inpaintlab data verify places2 data.root=FOLDER
  inpaintlab data verify celebahq data.root=FOLDER data.pictures.by=mapping
  inpaintlab data verify nvidia masks.root=TEST masks.train_root=TRAIN
  inpaintlab data verify masks=folder masks.root=FOLDER masks.polarity=black_hole

Exits with 1, after the list of what is wrong, if anything is.
"""
PREPARE = """examples:
  inpaintlab data prepare places2 DATA/places2 data.root=ARCHIVES
  inpaintlab data prepare places10 DATA/places10 data.root=ARCHIVES --short-side 350
  inpaintlab data prepare celebahq DATA/celebahq data.root=FOLDER data.pictures.by=random

data.root holds the archives or what they unpack to; it is only read. OUT gets links to the pictures, or smaller copies,
and is what data.root= of a training says afterwards. Started again, a stopped run goes on.
"""
PAIRS = r"""protocols (data.pairing=...), drawn by data.pairs_seed:
{protocols}

examples:
  inpaintlab data pairs celeba500.csv data=celeba data.root=FOLDER data.pictures.test=val \
      masks=nvidia_drawn masks.root=MASKS data.pairing=random_500
  inpaintlab data pairs celeba500.csv --check
  inpaintlab evaluate checkpoint=last.ckpt data=celeba ... data.manifest=celeba500.csv     (same overrides)

Writes FILE (picture, bin, share of missing pixels, hashes, mask file) and beside it FILE.json, which says how the pairs
are made. --check makes them again and exits with 1, after the list of what differs, if anything does.
"""


def parser() -> ArgumentParser:
    """The command line; built without importing anything heavy."""
    p = ArgumentParser("inpaintlab data", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, purpose: str, examples: str) -> ArgumentParser:
        return commands.add_parser(
            name, help=purpose, description=purpose, epilog=examples, formatter_class=RawDescriptionHelpFormatter
        )

    verify = command("verify", "look at every file of a set and say what is wrong", VERIFY)
    verify.add_argument("name", metavar="NAME")
    verify.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    verify.add_argument(
        "--report", type=Path, metavar="FILE", help="write the whole report, with every file that is wrong"
    )
    verify.add_argument(
        "--manifest", type=Path, metavar="FILE", help="write a CSV file with length and hash of every picture"
    )
    verify.add_argument("--any-count", action="store_true", help="accept another number of files than was published")
    verify.add_argument("--processes", type=_positive, metavar="N", help="default: all cores")
    prepare = command("prepare", "make lists, splits and links for a training, from archives or folders", PREPARE)
    prepare.add_argument("name", metavar="NAME")
    prepare.add_argument("out", type=Path, metavar="OUT")
    prepare.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    prepare.add_argument(
        "--short-side", type=_positive, metavar="PIXELS", help="make smaller copies of larger pictures"
    )
    prepare.add_argument("--processes", type=_positive, metavar="N", help="default: all cores")
    protocols = "\n".join(f"  {name:16} {what}" for name, what in PROTOCOLS.items())
    pairs = command("pairs", "write or check the pairs of an evaluation", PAIRS.format(protocols=protocols))
    pairs.add_argument("file", type=Path, metavar="FILE")
    pairs.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    pairs.add_argument("--check", action="store_true", help="compare FILE with the pictures and masks that are here")
    return p


def parsed(arguments: Sequence[str] | None = None) -> Namespace:
    """The arguments; KEY=VALUE may stand before and after options."""
    p = parser()
    found, rest = p.parse_known_args(arguments)
    wrong = [word for word in rest if word.startswith("-") or "=" not in word]
    if wrong:
        p.error(f"unrecognized arguments: {' '.join(wrong)}")
    found.overrides += rest
    return found


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


def composed(name: str, overrides: Sequence[str]) -> tuple[str, DictConfig]:
    """The group that `name` belongs to, "data" or "masks", and the training config with it.

    Raises:
        UserError: if neither has it.
    """
    from inpaintlab.config.compose import compose_config, group_options

    group, _, option = name.rpartition("=")
    known = {g: group_options(g) for g in ("data", "masks")}
    groups = [g for g in known if option in known[g] and group in ("", g)]
    if not groups:
        sets = "; ".join(f"{g}: {', '.join(options)}" for g, options in known.items())
        raise UserError(f"unknown set {name!r}; the sets are {sets}")
    return groups[0], compose_config([f"{groups[0]}={option}", "batches=1", *overrides])


def _verify(arguments: Namespace) -> int:
    from hydra.utils import instantiate

    from inpaintlab.data.datasets.embedded_photos import Photos
    from inpaintlab.data.holes.mask_folder import MaskFolder
    from inpaintlab.data.holes.raw_masks import RawMasks
    from inpaintlab.data_preparation.report import Report
    from inpaintlab.data_preparation.verify import verify
    from inpaintlab.data_preparation.verify_masks import verify_masks

    group, config = composed(arguments.name, arguments.overrides)
    if group == "masks" and arguments.manifest is not None:
        raise UserError("--manifest lists pictures; of masks the whole report, --report FILE, has what is wrong")
    for file in filter(None, (arguments.report, arguments.manifest)):  # before all files are read
        require_writable(file.parent, "choose another for the file or make it writable")
    options = {"any_count": arguments.any_count, "processes": arguments.processes}
    size = config.data.geometry.size
    reports: list[Report] = []
    if group == "data":
        source = instantiate(config.data.pictures, _convert_="all")
        if isinstance(source, Photos):
            raise UserError("the embedded photographs are checked whenever they are read; nothing to verify")
        reports.append(verify(source, size=size, manifest=arguments.manifest, **options))
    else:
        sources = [instantiate(config.masks[part], _convert_="all") for part in ("train", "test")]
        found = {source.root: source for source in sources if isinstance(source, (MaskFolder, RawMasks))}
        if not found:
            raise UserError(f"the holes of {arguments.name} are drawn; there are no files to verify")
        published = arguments.name.rpartition("=")[2].startswith("nvidia")
        reports += [verify_masks(source, size=size, published=published, **options) for source in found.values()]
        if len(found) == 2:
            from inpaintlab.data.holes.overlap import masks_are_shared

            reports[-1].facts.append(f"test masks seen in training: {'yes' if masks_are_shared(*sources) else 'no'}")
    print("\n\n".join(report.text() for report in reports))
    if arguments.report is not None:
        write_text(arguments.report, "\n\n".join(report.text(None) for report in reports) + "\n")
        print(f"\nwritten to {arguments.report}")
    return int(any(report.wrong for report in reports))


def _prepare(arguments: Namespace) -> int:
    from hydra.utils import instantiate

    from inpaintlab.data.datasets.embedded_photos import Photos
    from inpaintlab.data.datasets.named import SPLITS, NamedSet
    from inpaintlab.data_preparation.prepare import prepare, unpacked

    group, config = composed(arguments.name, arguments.overrides)
    if group == "masks":
        raise UserError("mask sets are read as they are; unpack them and say masks.root=FOLDER")
    source = instantiate(config.data.pictures, _convert_="all")
    if isinstance(source, Photos):
        raise UserError("the embedded photographs need no preparation")
    if isinstance(source, NamedSet):
        source = unpacked(
            source, arguments.out, lambda root: instantiate(config.data.pictures, root=str(root), _convert_="all")
        )
    counts, left_out = prepare(source, arguments.out, short_side=arguments.short_side, processes=arguments.processes)
    for reason in left_out:
        print(printable(f"left out: {reason}"))
    print(f"{arguments.out}: " + ", ".join(f"{count} pictures in {split}" for split, count in counts.items()))
    # What says where the originals and their lists are has been used; the rest says what the set is.
    used = {"data.root", *(() if isinstance(source, NamedSet) else (f"data.pictures.{split}" for split in SPLITS))}
    given = [o for o in arguments.overrides if o.partition("=")[0] not in used]
    words = [f"data={arguments.name.rpartition('=')[2]}", f"data.root={arguments.out}", *given]
    print(f"train on it: inpaintlab train experiment=... {shlex.join(words)}")
    return 0


def _pairs(arguments: Namespace) -> int:
    from inpaintlab.data_preparation.manifest import check, write

    if not arguments.check:
        print(write(arguments.file, arguments.overrides))
        return 0
    differences = check(arguments.file, arguments.overrides)
    print(f"{arguments.file}: " + ("all pairs are the same" if not differences else f"{len(differences)} differences"))
    for line in differences[:20]:
        print(f"  {line}")
    return int(bool(differences))


PROGRAMS = {"verify": _verify, "prepare": _prepare, "pairs": _pairs}


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab data`."""
    given = parsed(arguments)
    status = 0

    def program() -> None:
        nonlocal status
        status = PROGRAMS[given.command](given)

    run_program(program)
    sys.exit(status)
