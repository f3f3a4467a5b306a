"""`inpaintlab data verify` finds every defect, names the file, and exits with status 1."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from inpaintlab.commands import data as data_command
from inpaintlab.data.datasets.bsds500 import BSDS500
from inpaintlab.data.datasets.celeba import CelebA
from inpaintlab.data.datasets.celebahq import CelebAHQ
from inpaintlab.data.datasets.codec_corpus import CID22, Kodak
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.datasets.paris import ParisStreetView
from inpaintlab.data.datasets.places2 import Places2
from inpaintlab.data.holes.mask_folder import MaskFolder
from inpaintlab.data.holes.raw_masks import RawMasks
from inpaintlab.data_preparation.parallel import spread
from inpaintlab.data_preparation.report import Findings, Report
from inpaintlab.data_preparation.verify import verify
from inpaintlab.data_preparation.verify_masks import verify_masks


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        data_command.main(["verify", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


LAYOUTS: dict[str, Callable[[Path], NamedSet]] = {
    "small": lambda root: Places2(trees.places2(root)),
    "large": lambda root: Places2(trees.places2(root, "large"), variant="large", halves=True),
    "easy": lambda root: Places2(trees.places2(root, "easy"), variant="easy", categories=["beach"]),
    "celeba": lambda root: CelebA(trees.celeba(root)),
    "zero": lambda root: CelebAHQ(trees.celebahq(root), train_list="train.flist", test_list="test.flist"),
    "one": lambda root: CelebAHQ(trees.celebahq(root, "one"), by="mapping"),
    "cid22": lambda root: CID22(trees.codec_corpus(root)),
    "kodak": lambda root: Kodak(trees.codec_corpus(root)),
    "bsds500": lambda root: BSDS500(trees.bsds500(root)),
    "paris": lambda root: ParisStreetView(trees.paris(root), held_out=2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_number_of_pictures_is_wrong_in_small_sound_sets(tmp_path: Path, layout: str) -> None:
    source = LAYOUTS[layout](tmp_path)
    assert set(verify(source).wrong) == {"another number of pictures than published"}
    report = verify(source, any_count=True)
    assert not report.wrong
    assert "Nothing is wrong." in report.text()


def test_every_defect_is_named(tmp_path: Path) -> None:
    train, test = tmp_path / "train", tmp_path / "test"
    for i in range(4):
        trees.picture(train / f"good{i}.jpg", (300, 200))
    trees.picture(train / "upper.JPG")
    trees.picture(train / "grey.jpg", mode="L")
    trees.picture(train / "cmyk.jpg", mode="CMYK")
    trees.picture(train / "alpha.png", mode="RGBA")
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(train / "deep.png")
    torn = trees.picture(train / "torn.jpg", (200, 200))
    torn.write_bytes(torn.read_bytes()[:-300])
    (train / "text.png").write_text("no picture")
    (train / "empty.jpg").touch()
    (train / "link.jpg").symlink_to(train / "good0.jpg")
    (train / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    trees.picture(test / "other.jpg")
    shutil.copy(train / "good1.jpg", test / "same.jpg")
    report = verify(Folder(tmp_path), size=256, manifest=tmp_path / "manifest.csv")
    wrong = {heading: " | ".join(about) for heading, about in report.wrong.items()}
    assert set(wrong) == {
        "does not decode", "16 bits per channel; convert to 8", "broken links", "the same picture in two splits",
    }  # fmt: skip
    assert all(name in wrong["does not decode"] for name in ("torn.jpg", "text.png", "empty.jpg"))
    assert "deep.png" in wrong["16 bits per channel; convert to 8"]
    assert "nowhere.jpg: broken link to" in wrong["broken links"]
    assert wrong["the same picture in two splits"] == "train/good1.jpg (train) = test/same.jpg (test)"
    notes = " | ".join(report.notes)
    for note in (
        "1 grey, converted", "1 CMYK, converted", "1 with alpha", "1 with an upper-case extension", "2 symbolic links",
        "with a shorter side below 256", "train: 1 pictures are duplicates",
    ):  # fmt: skip
        assert note in notes, note
    rows = list(csv.DictReader((tmp_path / "manifest.csv").open()))
    assert len(rows) == 16
    assert rows[0].keys() == {"split", "picture", "bytes", "sha256"}
    text = report.text(1)
    assert "and 2 more" in text
    assert re.search(r"train +14 +-", text)


def test_deep_colour_is_refused_although_pillow_opens_it_as_8_bit(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "deep.png"), np.full((160, 160, 3), 40000, np.uint16))
    trees.picture(tmp_path / "a.png", (160, 160))
    trees.picture(tmp_path / "b.png", (160, 160))
    assert set(verify(Folder(tmp_path)).wrong) == {"16 bits per channel; convert to 8"}


def test_lists_against_the_disk(tmp_path: Path) -> None:
    root = trees.places2(tmp_path)
    (root / "data_256/b/beach/00000002.jpg").unlink()
    trees.picture(root / "data_256/b/beach/00000099.jpg")
    with (root / "places365_train_standard.txt").open("a") as file:
        file.write("/b/beach/00000003.jpg 48\n")
    report = verify(Places2(root), any_count=True)
    assert report.wrong == {
        "missing": ["train: data_256/b/beach/00000002.jpg: missing"],
        "two pictures of one name, or listed twice": ["train: beach/00000003.jpg"],
    }
    assert "data_256: 1 pictures that are in no split, data_256/b/beach/00000099.jpg" in report.notes
    (root / "val_256").rename(root / "elsewhere")
    assert "no split 'test'" in verify(Places2(root), any_count=True).wrong


def test_one_name_in_two_cases(tmp_path: Path) -> None:
    root = trees.paris(tmp_path)
    trees.picture(root / "paris_train_original" / "48.842500_2.344968_90_-004.jpg")
    report = verify(ParisStreetView(root, held_out=1), any_count=True)
    twice = report.wrong.get("two pictures of one name, or listed twice", [])
    assert twice == ["train: 48.842500_2.344968_90_-004.jpg"]


def test_the_command_prints_the_report_and_exits_with_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(trees.celeba(tmp_path))
    assert run("celeba", f"data.root={root}", "--any-count") == 0
    assert "CelebA in" in capsys.readouterr().out
    assert run("celeba", f"data.root={root}", "--report", str(tmp_path / "report.txt")) == 1
    assert "train: 2 and not 162770" in capsys.readouterr().out
    assert "train: 2 and not 162770" in (tmp_path / "report.txt").read_text()
    assert run("celebb", f"data.root={root}") == 1
    assert "NAME must be one of bsds500, celeba, " in (error := capsys.readouterr().err)
    assert "got 'celebb'; did you mean celeba?" in error
    assert run("mask=nvidia") == 1
    assert "the group of NAME must be one of data, masks; got 'mask'; did you mean masks?" in capsys.readouterr().err
    assert run("masks=places2") == 1
    assert "masks must be one of center, " in capsys.readouterr().err
    assert run("photos") == 1
    assert "nothing to verify" in capsys.readouterr().err


# ---------------------------------------------------------------------- masks
def test_test_masks_in_order(tmp_path: Path) -> None:
    report = verify_masks(MaskFolder(trees.nvidia_test(tmp_path, 4)), size=32, published=True, any_count=True)
    text = report.text()
    assert not report.wrong, report.wrong
    assert "bins by index agree with the file's share for 100.0% of the masks" in text
    assert "of the border: 100.0% of each bin's first half, 0.0% of its second half" in text
    assert re.search(r"0.2-0.3 +8 +8 +4 +#+", text)
    assert re.search(r"resizing moves \d+ of 48", text)
    counted = verify_masks(MaskFolder(tmp_path), size=32, published=True)
    assert counted.wrong == {"another number of masks than published": ["48 and not 12000 (--any-count accepts it)"]}


def test_defects_of_masks(tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path, 1)
    (tmp_path / "00003.png").write_bytes(b"torn")
    Image.new("L", (64, 32)).save(tmp_path / "00004.png")
    Image.new("L", (64, 64)).save(tmp_path / "00005.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "00006.png")
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1))).save(tmp_path / "00007.png")
    shutil.copy(tmp_path / "00000.png", tmp_path / "x.png")
    report = verify_masks(MaskFolder(tmp_path, binning="index"), size=32)
    wrong = {heading: " | ".join(about) for heading, about in report.wrong.items()}
    assert set(wrong) == {
        "does not decode", "another shape than the pictures", "masks without a hole", "masks that are all hole",
        "not in the order of the published set",
    }  # fmt: skip
    assert "00003.png" in wrong["does not decode"]
    assert "00004.png: a mask of 32x64" in wrong["another shape than the pictures"]
    assert any("1 masks are not purely black and white (up to 98.4% of their pixels)" in note for note in report.notes)
    assert any("1 masks are duplicates" in note for note in report.notes)


def test_wrong_polarity_of_either_set(tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path, 1)
    for source in (MaskFolder(tmp_path, polarity="black_hole", check_polarity=False), RawMasks(tmp_path)):
        report = verify_masks(source, size=64)
        assert "white_hole would make it" in report.wrong["the polarity looks wrong"][0]


def test_the_command_verifies_both_mask_sets_and_compares_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.nvidia_test(tmp_path / "test", 1)
    for i in range(3):
        trees.mask(tmp_path / "train" / f"{i}.png", 0.9, np.random.default_rng(i))
    shutil.copy(tmp_path / "test" / "00002.png", tmp_path / "train" / "copied.png")
    given = ["nvidia", f"masks.root={tmp_path / 'test'}", f"masks.train_root={tmp_path / 'train'}"]
    assert run(*given, "--any-count") == 0
    printed = capsys.readouterr().out
    assert "3 masks" not in printed
    assert "4 masks, 55116 published" in printed
    assert "test masks seen in training: yes" in printed
    assert run("irregular") == 1
    assert "the holes of irregular are drawn" in capsys.readouterr().err


# ---------------------------------------------------------------------- reports
def test_findings_are_added_without_changing_those_that_are_added() -> None:
    report, first, second = Report(title="All"), Findings(["a"], ["n"], {"torn": ["1"]}), Findings(["b"])
    second.blame("torn", "2")
    for found in (first, second):
        report.extend(found)
    report.blame("torn", "3")
    assert (report.facts, report.notes, report.wrong) == (["a", "b"], ["n"], {"torn": ["1", "2", "3"]})
    assert (first, second) == (Findings(["a"], ["n"], {"torn": ["1"]}), Findings(["b"], [], {"torn": ["2"]}))


# ---------------------------------------------------------------------- many files
@pytest.mark.slow
def test_processes_give_the_same_in_the_same_order() -> None:
    numbers = range(-1000, 1000)
    assert list(spread(abs, numbers, len(numbers), "numbers", 2)) == [abs(n) for n in numbers]
