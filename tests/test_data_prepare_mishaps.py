"""`inpaintlab data prepare` with errors: no original is lost, no split is mixed, no incomplete set is used."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import trees
from test_data_prepare import packed, run, state

from inpaintlab.commands import data as data_command
from inpaintlab.data.datasets.celeba import CelebA
from inpaintlab.data.datasets.celebahq import CelebAHQ
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.datasets.paris import ParisStreetView
from inpaintlab.data.datasets.places2 import Places2
from inpaintlab.data.datasets.source import PREPARED, SPLITS, STARTED
from inpaintlab.data_preparation import archives
from inpaintlab.data_preparation.prepare import Task, place, prepare
from inpaintlab.data_preparation.verify import verify
from inpaintlab.errors import UserError


# ---------------------------------------------------------------------- originals
@pytest.mark.parametrize("spelled", ["{root}/pics/1.jpg", "../pics/1.jpg"])
def test_pictures_outside_of_the_folder_are_refused_and_stay(tmp_path: Path, spelled: str) -> None:
    trees.picture(tmp_path / "pics" / "1.jpg")
    trees.picture(tmp_path / "set" / "test" / "1.jpg")
    (tmp_path / "set" / "train.csv").write_text(f"image\n{spelled.format(root=tmp_path)}\n")
    before = state(tmp_path / "pics")
    with pytest.raises(UserError, match=r"only pictures below .* can be prepared|write paths relative to|leads out of"):
        prepare(Folder(tmp_path / "set", train="train.csv", test="test"), tmp_path / "out")
    assert state(tmp_path / "pics") == before
    assert not (tmp_path / "pics/1.jpg").is_symlink()


def test_files_of_others_are_never_replaced(tmp_path: Path) -> None:
    source, target = trees.picture(tmp_path / "a.jpg"), trees.picture(tmp_path / "out" / "a.jpg")
    kept = target.read_bytes()
    with pytest.raises(FileExistsError):
        place(Task(source, target), None)
    assert target.read_bytes() == kept


# ---------------------------------------------------------------------- another run into the same folder
def test_another_choice_of_pictures_needs_another_folder(tmp_path: Path) -> None:
    for i in range(12):
        trees.picture(tmp_path / "from" / f"{i}.png")
    prepare(Folder(tmp_path / "from"), tmp_path / "out")
    made = state(tmp_path / "out")
    trees.picture(tmp_path / "from" / "later.png")  # would move pictures between splits
    with pytest.raises(UserError, match="prepared with another choice of pictures"):
        prepare(Folder(tmp_path / "from"), tmp_path / "out")
    assert state(tmp_path / "out") == made


def test_another_naming_of_faces_does_not_keep_the_old_pixels(tmp_path: Path) -> None:
    for n in range(1, 40):
        trees.picture(tmp_path / "from" / f"{n}.jpg", (50, 50))
    options = {"by": "random"}
    prepare(CelebAHQ(tmp_path / "from", naming="zero", **options), tmp_path / "out", short_side=32)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="prepared with another choice of pictures"):
        prepare(CelebAHQ(tmp_path / "from", naming="one", **options), tmp_path / "out", short_side=32)  # type: ignore[arg-type]


def test_a_wrong_option_does_not_claim_the_folder(tmp_path: Path) -> None:
    root = trees.places2(tmp_path / "from", "large")
    with pytest.raises(UserError, match="did you mean beach"):
        prepare(Places2(root, variant="large", categories=["beech"]), tmp_path / "out")
    prepare(Places2(root, variant="large", categories=["beach"]), tmp_path / "out")


# ---------------------------------------------------------------------- incomplete sets
@pytest.mark.parametrize("kind", ["folder", "named"])
def test_the_output_of_a_stopped_run_is_refused(tmp_path: Path, kind: str) -> None:
    root = trees.paris(tmp_path / "from")
    source: Folder | NamedSet = ParisStreetView(root, held_out=2) if kind == "named" else Folder(root)
    prepare(source, tmp_path / "out")
    (tmp_path / "out" / PREPARED).rename(tmp_path / "out" / STARTED)
    stopped = ParisStreetView(tmp_path / "out", held_out=2) if kind == "named" else Folder(tmp_path / "out")
    with pytest.raises(UserError, match="was stopped there; start it again"):
        stopped.split("train", 32)
    prepare(source, tmp_path / "out")
    assert len(stopped.split("train", 32))


def test_missing_pictures_are_named_and_the_run_continues_once_they_exist(tmp_path: Path) -> None:
    root = trees.places2(tmp_path / "from", "large")
    lost = root / "data_large/b/beach/00000002.jpg"
    kept = lost.rename(tmp_path / "kept.jpg")
    source = Places2(root, variant="large")
    with pytest.raises(UserError, match=r"1 pictures are listed but not there, .*beach/00000002.jpg; complete"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out" / PREPARED).exists()
    kept.rename(lost)
    assert prepare(source, tmp_path / "out")[0]["train"] == 9


def test_a_full_disk_stops_the_run_and_drops_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ParisStreetView(trees.paris(tmp_path / "from"), held_out=2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out/x.jpg"))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "symlink_to", full)
        with pytest.raises(UserError, match=r"x.jpg: No space left on device; start `prepare` again"):
            prepare(source, tmp_path / "out")
    assert prepare(source, tmp_path / "out")[0]["train"] == 6


@pytest.mark.parametrize("short_side", [None, 16])
def test_a_prepared_set_without_validation_pictures_is_sound(tmp_path: Path, short_side: int | None) -> None:
    root = trees.celebahq(tmp_path / "from", "one")

    def source(root: Path) -> CelebAHQ:
        return CelebAHQ(root, train_list="train.flist", test_list="test.flist", list_naming="zero")

    prepare(source(root), tmp_path / "out", short_side=short_side)
    report = verify(source(tmp_path / "out"), any_count=True)
    assert "no validation split: validation uses training pictures" in report.notes
    assert not report.wrong


def test_a_prepared_folder_without_validation_pictures_is_sound(tmp_path: Path) -> None:
    for split, numbers in {"train": range(4), "test": range(4, 6)}.items():
        for i in numbers:
            picture = trees.picture(tmp_path / "from" / split / f"{i}.png", (30 + i, 20))
            picture.write_bytes(picture.read_bytes() + bytes([i]))
    prepare(Folder(tmp_path / "from"), tmp_path / "out")
    report = verify(Folder(tmp_path / "out"))
    assert "no validation split: validation uses training pictures" in report.notes
    assert not report.wrong


# ---------------------------------------------------------------------- layouts
@pytest.mark.parametrize("padded", [True, False])
def test_a_missing_face_is_named_like_the_others(tmp_path: Path, padded: bool) -> None:
    for n in (1, 2, 4, 29999, 30000):
        trees.picture(tmp_path / "data256x256" / (f"{n:05d}.jpg" if padded else f"{n}.jpg"))
    (tmp_path / "train.flist").write_text("0.jpg\n1.jpg\n2.jpg\n")
    (tmp_path / "test.flist").write_text("29998.jpg\n29999.jpg\n")
    source = CelebAHQ(tmp_path, train_list="train.flist", test_list="test.flist", list_naming="zero")
    missing = "data256x256/00003.jpg" if padded else "data256x256/3.jpg"
    assert source.names("train")[2] == missing
    assert source.name_of(missing) == "2.jpg"


def test_celeba_in_a_folder_of_its_own_name(tmp_path: Path) -> None:
    trees.celeba(tmp_path / "from")
    (tmp_path / "to" / "img_align_celeba").mkdir(parents=True)
    shutil.copytree(tmp_path / "from/img_align_celeba", tmp_path / "to/img_align_celeba/img_align_celeba")
    shutil.copy(tmp_path / "from/list_eval_partition.txt", tmp_path / "to")
    assert len(CelebA(tmp_path / "to").split("train", 32)) == len(CelebA(tmp_path / "from").split("train", 32))


# ---------------------------------------------------------------------- archives
@pytest.mark.parametrize("cut", [0, 512, 1024])
def test_an_archive_that_ends_between_two_members_is_torn(tmp_path: Path, cut: int) -> None:
    for name in ("a.jpg", "b.jpg"):
        trees.picture(tmp_path / name)
    with tarfile.open(tmp_path / "whole.tar", "w") as tape:
        tape.add(tmp_path / "a.jpg", "x/a.jpg")
        end = tape.offset
        tape.add(tmp_path / "b.jpg", "x/b.jpg")
    archives.unpack(tmp_path / "whole.tar", tmp_path / "into", {})
    (tmp_path / "torn.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[: end + cut])
    with pytest.raises(UserError, match="torn.tar: does not unpack"):
        archives.unpack(tmp_path / "torn.tar", tmp_path / "other", {})
    assert not list((tmp_path / "other").glob(".unpacked*"))


def test_a_damaged_member_is_reported(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("x/a.jpg", bytes(range(256)) * 400)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match="a.zip: does not unpack"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "into", {})


def test_unpacked_folders_beside_archives_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = packed(tmp_path)
    (folder / "val_large.tar").unlink()
    shutil.copytree(tmp_path / "tree" / "val_large", folder / "val_large")
    before = state(folder)
    given = ["places2_large", str(tmp_path / "out"), f"data.root={folder}"]
    for _ in range(2):
        assert run(*given) == 0, capsys.readouterr().err
    assert state(folder) == before


def test_archives_are_not_unpacked_into_a_used_folder(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    before = state(folder)
    for out in (folder, tmp_path / "tree"):
        assert run("places2_large", str(out), f"data.root={folder}") == 1
        assert not (out / "original").exists()
    assert state(folder) == before


# ---------------------------------------------------------------------- the command line
def test_overrides_may_follow_options() -> None:
    given = data_command.parsed(["pairs", "pairs.csv", "--check", "data.root=ELSEWHERE"])
    assert (given.check, given.overrides) == (True, ["data.root=ELSEWHERE"])
    given = data_command.parsed(["prepare", "places2", "OUT", "data.root=A", "--short-side", "9", "data.pairs_seed=3"])
    assert (given.short_side, given.overrides) == (9, ["data.root=A", "data.pairs_seed=3"])
    for wrong in (["--chek"], ["--short-side", "0"], ["--short-side", "-5"]):
        with pytest.raises(SystemExit):
            data_command.parsed(["prepare", "places2", "OUT", "a=b", *wrong])


def test_the_command_printed_at_the_end_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "my pictures"
    for i in range(3):
        trees.picture(root / "all" / f"{i}.png")
    for split in SPLITS:
        (root / f"{split}.txt").write_text(f"all/{SPLITS.index(split)}.png\n")
    options = [f"data.pictures.{split}={split}.txt" for split in SPLITS]
    assert run("folder", str(tmp_path / "out put"), f"data.root={root}", *options, "data.batch_size=2") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"data=folder 'data.root={tmp_path / 'out put'}' data.batch_size=2")


def alive(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_command_leaves_no_process_and_no_traceback(tmp_path: Path, number: int) -> None:
    for i in range(300):
        trees.picture(tmp_path / "from" / f"{i}.png", (300, 300))
    command = [sys.executable, "-m", "inpaintlab", "data", "verify", "folder", f"data.root={tmp_path / 'from'}"]
    with (tmp_path / "error.txt").open("w+") as error:
        child = subprocess.Popen([*command, "--processes", "2"], stderr=error, stdout=error, start_new_session=True)
        deadline = time.monotonic() + 300
        while "Folder train" not in (tmp_path / "error.txt").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)  # until its processes have started
        child.send_signal(number)
        status = child.wait(300)
    deadline = time.monotonic() + 300
    while alive(child.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(child.pid)
    printed = (tmp_path / "error.txt").read_text()
    assert "Traceback" not in printed
    if status > 0 and number == signal.SIGINT:  # a fast machine may finish before the signal
        assert status == 130
        assert printed.splitlines()[-1] == "stopped"
