"""Every documented layout gives the documented splits; ambiguous or missing files are refused by name."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import trees
from hydra.utils import instantiate
from PIL import Image

from inpaintlab.config.compose import compose_config
from inpaintlab.data.datasets.bsds500 import BSDS500
from inpaintlab.data.datasets.celeba import CelebA
from inpaintlab.data.datasets.celebahq import CelebAHQ
from inpaintlab.data.datasets.codec_corpus import CID22, Kodak
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.datasets.paris import ParisStreetView
from inpaintlab.data.datasets.places2 import LBAM, Places2, category
from inpaintlab.data.files import lists
from inpaintlab.data.files.images import BadPicture, read_fast, read_picture
from inpaintlab.data.files.items import Files
from inpaintlab.data.files.lists import Names
from inpaintlab.errors import UserError


def names(source: Any, split: str) -> list[str]:
    return [item.name for item in source.split(split, 32)]


# ---------------------------------------------------------------------- lists
def test_names_behave_as_a_list_of_strings() -> None:
    plain = ["a/b.jpg", "", "Straße.png", "c d.jpg", "\udcff.jpg"]
    packed = Names(plain)
    assert list(packed) == plain
    assert [packed[-1], packed[1:3][1], len(packed)] == [plain[-1], plain[2], 5]
    assert list(packed.take(np.array([3, 0]))) == ["c d.jpg", "a/b.jpg"]
    assert list(Names(map(str, range(100))).spread(3)) == ["0", "50", "99"]
    assert list(pickle.loads(pickle.dumps(packed))) == plain
    assert not Names()
    with pytest.raises(IndexError, match="name 5 of 5"):
        packed[5]


def test_names_take_little_memory() -> None:
    tracemalloc.start()
    packed = Names(f"/a/airfield/{i:08d}.jpg" for i in range(100_000))
    assert tracemalloc.get_traced_memory()[0] < 4.5e6  # a list of such strings takes 8 MB more
    tracemalloc.stop()
    assert packed.nbytes == 100_000 * 24 + 100_001 * 8


def test_scan_follows_links_and_takes_suffixes_in_any_case(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a-b/1.png", "a/3.jpeg", ".hidden/4.png", "a/.5.png", "a/6.txt"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "7.png").touch()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "a" / "loop").symlink_to(tmp_path / "set")
    assert list(lists.scan(tmp_path / "set")) == ["a/3.jpeg", "a-b/1.png", "b/2.JPG", "link/7.png"]


def test_lists_of_every_form(tmp_path: Path) -> None:
    for text in ("/a/b.jpg 0\n/c d.jpg 12\n", "# made by hand\na/b.jpg\n\nc d.jpg\r\n"):
        (tmp_path / "l.txt").write_text(text)
        assert list(lists.read_list(tmp_path / "l.txt")) == ["a/b.jpg", "c d.jpg"]
    (tmp_path / "l.csv").write_text("image,mask\na.jpg,m.png\nb.jpg,\n")
    assert list(lists.read_list(tmp_path / "l.csv")) == ["a.jpg", "b.jpg"]
    assert list(lists.read_list(tmp_path / "l.csv", "mask")) == ["m.png"]
    (tmp_path / "l.txt").write_text("# nothing\n")
    with pytest.raises(FileNotFoundError, match="holds no names"):
        lists.read_list(tmp_path / "l.txt")
    with pytest.raises(FileNotFoundError, match="no such file list"):
        lists.read_list(tmp_path / "none.txt")


def test_folder_takes_lists_as_splits(tmp_path: Path) -> None:
    for i in range(4):
        trees.picture(tmp_path / "all" / f"{i}.png")
    (tmp_path / "tr.flist").write_text("all/3.png\nall/0.png\n")
    (tmp_path / "te.csv").write_text("image,mask\nall/1.png,x.png\n")
    source = Folder(tmp_path, train="tr.flist", test="te.csv")
    assert names(source, "train") == names(source, "val") == ["all/3.png", "all/0.png"]
    assert names(source, "test") == ["all/1.png"]


def test_large_folders_are_not_decoded_first(tmp_path: Path) -> None:
    for i in range(5):
        trees.picture(tmp_path / "train" / f"{i}.png")
    (tmp_path / "train" / "torn.png").write_bytes(b"torn")
    assert len(Folder(tmp_path, scan_limit=5).split("train", 32)) == 6
    with pytest.raises(BadPicture, match="1 of 6"):
        Folder(tmp_path, scan_limit=6).split("train", 32)


# ---------------------------------------------------------------------- Places2
@pytest.mark.parametrize("variant", ["small", "large", "easy"])
def test_places2_layouts(tmp_path: Path, variant: str) -> None:
    source = Places2(trees.places2(tmp_path, variant), variant=variant)
    train = names(source, "train")
    assert train[:4] == [
        "airfield/00000001.jpg", "airfield/00000002.jpg", "airfield/00000003.jpg",
        "apartment_building-outdoor/00000001.jpg",
    ]  # fmt: skip
    assert len(train) == 9
    assert sorted(names(source, "test")) == [f"Places365_val_{i:08d}.jpg" for i in range(1, 13)]
    assert set(names(source, "val")) <= set(train)  # there is no validation split, so training pictures stand in
    assert source.split("test", 32)[0].load().shape == (30, 40, 3)


@pytest.mark.parametrize("variant", ["small", "large", "easy"])
def test_places2_categories_and_halves(tmp_path: Path, variant: str) -> None:
    chosen = ["beach", "/a/apartment_building/outdoor"]
    source = Places2(trees.places2(tmp_path, variant), variant=variant, categories=chosen, halves=True)
    assert [name.split("/")[0] for name in names(source, "train")] == ["beach"] * 3 + ["apartment_building-outdoor"] * 3
    assert names(source, "val") == [f"Places365_val_{i:08d}.jpg" for i in (9, 11, 5, 7)]
    assert names(source, "test") == [f"Places365_val_{i:08d}.jpg" for i in (10, 12, 6, 8)]
    assert source.expected() == {"val": 100, "test": 100}


def test_places2_challenge_list_and_renamed_folders(tmp_path: Path) -> None:
    root = trees.places2(tmp_path)
    assert len(names(Places2(root, train_list="challenge"), "train")) == 8  # the list has one picture less
    (root / "data_256").rename(root / "data_256_standard")
    assert len(names(Places2(root), "train")) == 9
    with pytest.raises(FileNotFoundError, match=r"none of the folders data_256_challenge, data_256 is in .*val_256"):
        Places2(root, train_list="challenge").split("train", 32)
    assert names(Places2(root, test="test"), "test") == ["Places365_test_00000001.jpg", "Places365_test_00000002.jpg"]


def test_places2_lists_in_a_folder_of_their_own_or_missing(tmp_path: Path) -> None:
    root = trees.places2(tmp_path)
    (root / "filelist_places365-standard").mkdir()
    for path in root.glob("*.txt"):
        path.rename(root / "filelist_places365-standard" / path.name)
    assert len(names(Places2(root, categories=["beach"], halves=True), "test")) == 2
    for path in (root / "filelist_places365-standard").iterdir():
        path.unlink()
    assert len(names(Places2(root), "train")) == 9  # without a list all files of the folder count
    assert len(names(Places2(root), "test")) == 12
    with pytest.raises(FileNotFoundError, match="choice of categories.*places365_val.txt"):
        Places2(root, categories=["beach"]).split("test", 32)


def test_places2_errors(tmp_path: Path) -> None:
    root = trees.places2(tmp_path)
    with pytest.raises(UserError, match="category 'beech' in .*did you mean beach"):
        Places2(root, categories=["beech"]).split("train", 32)
    (root / "data_256" / "a" / "airfield" / "00000001.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"airfield/00000001.jpg is listed for 'train' but not there; .*verify"):
        Places2(root).split("train", 32)
    for options in ({"variant": "tiny"}, {"variant": "easy", "train_list": "challenge"}, {"categories": "ours"}):
        with pytest.raises(
            ValueError, match="must be one of|variant=easy has neither|categories must be null, lbam or a list"
        ):
            Places2(root, **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="data.root is not set"):
        Places2(None)


def test_category_spellings() -> None:
    assert {category(name) for name in ("/a/apartment_building/outdoor", LBAM[0], "apartment_building-outdoor")} == {
        "apartment_building-outdoor"
    }
    assert len(LBAM) == 10


# ---------------------------------------------------------------------- CelebA, CelebA-HQ
def test_celeba_by_its_partition(tmp_path: Path) -> None:
    source = CelebA(trees.celeba(tmp_path))
    assert [names(source, split) for split in ("train", "val", "test")] == [
        ["000001.jpg", "000002.jpg"], ["000003.jpg", "000004.jpg"], ["000005.jpg", "000006.jpg"],
    ]  # fmt: skip
    assert names(CelebA(tmp_path, test="val"), "test") == ["000003.jpg", "000004.jpg"]
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 7\n")
    with pytest.raises(UserError, match=r"line 1: expected `000001.jpg 0` with a 0, 1 or 2, got '000001.jpg 7'"):
        CelebA(tmp_path).split("train", 32)


@pytest.mark.parametrize("naming", ["zero", "one"])
def test_celebahq_splits_are_the_same_in_both_namings(tmp_path: Path, naming: str) -> None:
    root = trees.celebahq(tmp_path, naming)
    source = CelebAHQ(root, train_list="train.flist", test_list="test.flist")
    assert names(source, "train") == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "29996.jpg", "29997.jpg"]
    assert names(source, "test") == ["29998.jpg", "29999.jpg"]
    last = source.split("test", 32)[-1].path.name
    assert last == ("29999.jpg" if naming == "zero" else "30000.jpg")
    mapped = CelebAHQ(root, by="mapping")
    assert [len(names(mapped, split)) for split in ("train", "val", "test")] == [4, 2, 2]
    assert names(mapped, "val") == ["29996.jpg", "29997.jpg"]
    drawn = [CelebAHQ(root, by="random", split_seed=seed) for seed in (0, 0, 3)]
    assert names(drawn[0], "test") == names(drawn[1], "test") != names(drawn[2], "test")
    assert sorted(names(drawn[0], "train") + names(drawn[0], "test")) == sorted(
        names(source, "train") + names(source, "test")
    )


def test_celebahq_refuses_ambiguous_files_and_lists(tmp_path: Path) -> None:
    root = trees.celebahq(tmp_path)
    lists_given = {"train_list": "train.flist", "test_list": "test.flist"}
    (root / "CelebA-HQ-img" / "0.jpg").rename(root / "0.jpg")
    with pytest.raises(UserError, match=r"neither 0 nor 30000 is in CelebA-HQ-img.*data.pictures.naming=zero or"):
        CelebAHQ(root, **lists_given).split("train", 32)
    assert names(CelebAHQ(root, naming="zero", by="mapping"), "test") == ["29998.jpg", "29999.jpg"]
    (root / "0.jpg").rename(root / "CelebA-HQ-img" / "0.jpg")
    (root / "train.flist").write_text("1.jpg\n2.jpg\n")
    with pytest.raises(UserError, match=r"neither 0 nor 30000 is in train.flist and test.flist.*list_naming=zero"):
        CelebAHQ(root, **lists_given).split("train", 32)
    (root / "train.flist").write_text("0.jpg\n29998.jpg\n")
    with pytest.raises(UserError, match="1 pictures are in both lists, the first is 29998"):
        CelebAHQ(root, **lists_given).split("train", 32)
    with pytest.raises(UserError, match="data.pictures.train_list=FILE"):
        CelebAHQ(root).split("train", 32)
    trees.picture(root / "CelebA-HQ-img" / "00001.jpg")
    with pytest.raises(UserError, match=r"00001.jpg and .*/1.jpg have the same number"):
        CelebAHQ(root, by="random").split("train", 32)
    trees.picture(root / "data256x256" / "00001.jpg")
    with pytest.raises(UserError, match=r"holds CelebA-HQ-img, data256x256; choose one with data.pictures.folder="):
        CelebAHQ(root, by="random").split("train", 32)


# ---------------------------------------------------------------------- Paris StreetView
def test_paris_holds_out_pictures_by_seed(tmp_path: Path) -> None:
    root = trees.paris(tmp_path)
    source = ParisStreetView(root, held_out=3)
    train, val = names(source, "train"), names(source, "val")
    assert (len(train), len(val)) == (5, 3)
    assert not set(train) & set(val)
    assert all(name.endswith(".jpg") for name in train)
    assert source.split("train", 32)[0].path.suffix == ".JPG"
    assert names(source, "test") == [
        "001_im.png",
        "002_im.png",
        "003_im.png",
    ]  # without the corrupted copies beside them
    assert names(ParisStreetView(root, held_out=3), "val") == val
    assert any(names(ParisStreetView(root, held_out=3, split_seed=s), "val") != val for s in (1, 2, 3))
    with pytest.raises(UserError, match="100 pictures cannot be held out of 8"):
        ParisStreetView(root).split("train", 32)
    assert ParisStreetView(root).expected() == {"train": 14_800, "val": 100, "test": 100}


# ---------------------------------------------------------------------- open sets
def test_cid22_trains_on_its_training_pictures_and_tests_on_kodak(tmp_path: Path) -> None:
    root = trees.codec_corpus(tmp_path)
    source = CID22(root)
    assert names(source, "train") == ["1000.png", "1001.png", "1002.png", "1003.png"]
    assert names(source, "val") == ["2000.png", "2001.png"]
    assert names(source, "test") == names(Kodak(root), "test") == ["1.png", "2.png", "3.png"]
    assert source.split("train", 32)[3].load().shape == (40, 40, 3)  # grey in the file
    assert source.expected() == {"train": 209, "val": 41, "test": 24}
    with pytest.raises(UserError, match="Kodak has no 'train' pictures, only test"):
        Kodak(root).split("train", 32)
    with pytest.raises(FileNotFoundError, match="CID22: none of the folders CID22/CID22-512/training is in"):
        CID22(root / "CID22").split("train", 32)


@pytest.mark.parametrize("inside", ["BSDS500/data/images", "data/images", "."])
def test_bsds500_has_three_splits_wherever_its_folders_are(tmp_path: Path, inside: str) -> None:
    source = BSDS500(trees.bsds500(tmp_path, inside))
    assert names(source, "train") == ["0.jpg", "1.jpg", "2.jpg"]
    assert names(source, "val") == ["100.jpg"]
    assert names(source, "test") == ["200.jpg", "201.jpg"]
    assert source.expected() == {"train": 200, "val": 100, "test": 200}


@pytest.mark.parametrize("data", ["cid22", "bsds500"])
def test_open_sets_give_training_batches_and_pairs(tmp_path: Path, data: str) -> None:
    root = trees.codec_corpus(tmp_path) if data == "cid22" else trees.bsds500(tmp_path)
    small = ["data.geometry.size=16", "data.geometry.short_side=32", "data.batch_size=2", "batches=2", "data.workers=0"]
    module = instantiate(compose_config([f"data={data}", f"data.root={root}", *small]).data, _convert_="all")
    batch = next(iter(module.stream()))
    assert batch["image"].shape == (2, 3, 16, 16)
    assert len(module.pairs("test").items) == (3 if data == "cid22" else 2)


# ---------------------------------------------------------------------- reading fast
@pytest.mark.parametrize("orientation", range(1, 9))
def test_fast_reading_equals_exact_reading(tmp_path: Path, orientation: int) -> None:
    path = trees.picture(tmp_path / "a.jpg", (61, 47))
    exif = Image.Exif()
    exif[274] = orientation
    with Image.open(path) as image:
        image.save(tmp_path / "turned.jpg", exif=exif, quality=95, progressive=orientation > 4)
    assert np.array_equal(read_fast(tmp_path / "turned.jpg"), read_picture(tmp_path / "turned.jpg"))


@pytest.mark.parametrize("make", [("L", ".jpg"), ("CMYK", ".jpg"), ("RGBA", ".png"), ("P", ".png")])
def test_fast_reading_of_other_modes(tmp_path: Path, make: tuple[str, str]) -> None:
    path = trees.picture(tmp_path / f"a{make[1]}", mode=make[0])
    assert np.array_equal(read_fast(path), read_picture(path))
    assert np.abs(read_fast(path, 8).mean((0, 1)) - read_picture(path).mean((0, 1))).max() < 6


def test_jpegs_that_only_pillow_accepts_are_read_by_it(tmp_path: Path) -> None:
    path = trees.picture(tmp_path / "a.jpg", (200, 200))
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes(50) + content[-2:])  # extra bytes before the end marker, a warning of libjpeg
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(path.read_bytes())
    assert np.array_equal(read_fast(path, 50), read_picture(path))


@pytest.mark.parametrize("read", [read_fast, read_picture])
def test_pictures_of_an_implausible_size_are_named(
    tmp_path: Path, read: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BadPicture, match="large.jpg: does not decode .*2500 pixels"):
        read(trees.picture(tmp_path / "large.jpg", (50, 50)))


@pytest.mark.parametrize("read", [read_fast, read_picture])
def test_torn_files_are_named_by_either_reader(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    path = trees.picture(tmp_path / "torn.jpg", (200, 200))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadPicture, match="torn.jpg: does not decode"):
        read(path)
    with pytest.raises(FileNotFoundError, match="no such picture"):
        read(tmp_path / "none.jpg")


def test_files_are_items_on_demand(tmp_path: Path) -> None:
    files = Files(tmp_path, Names(["a/1.jpg", "a/2.jpg", "b/3.jpg"]), lambda path: path[2:])
    assert [item.name for item in files[1:]] == ["2.jpg", "3.jpg"]
    assert files[-1].path == tmp_path / "b" / "3.jpg"
