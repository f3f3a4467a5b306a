"""Faulty files get one clear message: damaged, missing, linked in circles, in other encodings, edited by hand."""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trees
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from PIL import Image, ImageFile

from inpaintlab.commands import data as data_command
from inpaintlab.config.compose import compose_config
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.files import lists
from inpaintlab.data.files.images import BadPicture, find_bad, read_fast, read_grey, read_picture
from inpaintlab.data.files.items import Item
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.mask_folder import MaskFolder
from inpaintlab.data.holes.overlap import masks_are_shared
from inpaintlab.data.pairs import Pair, PairSet, digest, read_manifest, write_manifest
from inpaintlab.data_preparation.examine import examine
from inpaintlab.data_preparation.manifest import check
from inpaintlab.data_preparation.verify import verify
from inpaintlab.data_preparation.verify_masks import verify_masks
from inpaintlab.errors import UserError
from inpaintlab.utils.process import explain

NOT_UTF8 = os.fsdecode(b"caf\xe9.png")


# ---------------------------------------------------------------------- decoding
def exif() -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112], block[0x011A] = "make", 6, 72.0
    return block.tobytes()


def read_or_none(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except BadPicture:
        return None


DAMAGED = {  # bytes to replace, their replacement, and whether the orientation can still be read
    "a number where text belongs": (b"\x01\x1a\x00\x05", b"\x01\x51\x00\x05", True),  # AttributeError from Pillow
    "a fraction where an integer belongs": (b"\x01\x1a\x00\x05", b"\x01\x24\x00\x05", True),  # struct.error
    "text where a fraction belongs": (b"\x01\x0f\x00\x02", b"\x01\x1b\x00\x02", True),  # TypeError
    "no header": (b"MM\x00*", b"MMg*", False),  # SyntaxError
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_picture_with_damaged_exif_is_read(tmp_path: Path, damage: str, suffix: str) -> None:
    old, new, readable = DAMAGED[damage]
    block = exif()
    assert block.count(old) == 1
    path = tmp_path / f"a.{suffix}"
    with Image.open(trees.picture(tmp_path / "plain.png", (40, 30))) as image:
        image.save(path, exif=block.replace(old, new))
    picture = read_picture(path)
    assert picture.shape == ((40, 30, 3) if readable else (30, 40, 3))
    assert np.array_equal(read_fast(path), picture)
    assert examine(Item("a", path)).wrong == ""
    assert examine(Item("a", path)).turned == readable


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_all_readers_agree_on_which_files_are_bad(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # spoilt bytes may announce a huge size
    rng, path, whole = np.random.default_rng(0), tmp_path / "spoilt", io.BytesIO()
    image = Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8))
    image.save(whole, kind, **({} if kind == "BMP" else {"exif": exif()}))
    bad = 0
    for _ in range(150):
        content = bytearray(whole.getvalue())
        for place in rng.integers(len(content), size=4):  # mostly in the header
            content[int(place) % int(rng.choice([len(content), 60]))] = int(rng.integers(256))
        path.write_bytes(content[: int(rng.integers(len(content)))] if rng.random() < 0.2 else content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrong = examine(Item("a", path)).wrong
            results = [read_or_none(read, path) for read in (read_picture, read_fast, read_grey)]
        assert [result is None for result in results] == [bool(wrong)] * 3
        assert wrong or np.array_equal(results[0], results[1])
        bad += bool(wrong)
    assert bad > 10


ODD = [struct.error("odd"), zlib.error("odd"), IndexError("odd"), EOFError(), OverflowError("odd"), MemoryError()]


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("read", [read_picture, read_fast, read_grey])
def test_undocumented_errors_of_decoders_become_bad_pictures(
    tmp_path: Path, read: Callable[[Path], Any], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise error

    path = trees.picture(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    said = str(error) or type(error).__name__
    with pytest.raises(BadPicture, match=rf"a.png: does not decode \({said}\)"):
        read(path)
    assert examine(Item("a", path)).wrong == f"does not decode ({said})"


def test_impossible_names_are_bad(tmp_path: Path) -> None:
    for name in ("a\0b.png", "a" * 300 + ".png"):
        path = tmp_path / name
        for read in (read_picture, read_fast):
            with pytest.raises(BadPicture, match="cannot be read"):
                read(path)
        assert examine(Item("a", path)).wrong
        assert [bad for bad, _ in find_bad([path])] == [path]


# ---------------------------------------------------------------------- missing files and links
def test_missing_files_count_as_bad_with_their_reasons(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "train" / "self.png").symlink_to("self.png")
    with pytest.raises(BadPicture, match=r"2 of 8 pictures(.|\n)*no such picture: .*gone.png\n.*self.png"):
        Folder(folder).split("train", 32)
    for _ in range(2):  # missing files do not enter the cache
        assert len(Folder(folder, on_broken="skip", scan_cache=tmp_path / "scan.json").split("train", 32)) == 6
    assert "left out 2 of 8" in capsys.readouterr().out
    (folder / "l.txt").write_text("train/0.png\ntrain/missing.png\n")
    assert [item.name for item in Folder(folder, train="l.txt", on_broken="skip").split("train", 32)] == ["train/0.png"]


def test_a_link_to_itself_is_skipped(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to("loop")
    assert list(lists.scan(tmp_path)) == ["a.png"]


def test_no_picture_is_found_twice(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    for path in (root / "a.png", root / "sub/b.png", root / ".store/c.png", outside / "d.png", outside / "in/e.png"):
        trees.picture(path)
    plain = ["a.png", "sub/b.png"]
    assert list(lists.scan(root)) == plain
    for name, target in (("all", "."), ("more", "sub"), ("up", "..")):
        (root / name).symlink_to(target)
    assert list(lists.scan(root)) == [*plain, "up/outside/d.png", "up/outside/in/e.png"]
    (root / "up").unlink()
    for name, target in (("x", outside / "in"), ("y", outside), ("z", outside), ("kept", root / ".store")):
        (root / name).symlink_to(target)
    assert list(lists.scan(root)) == ["a.png", "kept/c.png", "sub/b.png", "x/e.png", "y/d.png"]
    (tmp_path / "link").symlink_to(root)
    assert list(lists.scan(tmp_path / "link")) == list(lists.scan(root))


def test_missing_masks_are_left_out_of_the_comparison(tmp_path: Path) -> None:
    source = MaskFolder(trees.nvidia_test(tmp_path / "m", 1))
    other = MaskFolder(trees.nvidia_test(tmp_path / "o", 1))
    for name in ("00000.png", "00001.png"):
        (tmp_path / "m" / name).unlink()
    (tmp_path / "m" / "00001.png").symlink_to("00001.png")
    assert masks_are_shared(source, other)
    assert masks_are_shared(other, source)


# ---------------------------------------------------------------------- lists
@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_lists_of_other_editors(tmp_path: Path, suffix: str) -> None:
    text = "image\na.png\nb.png\n" if suffix == "csv" else "a.png\nb.png\n"
    path = tmp_path / f"l.{suffix}"
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    assert list(lists.read_list(path)) == ["a.png", "b.png"]
    for content in (text.encode("utf-16"), text.encode("utf-16-be"), codecs.BOM_UTF16_LE + "犬".encode("utf-16-le")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"l.{suffix} is not UTF-8 .*save it as UTF-8"):
            lists.read_list(path)


@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_names_that_lead_out_of_the_folder_are_refused(folder: Path, suffix: str) -> None:
    head = "image\n" if suffix == "csv" else ""
    path = folder / f"l.{suffix}"
    source = Folder(folder, train=path.name)
    path.write_text(f"{head}/train/1.png\n")  # like the official lists of Places2
    assert [item.name for item in source.split("train", 32)] == ["train/1.png"]
    path.write_text(f"{head}train/0.png\n{folder}/train/1.png\n")
    with pytest.raises(UserError, match=rf"l.{suffix} lists /.*/train/1.png; write paths relative to .*pictures"):
        source.split("train", 32)
    path.write_text(f"{head}train/../../secret.png\n")
    with pytest.raises(UserError, match=r"lists train/../../secret.png, which leads out of"):
        source.split("train", 32)
    path.write_text(f"{head}train/a..b.png\n/\n")
    assert list(source.names("train")) == ["train/a..b.png"]


def test_names_that_are_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    for i in range(12):
        trees.picture(root / f"p{i}.png")
    before = {split: set(Folder(root).names(split)) for split in ("train", "val", "test")}
    ranked = sorted(lists.scan(root), key=lambda name: hashlib.sha256(name.encode()).digest())
    assert before["test"] == set(ranked[:1])
    (root / NOT_UTF8).write_bytes((root / "p0.png").read_bytes())
    assert sum(NOT_UTF8 in Folder(root).names(split) for split in ("train", "val", "test")) == 1
    (root / NOT_UTF8).write_bytes(b"torn")
    for split in ("train", "val", "test"):
        Folder(root, on_broken="skip").split(split, 32)
    assert r"caf\udce9.png: does not decode" in capsys.readouterr().out
    verify(Folder(root)).text(None).encode()
    pairs = [Pair(NOT_UTF8, "other", 0.5, "aa", "bb", NOT_UTF8)]
    write_manifest(tmp_path / "pairs.csv", pairs)
    assert b"caf\xe9.png" in (tmp_path / "pairs.csv").read_bytes()
    assert read_manifest(tmp_path / "pairs.csv") == pairs
    digest(pairs)


# ---------------------------------------------------------------------- manifests
HEAD = "picture,bin,hole_share,picture_sha256,hole_sha256,hole\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,other,x,aa,bb,", r"pairs.csv, line 3: hole_share must be a number, got 'x'"),
        ("a.png,other", "pairs.csv, line 3: hole_share and picture_sha256 and hole_sha256 missing"),
        ("a.png,other,0.5,aa,bb,m.png,more", "pairs.csv, line 3: more columns than the header"),
        (",other,0.5,aa,bb,m.png", "pairs.csv, line 3: picture missing"),
        (f"{'a' * 200_000},other,0.5,aa,bb,m.png", "pairs.csv, line 3: field larger"),
    ],
)
def test_lines_of_a_manifest_that_are_not_pairs(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"{HEAD}a.png,other,0.5,aa,bb,\n{line}\n")
    with pytest.raises(UserError, match=message):
        read_manifest(tmp_path / "pairs.csv")


def test_manifests_of_other_editors(tmp_path: Path) -> None:
    pairs = [Pair("é.png", "other", 0.5, "aa", "bb", "m.png")]
    write_manifest(tmp_path / "pairs.csv", pairs)
    text = (tmp_path / "pairs.csv").read_bytes()
    (tmp_path / "pairs.csv").write_bytes(codecs.BOM_UTF8 + text.replace(b"\n", b"\r\n"))
    assert read_manifest(tmp_path / "pairs.csv") == pairs


@pytest.mark.parametrize("beside", ["{", "{}", "[]", '{"digest": "a", "overrides": "b"}'])
def test_the_file_beside_a_manifest_is_checked(tmp_path: Path, beside: str) -> None:
    write_manifest(tmp_path / "pairs.csv", [Pair("a.png", "other", 0.5, "aa", "bb")])
    (tmp_path / "pairs.csv.json").write_text(beside)
    with pytest.raises(UserError, match=r"pairs.csv.json (is not a JSON file|lacks `overrides` or `digest`)"):
        check(tmp_path / "pairs.csv")


def test_the_mask_file_of_a_pair_is_compared(folder: Path, tmp_path: Path) -> None:
    masks, file = trees.nvidia_test(tmp_path / "masks", 1), tmp_path / "pairs.csv"
    given = [
        "data=folder", f"data.root={folder}", "data.geometry.size=32", "data.workers=0", "masks=folder",
        f"masks.root={masks}", "data.pairing=random_1",
    ]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        data_command.main(["pairs", str(file), *given])
    assert end.value.code == 0
    masks.rename(tmp_path / "moved")
    here = [f"masks.root={tmp_path / 'moved'}"]
    assert check(file, here) == []
    pairs, text = read_manifest(file), file.read_text()
    file.write_text(text.replace(pairs[0].hole, "edited.png"))
    assert check(file, here) == [f"{pairs[0].picture}, {pairs[0].bin}: hole is {pairs[0].hole}, not edited.png"]
    file.write_text(text.replace("hole_sha256,hole\n", "hole_sha256\n").replace(".png\n", "\n"))
    rows = [line.rpartition(",")[0] for line in text.splitlines()]
    file.write_text("\n".join(rows) + "\n")  # a manifest without the column of mask files
    assert check(file, here) == []
    assert json.loads((tmp_path / "pairs.csv.json").read_text())["digest"] == digest(pairs)


# ---------------------------------------------------------------------- masks
def test_all_empty_bins_are_named_before_any_training(tmp_path: Path) -> None:
    for i, share in enumerate((0.15, 0.16, 0.25)):
        trees.mask(tmp_path / f"{i}.png", share)
    with pytest.raises(
        UserError,
        match=r"none of the 3 masks has a hole in the bins 0.01-0.1 or 0.3-0.4 or 0.4-0.5 or 0.5-0.6 at 64x64 "
        r"\(0.1-0.2 has 2, 0.2-0.3 has 1\); use other masks or remove these bins from masks.bins",
    ):
        MaskFolder(tmp_path).prepare(64, 64)
    MaskFolder(tmp_path, bins=["0.1-0.2", "0.2-0.3"]).prepare(64, 64)
    MaskFolder(tmp_path, bins=None).prepare(64, 64)


def test_masks_by_name_are_looked_up_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = MaskFolder(trees.nvidia_test(tmp_path, 2))
    passes = 0
    walk = lists.Names.__iter__

    def count(self: lists.Names) -> Any:
        nonlocal passes
        passes += 1
        return walk(self)

    monkeypatch.setattr(lists.Names, "__iter__", count)
    for number in range(24):
        assert source.named(f"{number:05d}")[0] == f"{number:05d}.png"
    assert passes == 1
    trees.mask(tmp_path / "sub" / "00003.png", 0.3)
    with pytest.raises(UserError, match="expected one mask named '00003' in .*, found 2"):
        MaskFolder(tmp_path).named("00003")


def test_masks_without_a_hole_are_named(tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path, 1)
    for name, level in [(f"empty{i:02d}", 0) for i in range(25)] + [("full", 255)]:
        Image.new("L", (64, 64), level).save(tmp_path / f"{name}.png")
    report = verify_masks(MaskFolder(tmp_path), size=64)
    assert report.wrong["masks without a hole"] == [f"empty{i:02d}.png" for i in range(25)]
    assert report.wrong["masks that are all hole"] == ["full.png"]
    assert "masks without a hole (25)\n    empty00.png\n" in report.text()
    assert "empty24.png" not in report.text()
    assert "empty24.png" in report.text(None)


def test_masks_of_a_mode_without_a_conversion_to_grey_are_named(tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path, 1)
    Image.new("LAB", (64, 64)).save(tmp_path / "lab.tif")
    with pytest.raises(BadPicture, match=r"lab.tif: does not decode \(conversion from LAB"):
        read_grey(tmp_path / "lab.tif")
    about = verify_masks(MaskFolder(tmp_path), size=64).wrong["cannot be read"]
    assert [line.partition(":")[0] for line in about] == ["lab.tif"]


def test_same_name_pairs_need_no_full_bins(tmp_path: Path) -> None:
    trees.picture(tmp_path / "p" / "test" / "a.png", (32, 32))
    trees.mask(tmp_path / "m" / "a.png", 0.25, size=32)
    items = Folder(tmp_path / "p").split("test", 32)
    assert PairSet(items, Geometry(32), MaskFolder(tmp_path / "m"), 0, "same_name").load(0)[3] == "0.2-0.3"


@pytest.mark.parametrize("part", ["train", "test"])
def test_qd_imd_asks_for_its_polarity(tmp_path: Path, part: str) -> None:
    for name in ("train", "test"):
        trees.mask(tmp_path / name / "0.png", 0.3)
    given = ["masks=qd_imd", f"masks.root={tmp_path}", "batches=1"]
    with pytest.raises(InstantiationException) as end:
        instantiate(compose_config(given).masks[part], _convert_="all")
    sentence = explain(end.value)
    assert sentence is not None
    assert sentence.startswith("masks.polarity is not set: look at a mask in ")
    assert sentence.endswith("and set masks.polarity=white_hole or black_hole")
    for polarity in ("white_hole", "black_hole"):
        config = compose_config([*given, f"masks.polarity={polarity}"])
        assert instantiate(config.masks[part], _convert_="all").polarity == polarity


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (["masks=folder"], "masks.root"),
        (["masks=qd_imd"], "masks.root"),
        (["masks=nvidia", "masks.root=x"], "masks.train_root"),
        (["data=folder"], "data.root"),
    ],
)
def test_a_missing_option_is_named_in_one_sentence(given: list[str], missing: str) -> None:
    with pytest.raises(UserError) as end:
        compose_config([*given, "batches=1"])
    assert str(end.value) == f"{missing} is not set: give it as {missing}=..."
