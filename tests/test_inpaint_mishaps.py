"""`inpaint` and `import` when something is wrong: inputs stay, nothing is made up, and the reason is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab import checkpoint as checkpoints
from inpaintlab import inpaint
from inpaintlab.batch import Output
from inpaintlab.image import NotFinite
from inpaintlab.image import inpaint as fill
from inpaintlab.networks import lbam
from inpaintlab.programs import explain

SIDE = 128


def tiny_lbam(path: Path, value: float | None = None) -> Path:
    """An untrained LBAM; with a value, all its weights are that."""
    torch.manual_seed(0)
    state = lbam.Generator(width=0.125).state_dict()
    if value is not None:
        state = {name: torch.full_like(v, value) if v.is_floating_point() else v for name, v in state.items()}
    weights = {f"generator.{name}": v for name, v in state.items()}
    generator = {"_target_": "inpaintlab.networks.lbam.Generator", "width": 0.125}
    config = {"name": "tiny LBAM", "system": "lbam", "model": {"generator": generator}}
    torch.save({checkpoints.KEY: checkpoints.describe(config, {}), "state_dict": weights, "batches_done": 0}, path)
    return path


def write(path: Path, picture: Image.Image | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    (picture or Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))).save(path)
    return path


def mask_picture(level: int = 255) -> Image.Image:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[30:90, 20:70] = level
    return Image.fromarray(mask)


def call(checkpoint: Path, image: Path, mask: Path, out: Path, *more: str) -> int:
    """Exit status."""
    try:
        inpaint.main(
            ["--checkpoint", str(checkpoint), "--image", str(image), "--mask", str(mask), "--out", str(out), *more]
        )
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------- predictions that are no numbers
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_prediction_that_is_not_finite_is_no_result(value: float) -> None:
    image, hole = torch.rand(2, 3, 10, 12), torch.zeros(2, 1, 10, 12)
    hole[1, :, 2:5, 3:6] = 1
    prediction = torch.full_like(image, 0.25)

    def generator(image: torch.Tensor, hole: torch.Tensor) -> Output:
        return Output(prediction)

    prediction[0], prediction[1, :, 5:] = value, value  # outside the hole it does not matter
    assert torch.isfinite(fill(generator, image, hole)).all()
    prediction[1, 2, 4, 5] = value
    with pytest.raises(NotFinite, match="NaN or infinite: its weights, so the checkpoint, or the precision") as caught:
        fill(generator, image, hole)
    assert explain(caught.value)


def test_a_broken_generator_writes_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tiny_lbam(tmp_path / "nan.ckpt", float("nan"))
    image, mask = write(tmp_path / "p" / "a.png"), write(tmp_path / "q" / "a.png", mask_picture())
    assert call(broken, image.parent, mask.parent, tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert f"error: {image}: the generator's prediction inside the hole is NaN" in printed.err
    assert "0 of 1 written" in printed.out
    assert not list((tmp_path / "out").iterdir())


# ---------------------------------------------------------------------- inputs stay
@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("case", ["mask folder", "linked mask folder", "mask", "picture", "another picture", "maps"])
def test_no_input_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, overwrite: bool) -> None:
    checkpoint, more = tiny_lbam(tmp_path / "lbam.ckpt"), ["--overwrite"] if overwrite else []
    image, mask = write(tmp_path / "p" / "a.png"), write(tmp_path / "q" / "a.png", mask_picture())
    message = "the output would replace the masks themselves"
    if case == "mask folder":
        image, mask, out = image.parent, mask.parent, mask.parent
    elif case == "linked mask folder":
        out = tmp_path / "link"
        out.symlink_to(mask.parent)
        image, mask = image.parent, mask.parent
    elif case == "mask":
        out, message = tmp_path / "p" / ".." / "q" / "a.png", "the output would replace the mask itself"
    elif case == "picture":
        out, message = image, "the output would replace the picture itself"
    elif case == "another picture":
        write(image.parent / "sub" / "a.png")
        write(mask.parent / "sub" / "a.png", mask_picture())
        image, mask, out = image.parent, mask.parent, image.parent / "sub"
        message = "the output would replace the pictures themselves"
    else:
        mask, out = write(tmp_path / "q" / "b-attention.png", mask_picture()), tmp_path / "q" / "b.png"
        more, message = [*more, "--show", "attention"], "the output would replace the mask itself"
    before = contents(tmp_path)
    assert call(checkpoint, image, mask, out, *more) == 1
    assert message in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("doubled", ["p", "q"])
def test_two_files_of_one_name_are_both_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], doubled: str) -> None:
    checkpoint = tiny_lbam(tmp_path / "lbam.ckpt")
    write(tmp_path / "p" / "a.png")
    write(tmp_path / "q" / "a.png", mask_picture())
    write(tmp_path / doubled / "a.jpg")
    assert call(checkpoint, tmp_path / "p", tmp_path / "q", tmp_path / "out") == 1
    message = f"{tmp_path / doubled / 'a.jpg'} and {tmp_path / doubled / 'a.png'} have the same name but for the suffix"
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------- masks and alpha
@pytest.mark.parametrize("empty", ["black", "alpha only"])
def test_an_empty_mask_fills_nothing_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], empty: str
) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / "p" / name)
        write(tmp_path / "q" / name, mask_picture())
    picture = mask_picture(0).convert("RGBA")
    picture.putalpha(mask_picture())
    bad = write(tmp_path / "q" / "a.png", picture if empty == "alpha only" else mask_picture(0))
    assert call(tiny_lbam(tmp_path / "lbam.ckpt"), tmp_path / "p", tmp_path / "q", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert f"the mask {bad} marks no pixel as missing" in printed.err
    assert "read by its colours, not by its alpha channel" in printed.err
    assert "1 of 2 written" in printed.out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_transparent_colours_are_kept_as_alpha(tmp_path: Path, mode: str) -> None:
    grey = np.zeros((SIDE, SIDE), np.uint8)
    grey[:, SIDE // 2 :] = 200
    picture = Image.fromarray(grey).convert(mode)
    image, out = tmp_path / "a.png", tmp_path / "out.png"
    picture.save(image, transparency=(200, 200, 200) if mode == "RGB" else picture.getpixel((SIDE - 1, 0)))
    mask = write(tmp_path / "m.png", mask_picture())
    assert call(tiny_lbam(tmp_path / "lbam.ckpt"), image, mask, out) == 0
    before, after = np.asarray(Image.open(image).convert("RGBA")), np.asarray(Image.open(out))
    known = np.asarray(Image.open(mask)) == 0
    assert np.array_equal(after[..., 3], before[..., 3])
    assert set(np.unique(after[..., 3])) == {0, 255}
    assert np.array_equal(after[known], before[known])


@pytest.mark.parametrize("threshold", ["2", "0", "-1", "nan", "half"])
def test_a_threshold_that_divides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], threshold: str) -> None:
    assert call(tmp_path, tmp_path, tmp_path, tmp_path, f"--threshold={threshold}") == 2
    assert f"--threshold: '{threshold}' is no number above 0 and at most 1" in capsys.readouterr().err
