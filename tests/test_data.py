"""Pictures, geometry, the training stream and the pairs are reproducible with any number of workers and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.data import seeds
from inpaintlab.data.datamodule import InpaintingData, to_batch
from inpaintlab.data.datasets.embedded_photos import Photos
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.files.images import BadPicture, find_bad, list_pictures, read_fast, read_grey, read_picture
from inpaintlab.data.geometry import KINDS, Geometry
from inpaintlab.data.holes.box import Box
from inpaintlab.data.holes.free_form import FreeForm
from inpaintlab.data.holes.mask_files import fit, touches_border
from inpaintlab.data.pairs import describe, digest, write_manifest
from inpaintlab.data.stream import Stream
from inpaintlab.data.workers import loader
from inpaintlab.errors import UserError


def module(folder: Path, **options: Any) -> InpaintingData:
    defaults: dict[str, Any] = {
        "pictures": Folder(folder), "geometry": Geometry(32), "train_holes": FreeForm(), "test_holes": FreeForm(),
        "batch_size": 4, "batches": 6, "workers": 0,
    }  # fmt: skip
    return InpaintingData(**(defaults | options))


def drain(data: InpaintingData, **options: int) -> list[dict[str, Any]]:
    return list(data.stream(**options))


def same(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x["image"], y["image"]) and torch.equal(x["hole"], y["hole"]) and x["name"] == y["name"]
        for x, y in zip(a, b, strict=True)
    )


# ---------------------------------------------------------------------- the stream
@pytest.mark.parametrize("workers", [2, 8])
def test_stream_is_the_same_with_any_number_of_workers(folder: Path, workers: int) -> None:
    assert same(drain(module(folder)), drain(module(folder, workers=workers)))


def test_stream_resumed_is_the_rest_of_the_stream(folder: Path) -> None:
    assert same(drain(module(folder))[3:], drain(module(folder), start=3))


def test_two_processes_get_the_halves_of_every_batch(folder: Path) -> None:
    whole = drain(module(folder))
    halves = [drain(module(folder), rank=rank, world=2) for rank in (0, 1)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert torch.equal(batch["image"], torch.cat([first["image"], second["image"]]))
        assert torch.equal(batch["hole"], torch.cat([first["hole"], second["hole"]]))


def test_batch_that_does_not_divide_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="batch_size=4 .* cannot be divided among 3 processes"):
        module(folder).stream(world=3)


def test_shared_holes_are_those_of_the_batch(folder: Path) -> None:
    whole = drain(module(folder, shared_holes=True))
    holes = [batch["hole"] for batch in whole]
    assert all(torch.equal(hole, hole[:1].expand_as(hole)) for hole in holes)
    assert not torch.equal(holes[0], holes[1])
    assert same(drain(module(folder, shared_holes=True), start=3), whole[3:])
    second = drain(module(folder, shared_holes=True), rank=1, world=2)
    assert all(torch.equal(half["hole"], hole[2:]) for half, hole in zip(second, holes, strict=True))
    for shared, own in zip(whole, drain(module(folder)), strict=True):
        assert torch.equal(shared["image"], own["image"])  # crops and flips do not change


def test_every_epoch_shows_every_picture_once_and_differently(folder: Path) -> None:
    keys = [key for batch in Stream(6, 4, 6, seed=0) for key in batch]
    for epoch in range(4):
        assert sorted(index for e, index, _ in keys if e == epoch) == list(range(6))
    assert [index for e, index, _ in keys if e == 0] != [index for e, index, _ in keys if e == 1]
    data = module(folder).train_set()
    first, again, later = data[0, 2, 0], data[0, 2, 3], data[1, 2, 4]
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["hole"], later["hole"])
    assert not torch.equal(module(folder, seed=1).train_set()[0, 2, 0]["hole"], first["hole"])


def test_length_in_batches_or_epochs_but_not_both(folder: Path) -> None:
    assert module(folder).total_batches() == 6
    assert module(folder, batches=None, epochs=3).total_batches() == 5  # 18 pictures in batches of 4
    for options in ({"batches": None}, {"epochs": 1}):
        with pytest.raises(UserError, match="set one of"):
            module(folder, **options).total_batches()


def test_bytes_travel_and_floats_are_made_at_the_end(folder: Path) -> None:
    raw = next(iter(module(folder).stream()))
    assert raw["image"].dtype == raw["hole"].dtype == torch.uint8
    batch = to_batch(raw)
    assert batch.image.shape == (4, 3, 32, 32)
    assert batch.hole.shape == (4, 1, 32, 32)
    assert 0 <= batch.image.min() < batch.image.max() <= 1
    assert set(batch.hole.unique().tolist()) == {0.0, 1.0}


# ---------------------------------------------------------------------- pairs
def test_pairs_are_pictures_times_bins_and_fixed(folder: Path, tmp_path: Path) -> None:
    first, second = (module(folder, seed=seed).pairs() for seed in (0, 1))
    assert len(first) == 3 * 6
    manifests = [[describe(*pairs.load(n)) for n in range(len(pairs))] for pairs in (first, second)]
    assert manifests[0] == manifests[1]  # the training seed has no influence
    assert digest(manifests[0]) != digest(manifests[0][::-1])
    other = module(folder, pairs_seed=1).pairs()
    assert describe(*other.load(0)).hole_sha256 != manifests[0][0].hole_sha256
    for pair in manifests[0]:
        low, high = (float(part) for part in pair.bin.split("-"))
        assert low < pair.hole_share <= high
    write_manifest(tmp_path / "pairs.csv", manifests[0])
    lines = (tmp_path / "pairs.csv").read_text().splitlines()
    assert lines[0] == "picture,bin,hole_share,picture_sha256,hole_sha256,hole"
    assert len(lines) == 19


def test_chosen_pairs_are_those_of_the_whole(folder: Path) -> None:
    pairs = module(folder).pairs()
    some = pairs.chosen([3, 7]).chosen([1])
    assert len(some) == 1
    assert describe(*some.load(0)) == describe(*pairs.load(7))
    assert pairs.spread(3) == [0, 8, 17]
    assert pairs.spread(99) == list(range(18))
    raws = list(loader(pairs, 0, batch_size=5))
    assert [name for raw in raws for name in raw["bin"]] == [pairs.load(n)[3] for n in range(18)]


# ---------------------------------------------------------------------- embedded photographs
@pytest.mark.parametrize("size", [64, 128, 256])
def test_photos_train_and_test_regions_share_no_pixel(size: int) -> None:
    def pixels(split: str) -> dict[str, np.ndarray]:
        seen: dict[str, np.ndarray] = {}
        for item in Photos().split(split, size):
            assert item.box is not None
            top, left, height, width = item.box
            region = seen.setdefault(item.path.name, np.zeros((1500, 1500), int))
            region[top : top + height, left : left + width] += 1
            assert item.load().shape == (height, width, 3)
            assert min(height, width) >= size
        return seen

    train, val, test = (pixels(split) for split in ("train", "val", "test"))
    for seen in (val, test):
        assert all(region.max() == 1 for region in seen.values())  # tiles do not overlap
    for other in (val, test):
        assert not any((train[name] * region).any() for name, region in other.items() if name in train)
    assert not set(val) & set(test)
    assert len({item.name for item in Photos().split("test", size)}) == len(Photos().split("test", size))


def test_photos_refuse_larger_crops() -> None:
    with pytest.raises(UserError, match="crops of at most 256 pixels, not 300"):
        Photos().split("test", 300)


# ---------------------------------------------------------------------- folders
def test_folder_without_splits_is_split_by_names(tmp_path: Path) -> None:
    for i in range(20):
        Image.new("RGB", (40, 40), (i, 0, 0)).save(tmp_path / f"p{i}.JPG", "JPEG")
    parts = {split: {item.name for item in Folder(tmp_path).split(split, 32)} for split in ("train", "val", "test")}
    assert [len(parts[s]) for s in ("train", "val", "test")] == [16, 2, 2]
    assert len(set.union(*parts.values())) == 20


def test_folder_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data.root is not set"):
        Folder(None)
    with pytest.raises(FileNotFoundError, match="does not exist: .*nowhere"):
        Folder(tmp_path / "nowhere").split("train", 32)
    with pytest.raises(FileNotFoundError, match="no pictures in"):
        Folder(tmp_path).split("train", 32)
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(FileNotFoundError, match="at least 3 are needed"):
        Folder(tmp_path).split("train", 32)


def test_broken_pictures_are_named_or_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "train" / "1.png").read_bytes()
    (folder / "train" / "torn.png").write_bytes(whole[: len(whole) // 2])
    (folder / "train" / "text.jpg").write_text("no picture")
    with pytest.raises(
        BadPicture, match=r"2 of 8 pictures do not decode:\n.*text.jpg(.|\n)*torn.png(.|\n)*on_broken=skip"
    ):
        Folder(folder).split("train", 32)
    source = Folder(folder, on_broken="skip", scan_cache=tmp_path / "scan.json")
    assert len(source.split("train", 32)) == 6
    assert len(source.skipped) == 2
    assert "left out 2 of 8" in capsys.readouterr().out


def test_scan_cache_skips_known_files_and_notices_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, cache = list_pictures(folder), tmp_path / "scan.json"
    assert find_bad(files, cache) == []
    files[0].write_bytes(b"broken now")
    assert [path for path, _ in find_bad(files, cache)] == [files[0]]
    monkeypatch.setattr("inpaintlab.data.files.images.read_fast", lambda path: pytest.fail(f"{path} was decoded again"))
    assert find_bad(files[1:], cache) == []


@pytest.mark.parametrize("content", ["", "[", "7", None])
def test_a_scan_cache_that_cannot_be_used_is_ignored(folder: Path, tmp_path: Path, content: str | None) -> None:
    (folder / "train" / "1.png").write_bytes(b"torn")
    cache = tmp_path / "scan.json"
    if content is None:
        cache.mkdir()  # neither readable nor writable
    else:
        cache.write_text(content)
    assert [path.name for path, _ in find_bad(list_pictures(folder), cache)] == ["1.png"]
    assert cache.is_dir() == (content is None)


def test_reading_turns_every_mode_into_rgb_and_refuses_16_bit(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "P", "CMYK", "1", "LA"):
        path = tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new("RGB", (6, 4), (200, 200, 200)).convert(mode if mode != "LA" else "L").convert(mode).save(path)
        picture = read_picture(path)
        assert picture.shape == (4, 6, 3)
        assert picture.dtype == np.uint8
        assert abs(int(picture[0, 0, 0]) - 200) < 60
    Image.fromarray(np.full((4, 6), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(BadPicture, match="deep.png.*convert to 8 bit"):
        read_picture(tmp_path / "deep.png")
    Image.fromarray(np.array([[[255, 255, 255, 0], [0, 0, 0, 255]]], np.uint8)).save(tmp_path / "alpha.png")
    assert read_grey(tmp_path / "alpha.png").tolist() == [[255, 0]]  # by colour, not by alpha


def test_large_jpegs_are_decoded_small_for_training_only(tmp_path: Path) -> None:
    Image.new("RGB", (800, 640), (9, 9, 9)).save(tmp_path / "large.jpg")
    assert read_picture(tmp_path / "large.jpg").shape == (640, 800, 3)
    assert read_fast(tmp_path / "large.jpg", 150).shape == (160, 200, 3)
    assert read_fast(tmp_path / "large.jpg", 161).shape == (240, 300, 3)
    assert read_fast(tmp_path / "large.jpg", 320).shape == (320, 400, 3)
    assert read_fast(tmp_path / "large.jpg", 321).shape == (
        640,
        800,
        3,
    )  # scales above a half cost as much as full size
    assert read_fast(tmp_path / "large.jpg").shape == (640, 800, 3)
    assert Geometry(32).at_least is None  # crops need the full resolution
    assert Geometry(32, "short_side_then_random_crop", 48).at_least == 48
    assert Geometry(32, "resize_square").at_least == 32


# ---------------------------------------------------------------------- geometry
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(40, 60), (61, 47), (20, 25)])
def test_geometry_gives_squares_of_any_picture(kind: str, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    geometry = Geometry(32, kind)
    views = [geometry.train(picture, seeds.generator("x", i)) for i in (0, 0, 1, 2, 3)]
    assert all(view.shape == (32, 32, 3) for view in views)
    assert np.array_equal(views[0], views[1])
    assert any(not np.array_equal(views[0], view) for view in views[2:])
    assert np.array_equal(geometry.test(picture), geometry.test(picture))


def test_crops_keep_the_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    assert np.array_equal(Geometry(32).test(picture), picture[9:41, 19:51])
    view = Geometry(32, flip=0.0).train(picture, seeds.generator("x", 5))
    windows = np.lib.stride_tricks.sliding_window_view(picture, (32, 32), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    assert (windows == view).all((2, 3, 4)).any()


def test_flips_happen_half_the_time() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    geometry = Geometry(32)
    flipped = sum(np.array_equal(geometry.train(picture, seeds.generator(i)), picture[:, ::-1]) for i in range(200))
    assert 70 < flipped < 130


def test_geometry_errors() -> None:
    for options, message in (
        ({"kind": "crop"}, "kind must be one of random_crop"),
        ({"kind": "short_side_then_random_crop", "short_side": 16}, "short_side must be at least size=32, got 16"),
        ({"short_side": 64}, "short_side=64 needs kind=short_side_then_random_crop, got kind=random_crop"),
    ):
        with pytest.raises(ValueError, match=message):
            Geometry(32, **options)  # type: ignore[arg-type]


def test_pictures_and_holes_that_are_passed_in_stay_unchanged() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hole = FreeForm().draw(seeds.generator("x"), "0.2-0.3", 64, 64)
    for array in (picture, hole):
        array.setflags(write=False)  # numpy then raises at any change
    for kind in KINDS:
        geometry = Geometry(32, kind)
        assert geometry.test(picture).shape == (32, 32, 3)
        assert all(geometry.train(picture, seeds.generator(i)).shape == (32, 32, 3) for i in range(8))
    assert fit(hole, 32, 32, "mask.png").shape == (32, 32)
    assert touches_border(hole)
    assert describe(picture, hole, "a", "0.2-0.3").hole_share == round(float(hole.mean()), 6)


def test_boxes_as_train_holes(folder: Path) -> None:
    raw = next(iter(module(folder, train_holes=Box(0.25, "random", "fixed25")).stream()))
    assert raw["hole"].sum((1, 2, 3)).tolist() == [256] * 4
