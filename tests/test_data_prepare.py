"""`inpaintlab data prepare` makes the same set in another layout, continues after a stop, and only reads originals."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
import trees
from PIL import Image

from inpaintlab.commands import data as data_command
from inpaintlab.data.datasets.celebahq import CelebAHQ
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.datasets.paris import ParisStreetView
from inpaintlab.data.datasets.places2 import Places2
from inpaintlab.data_preparation import archives
from inpaintlab.data_preparation.prepare import prepare
from inpaintlab.data_preparation.verify import verify
from inpaintlab.errors import UserError


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        data_command.main(["prepare", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() + str(path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def contents(source: NamedSet | Folder, split: str) -> list[tuple[str, bytes]]:
    return [(item.name, item.path.read_bytes()) for item in source.split(split, 32)]


# ---------------------------------------------------------------------- links
def test_prepared_sets_have_the_pictures_names_and_splits_of_the_originals(tmp_path: Path) -> None:
    options = {"categories": ["beach", "apartment_building/outdoor"], "halves": True}
    original = Places2(trees.places2(tmp_path / "from", "large"), variant="large", **options)  # type: ignore[arg-type]
    before = state(tmp_path / "from")
    counts, left_out = prepare(original, tmp_path / "out")
    assert (counts, left_out) == ({"train": 6, "val": 4, "test": 4}, [])
    assert state(tmp_path / "from") == before
    prepared = Places2(tmp_path / "out", variant="large", **options)  # type: ignore[arg-type]
    assert prepared.is_prepared
    for split in counts:
        assert contents(prepared, split) == contents(original, split)
    assert all(item.path.is_symlink() for item in prepared.split("train", 32))
    lines = (tmp_path / "out" / "test.txt").read_text().splitlines()
    assert lines[0].startswith('# Places2, test, {"variant": "large"')
    assert lines[1:] == [item.name for item in original.split("test", 32)]
    report = verify(prepared)
    assert not report.wrong.keys() - {"another number of pictures than published"}
    assert any("symbolic links" in note for note in report.notes)
    with pytest.raises(UserError, match="was prepared as Places2 with halves=True and not False"):
        Places2(tmp_path / "out", variant="large", categories=["beach", "apartment_building/outdoor"]).split("train", 1)


@pytest.mark.parametrize("naming", ["zero", "one"])
def test_celebahq_is_renamed_to_count_from_zero(tmp_path: Path, naming: str) -> None:
    root = trees.celebahq(tmp_path / "from", naming)
    prepare(CelebAHQ(root, by="mapping"), tmp_path / "out")
    files = {path.name for path in (tmp_path / "out" / "train").iterdir()}
    assert files == {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}
    assert [item.name for item in CelebAHQ(tmp_path / "out", by="mapping").split("test", 1)] == [
        "29998.jpg",
        "29999.jpg",
    ]


def test_paris_gets_lower_case_suffixes(tmp_path: Path) -> None:
    prepare(ParisStreetView(trees.paris(tmp_path / "from"), held_out=2), tmp_path / "out")
    assert {path.suffix for path in (tmp_path / "out" / "train").iterdir()} == {".jpg"}


def test_a_prepared_folder_keeps_its_splits(tmp_path: Path) -> None:
    for i in range(20):
        trees.picture(tmp_path / "from" / "sub" / f"{i}.png")
    original = Folder(tmp_path / "from")
    prepare(original, tmp_path / "out")
    trees.picture(tmp_path / "from" / "sub" / "later.png")
    prepared = Folder(tmp_path / "out")
    for split in ("train", "val", "test"):
        names = [item.name.removeprefix(f"{split}/") for item in prepared.split(split, 32)]
        assert names == [name for name, _ in contents(original, split) if name != "sub/later.png"]


# ---------------------------------------------------------------------- reduced copies, stopped runs
def test_large_pictures_are_made_smaller_once(tmp_path: Path) -> None:
    root = tmp_path / "from"
    for i in range(6):
        trees.picture(root / "train" / f"{i}.jpg", (80, 60) if i else (30, 20))
    trees.picture(root / "test" / "a.png", (90, 45))
    (root / "train" / "5.jpg").write_bytes(b"torn")
    before = state(root)
    source = Folder(root)
    counts, left_out = prepare(source, tmp_path / "out", short_side=40)
    assert counts == {"train": 5, "val": 5, "test": 1}
    assert len(left_out) == 2  # once in training, once in validation
    assert "5.jpg" in left_out[0]
    assert (tmp_path / "out/train/0.jpg").is_symlink()  # already small enough
    assert Image.open(tmp_path / "out/train/1.jpg").size == (53, 40)
    assert Image.open(tmp_path / "out/test/a.png").size == (80, 40)
    assert state(root) == before

    made = state(tmp_path / "out")
    (tmp_path / "out/train/2.jpg").unlink()  # as after a stopped run
    (tmp_path / "out/prepared.json").rename(tmp_path / "out/preparing.json")
    prepare(source, tmp_path / "out", short_side=40)
    again = state(tmp_path / "out")
    assert again.keys() == made.keys()
    assert again["train/3.jpg"] == made["train/3.jpg"]  # kept, not written again
    with pytest.raises(UserError, match=r"prepared with another short_side \(40, not 30\)"):
        prepare(source, tmp_path / "out", short_side=30)


def test_a_stopped_preparation_is_not_a_prepared_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ParisStreetView(trees.paris(tmp_path / "from"), held_out=2)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("inpaintlab.data_preparation.prepare.write_lines", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, tmp_path / "out")
    assert not ParisStreetView(tmp_path / "out", held_out=2).is_prepared
    prepare(source, tmp_path / "out")
    assert ParisStreetView(tmp_path / "out", held_out=2).is_prepared


def test_out_must_be_separate_and_empty(tmp_path: Path) -> None:
    source = ParisStreetView(trees.paris(tmp_path / "from"), held_out=2)
    for out in (tmp_path, tmp_path / "from", tmp_path / "from" / "x"):
        with pytest.raises(UserError, match="contain each other"):
            prepare(source, out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(UserError, match="holds something else"):
        prepare(source, tmp_path / "full")
    trees.picture(tmp_path / "from/paris_train_original/48.842500_2.344968_90_-004.jpg")
    with pytest.raises(UserError, match=r"two pictures of train would be called 48.842500.*\.jpg"):
        prepare(ParisStreetView(tmp_path / "from", held_out=0), tmp_path / "out")


# ---------------------------------------------------------------------- archives
def packed(tmp_path: Path) -> Path:
    """The archives of Places2: tar files of train, val and the lists."""
    root, folder = trees.places2(tmp_path / "tree", "large"), tmp_path / "archives"
    folder.mkdir()
    for archive, member in (
        ("train_large_places365standard.tar", "data_large"), ("val_large.tar", "val_large"),
    ):  # fmt: skip
        with tarfile.open(folder / archive, "w") as tape:
            tape.add(root / member, member)
    with tarfile.open(folder / "filelist_places365-standard.tar", "w") as tape:
        for path in root.glob("*.txt"):
            tape.add(path, path.name)
    return folder


def test_from_archives_to_a_training_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = packed(tmp_path)
    before = state(folder)
    given = ["places2_large", str(tmp_path / "out"), f"data.root={folder}", "data.pictures.categories=[beach]"]
    assert run(*given) == 0
    printed = capsys.readouterr().out
    assert "3 pictures in train, 3 pictures in val, 4 pictures in test" in printed
    assert f"data=places2_large data.root={tmp_path / 'out'} 'data.pictures.categories=[beach]'" in printed
    assert state(folder) == before
    assert (tmp_path / "out/original/data_large_standard/b/beach/00000001.jpg").is_file()
    prepared = Places2(tmp_path / "out", variant="large", categories=["beach"])
    assert contents(prepared, "test") == contents(
        Places2(tmp_path / "tree", variant="large", categories=["beach"]), "test"
    )
    assert run(*given) == 0  # nothing left to do
    made = json.loads((tmp_path / "out" / "prepared.json").read_text())
    assert made["pictures"] == {"train": 3, "val": 3, "test": 4}


def test_unpacking_continues_and_refuses_torn_and_foreign_archives(tmp_path: Path) -> None:
    trees.picture(tmp_path / "a.jpg")
    trees.picture(tmp_path / "b.jpg")
    pack = tmp_path / "paris_train_original.zip"
    with zipfile.ZipFile(pack, "w") as archive:
        for name in ("a.jpg", "b.jpg"):
            archive.write(tmp_path / name, f"paris_train_original/{name.upper()}")
        archive.writestr("paris_train_original/Thumbs.db", b"x")
    into = tmp_path / "into"
    archives.unpack(pack, into, {})
    assert sorted(path.name for path in (into / "paris_train_original").iterdir()) == ["A.JPG", "B.JPG"]
    kept = (into / "paris_train_original/A.JPG").stat().st_mtime_ns
    (into / "paris_train_original/B.JPG").write_bytes(b"half")
    (into / f".unpacked-{pack.name}.json").unlink()
    archives.unpack(pack, into, {})
    assert (into / "paris_train_original/B.JPG").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert (into / "paris_train_original/A.JPG").stat().st_mtime_ns == kept
    torn = tmp_path / "torn.zip"
    torn.write_bytes(pack.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"torn.zip: does not unpack .* check that the download is complete"):
        archives.unpack(torn, into, {})
    with tarfile.open(tmp_path / "foreign.tar", "w") as tape:
        tape.add(tmp_path / "a.jpg", "../a.jpg")
    with pytest.raises(UserError, match=r"'../a.jpg' would be written elsewhere"):
        archives.unpack(tmp_path / "foreign.tar", into, {})


def test_photos_and_masks_need_no_preparation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos", str(tmp_path / "out")) == 1
    assert run("masks=folder", str(tmp_path / "out"), "masks.root=x") == 1
    errors = capsys.readouterr().err
    assert "the embedded photographs need no preparation" in errors
    assert "mask sets need no preparation" in errors
