"""The command `inpaint`: any size and mode, known pixels bit for bit, clear errors, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig
from PIL import Image
from tiny_checkpoint import tiny_lbam

from inpaintlab.commands import evaluate as evaluate_command
from inpaintlab.commands import inpaint
from inpaintlab.networks.fills import FILLS
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]


@pytest.fixture
def checkpoint(compose: Compose) -> Path:
    return run_training(compose("batches=1")) / "checkpoints" / "last.ckpt"


def write(path: Path, height: int, width: int, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA").convert(mode).save(path)
    return path


def write_mask(path: Path, height: int, width: int, box: tuple[int, int, int, int] = (5, 20, 8, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((height, width), np.uint8)
    mask[box[0] : box[1], box[2] : box[3]] = 255
    Image.fromarray(mask).save(path)
    return path


def call(checkpoint: Path, image: Path, mask: Path, out: Path, *more: str) -> int:
    """Exit status."""
    try:
        inpaint.main(
            ["--checkpoint", str(checkpoint), "--image", str(image), "--mask", str(mask), "--out", str(out), *more]
        )
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(("height", "width"), [(32, 32), (37, 61), (120, 45)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_any_size_and_mode_keeps_known_pixels(
    checkpoint: Path, tmp_path: Path, height: int, width: int, mode: str
) -> None:
    image, mask = write(tmp_path / "a.png", height, width, mode), write_mask(tmp_path / "m.png", height, width)
    assert call(checkpoint, image, mask, tmp_path / "out.png") == 0
    before, after = Image.open(image), Image.open(tmp_path / "out.png")
    assert after.mode == ("RGBA" if mode == "RGBA" else "RGB")
    known = np.asarray(Image.open(mask)) == 0
    a, b = np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB"))
    assert np.array_equal(a[known], b[known])
    assert not np.array_equal(a[~known], b[~known])
    if mode == "RGBA":
        assert np.array_equal(np.asarray(before)[..., 3], np.asarray(after)[..., 3])


def test_folders_by_name_with_one_bad_picture(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.png", "sub/two.bmp", "bad.png"):
        write(tmp_path / "photos" / name, 24, 40)
        write_mask(tmp_path / "masks" / Path(name).with_suffix(".png"), 24, 40)
    (tmp_path / "photos" / "bad.png").write_text("x")
    arguments = (checkpoint, tmp_path / "photos", tmp_path / "masks", tmp_path / "out")
    assert call(*arguments) == 1
    printed = capsys.readouterr()
    assert "bad.png: does not decode" in printed.err
    assert "2 of 3 written" in printed.out
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png")) == [
        "one.png",
        "sub/two.png",
    ]
    stamp = (tmp_path / "out" / "one.png").stat().st_mtime_ns
    write(tmp_path / "photos" / "bad.png", 24, 40)
    assert call(*arguments) == 0
    assert "2 of 3 results exist and are kept" in capsys.readouterr().out
    assert (tmp_path / "out" / "one.png").stat().st_mtime_ns == stamp


def test_polarity_and_threshold(checkpoint: Path, tmp_path: Path) -> None:
    image, mask = write(tmp_path / "a.png", 32, 32), tmp_path / "m.png"
    grey = np.full((32, 32), 255, np.uint8)
    grey[4:9, 4:9] = 90
    Image.fromarray(grey).save(mask)
    assert call(checkpoint, image, mask, tmp_path / "o.png", "--polarity", "black_hole") == 0
    changed = (np.asarray(Image.open(image).convert("RGB")) != np.asarray(Image.open(tmp_path / "o.png"))).any(2)
    assert changed[4:9, 4:9].mean() > 0.9
    assert not changed[:4].any()
    assert not changed[9:].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("mask size", "is 24x24 and the picture 32x32; they must have the same size"),
        ("no image", "no such file"),
        ("no mask", "no such file"),
        ("jpg", "must end in .png"),
        ("exists", "exists; choose another --out or add --overwrite"),
        ("all hole", "marks every pixel as missing; with --polarity black_hole"),
        ("checkpoint", "cannot be read as a checkpoint"),
        ("folder without masks", "2 of 2 pictures have no mask of the same name"),
        ("onto itself", "would replace the pictures themselves"),
        ("no folder", "no such file"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    image, mask, out = write(tmp_path / "a.png", 32, 32), write_mask(tmp_path / "m.png", 32, 32), tmp_path / "out.png"
    if change == "mask size":
        write_mask(mask, 24, 24)
    elif change == "no image":
        image.unlink()
    elif change == "no mask":
        mask = tmp_path
    elif change == "jpg":
        out = tmp_path / "out.jpg"
    elif change == "exists":
        out.write_bytes(b"mine")
    elif change == "all hole":
        write_mask(mask, 32, 32, (0, 32, 0, 32))
    elif change == "checkpoint":
        checkpoint = write(tmp_path / "not.ckpt.png", 9, 9)
    elif change in ("folder without masks", "onto itself"):
        image = write(tmp_path / "p" / "x.png", 32, 32).parent
        write(image / "y.png", 32, 32)
        mask, out = write_mask(tmp_path / "q" / "z.png", 32, 32).parent, tmp_path / "o"
        if change == "onto itself":
            write_mask(mask / "x.png", 32, 32)
            write_mask(mask / "y.png", 32, 32)
            out = image
    elif change == "no folder":
        image = tmp_path / "nowhere"
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert call(checkpoint, image, mask, out) == 1
    assert message in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


# ---------------------------------------------------------------------- attention maps
@pytest.fixture
def lbam_checkpoint(tmp_path: Path) -> Path:
    """A tiny untrained LBAM."""
    return tiny_lbam(tmp_path / "lbam.ckpt")


def test_attention_is_shown_beside_a_result_that_stays_the_same(lbam_checkpoint: Path, tmp_path: Path) -> None:
    image, mask = write(tmp_path / "a.png", 150, 100), write_mask(tmp_path / "m.png", 150, 100, (30, 100, 20, 70))
    assert call(lbam_checkpoint, image, mask, tmp_path / "plain.png") == 0
    assert not (tmp_path / "plain-attention.png").exists()
    assert call(lbam_checkpoint, image, mask, tmp_path / "out.png", "--show", "attention") == 0
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    sheet = Image.open(tmp_path / "out-attention.png")
    assert sheet.width > 7 * 96
    assert len(np.unique(np.asarray(sheet))) > 50
    assert not list(tmp_path.glob("*.tmp*"))


def test_attention_of_folders_is_completed_and_replaced_only_when_asked(lbam_checkpoint: Path, tmp_path: Path) -> None:
    for name in ("one.png", "sub/two.png"):
        write(tmp_path / "photos" / name, 128, 128)
        write_mask(tmp_path / "masks" / name, 128, 128)
    arguments = (lbam_checkpoint, tmp_path / "photos", tmp_path / "masks", tmp_path / "out")
    assert call(*arguments) == 0
    assert call(*arguments, "--show", "attention") == 0  # the sheets were missing
    sheets = [tmp_path / "out" / "one-attention.png", tmp_path / "out" / "sub" / "two-attention.png"]
    stamps = [path.stat().st_mtime_ns for path in sheets]
    assert call(*arguments, "--show", "attention") == 0
    assert [path.stat().st_mtime_ns for path in sheets] == stamps
    assert call(*arguments, "--show", "attention", "--overwrite") == 0
    assert all(path.stat().st_mtime_ns > stamp for path, stamp in zip(sheets, stamps, strict=True))


@pytest.mark.parametrize("change", ["no maps", "exists", "same name"])
def test_attention_is_refused_before_any_work(
    checkpoint: Path, lbam_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    image, mask, out = write(tmp_path / "a.png", 128, 128), write_mask(tmp_path / "m.png", 128, 128), tmp_path / "o.png"
    message = "has no attention maps to show"
    if change == "exists":
        (tmp_path / "o-attention.png").write_bytes(b"mine")
        checkpoint, message = lbam_checkpoint, "o-attention.png exists; choose another --out or add --overwrite"
    elif change == "same name":
        image, mask = image.parent / "p", mask.parent / "q"
        for name in ("x.png", "x-attention.png"):
            write(image / name, 128, 128)
            write_mask(mask / name, 128, 128)
        checkpoint, out, message = lbam_checkpoint, tmp_path / "o", "would be written over another picture"
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert call(checkpoint, image, mask, out, "--show", "attention") == 1
    assert message in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_pixels_to_look_from_are_checked(
    lbam_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, mask = write(tmp_path / "a.png", 128, 128), write_mask(tmp_path / "m.png", 128, 128)
    out = tmp_path / "out.png"
    assert call(lbam_checkpoint, image, mask, out, "--at", "3,4") == 1
    assert "--at chooses pixels for --show attention" in capsys.readouterr().err
    assert call(lbam_checkpoint, image, mask, out, "--show", "attention", "--at", "3,4", "--at", "3,128") == 1
    assert "--at 3,128 lies outside" in capsys.readouterr().err
    assert call(lbam_checkpoint, image, mask, out, "--show", "attention", "--at", "3;4") == 2
    assert "expected ROW,COLUMN, two whole numbers counted from 0 at the top left, got '3;4'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", sorted(FILLS))
def test_a_fill_without_training_takes_the_place_of_a_checkpoint(name: str, tmp_path: Path) -> None:
    image, mask = write(tmp_path / "a.png", 37, 45), write_mask(tmp_path / "m.png", 37, 45)
    out = tmp_path / "out.png"
    inpaint.main(["--method", name, "--image", str(image), "--mask", str(mask), "--out", str(out)])
    before, after, hole = (np.asarray(Image.open(path)) for path in (image, out, mask))
    assert np.array_equal(after[hole == 0], before[hole == 0])
    assert not np.array_equal(after, before)
    assert name in inpaint.parser().format_help()
    assert name in evaluate_command.USAGE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "harmonc"], "method must be one of mean_colour, nearest, telea, navier_stokes, harmonic"),
        (["--method", "harmonic", "--average"], "--average chooses the weights of a --checkpoint"),
        (["--method", "harmonic", "--show", "attention"], "attention"),
        (["--method", "harmonic", "--checkpoint", "last.ckpt"], "not allowed with argument"),
        ([], "one of the arguments --checkpoint --method is required"),
    ],
)
def test_wrong_methods_are_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, mask = write(tmp_path / "a.png", 37, 45), write_mask(tmp_path / "m.png", 37, 45)
    with pytest.raises(SystemExit) as end:
        inpaint.main([*arguments, "--image", str(image), "--mask", str(mask), "--out", str(tmp_path / "out.png")])
    assert end.value.code in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
