"""The functions that `inpaintlab` itself offers: their arguments, their results, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

import inpaintlab
from inpaintlab.checkpoints.checkpoint import Restored
from inpaintlab.errors import UserError
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]


@pytest.fixture
def file(compose: Compose) -> Path:
    return run_training(compose("batches=1")) / "checkpoints" / "last.ckpt"


@pytest.fixture
def restored(file: Path) -> Restored:
    return inpaintlab.load_checkpoint(file)


def box(height: int, width: int) -> np.ndarray:
    hole = np.zeros((height, width), bool)
    hole[8:20, 10:30] = True
    return hole


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_import_is_quick_and_the_names_are_listed() -> None:
    code = (
        "import sys, time; start = time.process_time(); import inpaintlab; taken = time.process_time() - start\n"
        "assert taken < 0.2, taken\n"
        "assert not {'torch', 'numpy', 'hydra'} & set(sys.modules)\n"
        "assert set(inpaintlab.__all__) <= set(dir(inpaintlab))\n"
        "from inpaintlab import *\n"
        "assert all(map(callable, (load_checkpoint, inpaint, evaluate)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    with pytest.raises(AttributeError, match="has no attribute 'inpant'"):
        inpaintlab.inpant  # noqa: B018


def test_tensors_arrays_and_pil_images_give_the_same_pixels(restored: Restored) -> None:
    pixels, hole = picture(37, 50), box(37, 50)
    array = inpaintlab.inpaint(restored, pixels, hole)
    tensor = inpaintlab.inpaint(restored, torch.from_numpy(pixels).permute(2, 0, 1) / 255, torch.from_numpy(hole))
    image = inpaintlab.inpaint(restored, Image.fromarray(pixels), Image.fromarray(hole))
    assert array.dtype == np.uint8
    assert np.array_equal(array[~hole], pixels[~hole])
    assert not np.array_equal(array[hole], pixels[hole])
    assert np.array_equal((tensor * 255).round().byte().permute(1, 2, 0).numpy(), array)
    assert np.array_equal(np.asarray(image), array)


def test_known_pixels_keep_their_precision_and_batches_their_order(restored: Restored) -> None:
    image = torch.rand(2, 3, 40, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hole = torch.from_numpy(box(40, 48))
    shared = inpaintlab.inpaint(restored, image, hole)
    own = inpaintlab.inpaint(restored, image, torch.stack([hole, hole])[:, None])
    assert shared.dtype == torch.float64
    assert torch.equal(shared, own)
    assert torch.equal(shared[..., ~hole], image[..., ~hole])
    assert torch.allclose(inpaintlab.inpaint(restored, image[1], hole), shared[1], atol=1e-5)
    arrays = np.stack([picture(40, 48)] * 2)
    assert inpaintlab.inpaint(restored, arrays, np.stack([box(40, 48)] * 2)[..., None]).shape == arrays.shape


@pytest.mark.parametrize("white", [1, 255])
def test_masks_may_be_numbers(restored: Restored, white: int) -> None:
    pixels, hole = picture(32, 40), box(32, 40)
    expected = inpaintlab.inpaint(restored, pixels, hole)
    assert np.array_equal(inpaintlab.inpaint(restored, pixels, hole.astype(np.uint8) * np.uint8(white)), expected)


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (picture(32, 32).astype(np.float32), box(32, 32), "must be uint8"),
        (picture(32, 32)[..., 0], box(32, 32), "must be uint8"),
        (torch.rand(3, 32, 32) * 255, torch.ones(32, 32), r"must lie in \[0, 1\]; got values from"),
        (torch.full((3, 32, 32), torch.nan), torch.ones(32, 32), r"must lie in \[0, 1\]"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), torch.ones(32, 32), "must be float"),
        (picture(32, 32), box(32, 40), "expected 32 x 32, got 32 x 40"),
        (picture(32, 32), np.stack([box(32, 32)] * 2), "1 pictures, 2 masks"),
        (picture(32, 32), torch.zeros(1, 2, 32, 32), "must have one channel"),
        (picture(32, 32), picture(32, 32)[..., 0], "must hold 0 and 1, or 0 and 255"),
        (picture(32, 32), torch.full((32, 32), -1.0), "must hold 0 and 1"),
    ],
)
def test_wrong_input_is_named(restored: Restored, image: object, mask: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        inpaintlab.inpaint(restored, image, mask)  # type: ignore[arg-type,type-var]


def test_a_folder_of_pictures_and_masks_is_evaluated_whole(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pictures, masks = tmp_path / "it's, [a] folder" / "pictures", tmp_path / "masks"
    for folder in (pictures, masks):
        folder.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(picture(48, 40)).save(pictures / f"{number}.png")
        Image.fromarray(~box(48, 40)).save(masks / f"{number}.png")
    options = ["data.geometry.size=32", "data.workers=0"]
    means = inpaintlab.evaluate(
        file, pictures, masks, polarity="black_hole", out=tmp_path / "out", device="cpu", overrides=options
    )
    assert set(means["all"]) == {"psnr", "ssim", "l1_pct", "l2_pct"}
    assert not list(Path.cwd().iterdir())
    (written,) = (tmp_path / "out").glob("evaluation-*/per_picture.csv")
    assert len(written.read_text().splitlines()) == 1 + 3
    with pytest.raises(UserError, match="without pictures"):
        inpaintlab.evaluate(file, masks=masks)
    with pytest.raises(UserError, match="polarity must be one of"):
        inpaintlab.evaluate(file, pictures, masks, polarity="white", device="cpu")


def test_a_checkpoint_alone_is_evaluated_on_its_own_test_pictures(file: Path, tmp_path: Path) -> None:
    means = inpaintlab.evaluate(file, out=tmp_path / "out", device="cpu", overrides=["evaluation.protocol=lbam"])
    assert list(means) == ["0.01-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5", "0.5-0.6", "all"]
    assert set(means["all"]) == {"psnr", "ssim", "l1_pct"}
