"""`inpaintlab data`: verify pictures and masks, prepare them for training, and write the pairs of an evaluation.

NAME is an option of data= or masks=, as for training; write masks=folder where both have one of that name. KEY=VALUE
are the same overrides as for training, so what is verified is what will be trained on.
"""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.data.pairing import PROTOCOLS
from inpaintlab.errors import UserError, check_choice
from inpaintlab.utils.atomic_write import require_writable, write_text
from inpaintlab.utils.printable import printable
from inpaintlab.utils.process import run_program

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from inpaintlab.data_preparation.report import Report

VERIFY = """examples:
  inpaintlab data verify places2 data.root=FOLDER
  inpaintlab data verify celebahq data.root=FOLDER data.pictures.by=mapping
  inpaintlab data verify nvidia masks.root=TEST masks.train_root=TRAIN
  inpaintlab data verify masks=folder masks.root=FOLDER masks.polarity=black_hole

If anything is wrong, the command lists it and exits with status 1.
"""
PREPARE = """examples:
  inpaintlab data prepare places2 DATA/places2 data.root=ARCHIVES
  inpaintlab data prepare places10 DATA/places10 data.root=ARCHIVES --short-side 350
  inpaintlab data prepare celebahq DATA/celebahq data.root=FOLDER data.pictures.by=random

data.root is the folder of the archives or of their content; it is only read. OUT gets links to the pictures, or reduced
copies; give it as data.root= to the training. A stopped run continues when it is started again.
"""
PAIRS = r"""protocols (data.pairing=...), with the seed data.pairs_seed:
{protocols}

examples:
  inpaintlab data pairs celeba500.csv data=celeba data.root=FOLDER data.pictures.test=val \
      masks=nvidia_drawn masks.root=MASKS data.pairing=random_500
  inpaintlab data pairs celeba500.csv --check
  inpaintlab evaluate checkpoint=last.ckpt data=celeba ... data.manifest=celeba500.csv     (same overrides)

Writes FILE (picture, bin, share of missing pixels, hashes, mask file) and FILE.json, which describes how the pairs are
made. --check makes the pairs again; if any differ, the command lists them and exits with status 1.
"""


def parser() -> ArgumentParser:
    """Return the parser of the command line, without importing anything heavy."""
    p = ArgumentParser("inpaintlab data", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, purpose: str, examples: str) -> ArgumentParser:
        return commands.add_parser(
            name, help=purpose, description=purpose, epilog=examples, formatter_class=RawDescriptionHelpFormatter
        )

    verify = command("verify", "check every file of a set", VERIFY)
    verify.add_argument("name", metavar="NAME")
    verify.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    verify.add_argument("--report", type=Path, metavar="FILE", help="write the whole report, with all files at fault")
    verify.add_argument("--manifest", type=Path, metavar="FILE", help="write length and hash of every picture as CSV")
    verify.add_argument(
        "--any-count", action="store_true", help="accept numbers of files other than the published ones"
    )
    verify.add_argument("--processes", type=_positive, metavar="N", help="number of processes; default: all cores")
    prepare = command("prepare", "make splits, lists and links for training, from archives or folders", PREPARE)
    prepare.add_argument("name", metavar="NAME")
    prepare.add_argument("out", type=Path, metavar="OUT")
    prepare.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    prepare.add_argument(
        "--short-side", type=_positive, metavar="PIXELS", help="reduce larger pictures to this shorter side"
    )
    prepare.add_argument("--processes", type=_positive, metavar="N", help="number of processes; default: all cores")
    protocols = "\n".join(f"  {name:16} {what}" for name, what in PROTOCOLS.items())
    pairs = command("pairs", "write or check the pairs of an evaluation", PAIRS.format(protocols=protocols))
    pairs.add_argument("file", type=Path, metavar="FILE")
    pairs.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    pairs.add_argument("--check", action="store_true", help="compare FILE with the pictures and masks on this machine")
    return p


def parsed(arguments: Sequence[str] | None = None) -> Namespace:
    """Return the parsed arguments; KEY=VALUE may stand before or after options."""
    p = parser()
    found, rest = p.parse_known_args(arguments)
    wrong = [word for word in rest if word.startswith("-") or "=" not in word]
    if wrong:
        p.error(f"unrecognized arguments: {' '.join(wrong)}")
    found.overrides += rest
    return found


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise ArgumentTypeError(f"expected a whole number above zero, got {text!r}")
    return int(text)


def composed(name: str, overrides: Sequence[str]) -> tuple[str, DictConfig]:
    """Return the group that has the option `name`, "data" or "masks", and the training config with it.

    Raises:
        UserError: if neither group has it.
    """
    from inpaintlab.config.compose import compose_config, group_options

    group, _, option = name.rpartition("=")
    known = {g: group_options(g) for g in ("data", "masks")}
    if group:
        check_choice("the group of NAME", group, known)
    groups = [group] if group else list(known)
    check_choice(group or "NAME", option, [one for g in groups for one in known[g]])
    chosen = next(g for g in groups if option in known[g])
    return chosen, compose_config([f"{chosen}={option}", "batches=1", *overrides])


# ---------------------------------------------------------------------- verify
def _verify(arguments: Namespace) -> int:
    group, config = composed(arguments.name, arguments.overrides)
    if group == "masks" and arguments.manifest is not None:
        raise UserError("--manifest is for pictures; for masks use --report FILE, which lists all files at fault")
    for file in filter(None, (arguments.report, arguments.manifest)):  # checked before the long work
        require_writable(file.parent, "choose another for the file or make it writable")
    reports = [_verify_pictures(config, arguments)] if group == "data" else _verify_masks(config, arguments)
    print("\n\n".join(report.text() for report in reports))
    if arguments.report is not None:
        write_text(arguments.report, "\n\n".join(report.text(None) for report in reports) + "\n")
        print(f"\nwritten to {arguments.report}")
    return int(any(report.wrong for report in reports))


def _verify_pictures(config: DictConfig, arguments: Namespace) -> Report:
    from hydra.utils import instantiate

    from inpaintlab.data.datasets.embedded_photos import Photos
    from inpaintlab.data_preparation.verify import verify

    source = instantiate(config.data.pictures, _convert_="all")
    if isinstance(source, Photos):
        raise UserError("the embedded photographs are checked whenever they are read; there is nothing to verify")
    return verify(
        source,
        size=config.data.geometry.size,
        any_count=arguments.any_count,
        processes=arguments.processes,
        manifest=arguments.manifest,
    )


def _verify_masks(config: DictConfig, arguments: Namespace) -> list[Report]:
    """Verify the folders of masks of a config; training and testing may share one."""
    from hydra.utils import instantiate

    from inpaintlab.data.holes.mask_folder import MaskFolder
    from inpaintlab.data.holes.overlap import masks_are_shared
    from inpaintlab.data.holes.raw_masks import RawMasks
    from inpaintlab.data_preparation.verify_masks import verify_masks

    sources = [instantiate(config.masks[part], _convert_="all") for part in ("train", "test")]
    found = {source.root: source for source in sources if isinstance(source, (MaskFolder, RawMasks))}
    if not found:
        raise UserError(f"the holes of {arguments.name} are drawn; there are no files to verify")
    reports = [
        verify_masks(
            source,
            size=config.data.geometry.size,
            published=arguments.name.rpartition("=")[2].startswith("nvidia"),
            any_count=arguments.any_count,
            processes=arguments.processes,
        )
        for source in found.values()
    ]
    if len(found) == 2:
        reports[-1].facts.append(f"test masks seen in training: {'yes' if masks_are_shared(*sources) else 'no'}")
    return reports


# ---------------------------------------------------------------------- prepare
def _prepare(arguments: Namespace) -> int:
    from hydra.utils import instantiate

    from inpaintlab.data.datasets.embedded_photos import Photos
    from inpaintlab.data.datasets.named import NamedSet
    from inpaintlab.data.datasets.source import SPLITS
    from inpaintlab.data_preparation.prepare import prepare, unpacked

    group, config = composed(arguments.name, arguments.overrides)
    if group == "masks":
        raise UserError("mask sets need no preparation; unpack them and give their folder as masks.root=FOLDER")
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
    # Overrides that locate the originals and their lists no longer apply; the others still describe the set.
    used = {"data.root", *(() if isinstance(source, NamedSet) else (f"data.pictures.{split}" for split in SPLITS))}
    given = [o for o in arguments.overrides if o.partition("=")[0] not in used]
    words = [f"data={arguments.name.rpartition('=')[2]}", f"data.root={arguments.out}", *given]
    print(f"train on it: inpaintlab train experiment=... {shlex.join(words)}")
    return 0


# ---------------------------------------------------------------------- pairs
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
    """Run `inpaintlab data` and exit with its status."""
    given = parsed(arguments)
    status = 0

    def program() -> None:
        nonlocal status
        status = PROGRAMS[given.command](given)

    run_program(program)
    sys.exit(status)
