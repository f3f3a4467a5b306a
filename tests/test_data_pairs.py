"""Pairing protocols depend on name and seed; manifests are written, checked, and fix the pairs of an evaluation."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from inpaintlab.commands import data as data_command
from inpaintlab.config.compose import compose_config
from inpaintlab.config.plain import to_plain
from inpaintlab.config.run_folder import evaluation_key
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.free_form import FreeForm
from inpaintlab.data.holes.mask_folder import MaskFolder
from inpaintlab.data.pairing import PROTOCOLS, numbers
from inpaintlab.data.pairs import PairSet, describe, digest, read_manifest, write_manifest
from inpaintlab.data_preparation.manifest import check
from inpaintlab.errors import UserError


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        data_command.main(["pairs", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    return trees.nvidia_test(tmp_path / "masks", 1)


def pairs(folder: Path, masks: Path, protocol: str, seed: int = 0) -> PairSet:
    return PairSet(Folder(folder).split("test", 32), Geometry(32), MaskFolder(masks), seed, protocol)


# ---------------------------------------------------------------------- protocols
def test_numbers_of_every_protocol() -> None:
    assert list(numbers("every_bin", 3, 2, 0)) == list(numbers("fixed_lists", 3, 2, 0)) == [0, 1, 2, 3, 4, 5]
    assert list(numbers("same_name", 3, 2, 0)) == [0, 2, 4]
    one = numbers("one_per_picture", 600, 6, 0)
    assert [n // 6 for n in one] == list(range(600))
    assert min(np.bincount([n % 6 for n in one])) > 60
    assert list(one) == list(numbers("one_per_picture", 600, 6, 0)) != list(numbers("one_per_picture", 600, 6, 1))
    some = numbers("random_500", 600, 6, 0)
    assert (len(some), len({n // 6 for n in some})) == (3000, 500)
    assert list(some) == sorted(some) != list(numbers("random_500", 600, 6, 1))
    with pytest.raises(UserError, match="there are 600 pictures, not 601"):
        numbers("random_601", 600, 6, 0)
    with pytest.raises(UserError, match="must be one of " + ", ".join(PROTOCOLS)):
        numbers("all", 600, 6, 0)
    with pytest.raises(UserError, match="did you mean every_bin"):
        numbers("every_bins", 600, 6, 0)
    with pytest.raises(UserError, match="random_N needs a number in place of N, such as random_500"):
        numbers("random_N", 600, 6, 0)


def test_fixed_lists_give_each_bin_its_masks_in_turn(folder: Path, masks: Path) -> None:
    described = [pairs(folder, masks, "fixed_lists").describe(n) for n in range(18)]
    by_bin = {bin: [p.hole for p in described if p.bin == bin] for bin in ("0.01-0.1", "0.3-0.4")}
    for names in by_bin.values():
        assert len(set(names[:2])) == 2
        assert names[2] == names[0]  # two masks for three pictures
    assert described == [pairs(folder, masks, "fixed_lists", seed=5).describe(n) for n in range(18)]


def test_every_bin_names_the_masks_it_takes(folder: Path, masks: Path) -> None:
    some = pairs(folder, masks, "every_bin")
    for n in range(len(some)):
        pair = some.describe(n)
        source = MaskFolder(masks)
        assert np.array_equal(source.named(Path(pair.hole).stem)[1][::2, ::2], some.load(n)[1])
    drawn = PairSet(Folder(folder).split("test", 32), Geometry(32), FreeForm(), 0)
    assert drawn.describe(0).hole == ""
    assert drawn.describe(0) == describe(*drawn.load(0))


def test_same_name_masks_go_where_the_pixels_of_their_picture_go(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    for name, size in (("a", (60, 40)), ("b", (32, 32))):
        trees.picture(root / "test" / f"{name}.jpg", size)
        trees.picture(root / "train" / f"{name}0.jpg", size)
    hole = np.zeros((40, 60), np.uint8)
    hole[:, :30] = 255  # the left half, also of the central square
    (tmp_path / "m").mkdir()
    Image.fromarray(hole).save(tmp_path / "m" / "a.png")
    trees.mask(tmp_path / "m" / "b.png", 0.25)  # 64 x 64 for a picture of 32 x 32
    some = PairSet(
        Folder(root).split("test", 32), Geometry(32, "center_crop_square"), MaskFolder(tmp_path / "m"), 0, "same_name"
    )
    assert len(some) == 2
    _, own, name, bin = some.load(0)
    assert (name, bin) == ("test/a.jpg", "0.4-0.5")
    assert own[:, :16].all()
    assert not own[:, 16:].any()
    assert some.describe(1).hole == "b.png"
    assert some.describe(1).bin == "0.2-0.3"
    (tmp_path / "m" / "b.png").unlink()
    fewer = PairSet(Folder(root).split("test", 32), Geometry(32), MaskFolder(tmp_path / "m"), 0, "same_name")
    with pytest.raises(UserError, match="expected one mask named 'b' in .*, found 0"):
        fewer.load(1)


# ---------------------------------------------------------------------- manifests
def test_the_digest_does_not_depend_on_the_hole_file(folder: Path, masks: Path, tmp_path: Path) -> None:
    some = pairs(folder, masks, "every_bin")
    assert digest([some.describe(n) for n in range(4)]) == digest([describe(*some.load(n)) for n in range(4)])
    described = [some.describe(n) for n in range(len(some))]
    write_manifest(tmp_path / "pairs.csv", described)
    assert read_manifest(tmp_path / "pairs.csv") == described
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is not a manifest of pairs: expected the columns picture, bin, .*, got a, b"):
        read_manifest(tmp_path / "other.csv")
    with pytest.raises(FileNotFoundError, match="no such manifest"):
        read_manifest(tmp_path / "none.csv")


def test_manifest_is_written_checked_and_kept(
    folder: Path, masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pairs.csv"
    given = [
        "data=folder", f"data.root={folder}", "data.geometry.size=32", "data.workers=0", "masks=folder",
        f"masks.root={masks}", "data.pairing=random_2", f"output={tmp_path / 'runs'}",
    ]  # fmt: skip
    assert run(str(file), *given) == 0
    assert "12 pairs, digest" in capsys.readouterr().out
    assert json.loads((tmp_path / "pairs.csv.json").read_text())["pairing"] == "random_2"
    assert run(str(file), "--check") == 0
    assert run(str(file), *given, "data.pairs_seed=1") == 1
    assert "holds other pairs" in capsys.readouterr().err
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert check(file, [f"data.root={moved}"]) == []

    chosen = sorted({pair.picture for pair in read_manifest(file)})
    trees.picture(moved / chosen[0], (60, 48))
    first = sorted(masks.iterdir())[0]
    Image.new("L", (64, 64), 255).save(first)  # no longer in its bin
    differences = check(file, [f"data.root={moved}"])
    assert any(line.startswith(f"{chosen[0]}, 0.5-0.6: picture_sha256 is") for line in differences)
    assert any(line.startswith(f"{chosen[1]}, 0.01-0.1: hole_sha256 is") for line in differences)
    assert run(str(file), f"data.root={moved}", "--check") == 1
    assert "differences" in capsys.readouterr().out
    file.write_text(file.read_text().replace("0.1-0.2", "0.2-0.3", 1))
    assert any("was changed: its digest" in line for line in check(file, [f"data.root={moved}"]))


def test_an_evaluation_must_match_its_manifest(folder: Path, tmp_path: Path) -> None:
    items = Folder(folder).split("test", 32)
    first = PairSet(items, Geometry(32), FreeForm(), 0)
    expected = [first.describe(n) for n in range(len(first))]
    same = PairSet(items, Geometry(32), FreeForm(), 0, expected=expected)
    assert same.chosen([5, 7]).load(1)[3] == expected[7].bin
    other = PairSet(items, Geometry(32), FreeForm(), 1, expected=expected)
    with pytest.raises(UserError, match=r"pair of test/0.png and 0.2-0.3 differs from the manifest: hole_sha256 is"):
        other.chosen([2]).load(0)
    with pytest.raises(UserError, match="the manifest lists 17 pairs, the pictures and holes give 18"):
        PairSet(items, Geometry(32), FreeForm(), 0, expected=expected[1:])


def test_the_name_of_an_evaluation_depends_on_the_pairing() -> None:
    def key(*more: str) -> str:
        return evaluation_key(to_plain(compose_config(["scale=demo", *more])))

    assert key() == key("data.pairing=every_bin") == key("data.manifest=x.csv")
    assert key() != key("data.pairing=one_per_picture")


def test_the_name_of_an_evaluation_is_found_without_changing_the_config() -> None:
    given = ["scale=demo", "data=folder", "data.root=PICTURES", "data.pictures.on_broken=skip"]
    config = to_plain(compose_config(given))
    before = deepcopy(config)
    key = evaluation_key(config)
    assert config == before
    assert config["data"]["pictures"]["on_broken"] == "skip"
    assert key == evaluation_key(to_plain(compose_config(given[:-1])))  # which pictures are broken is not part of it
