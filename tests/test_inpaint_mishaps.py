"""`inpaint` and `import` when something is wrong: inputs stay, nothing is made up, and the reason is one sentence."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_inpaint import call
from tiny_checkpoint import tiny_lbam

from inpaintlab.batch import Output
from inpaintlab.checkpoints import checkpoint as checkpoints
from inpaintlab.checkpoints import pretrained_files
from inpaintlab.checkpoints.authors import from_released, systems_with_released_weights
from inpaintlab.commands import import_weights
from inpaintlab.errors import UserError
from inpaintlab.image import NotFinite
from inpaintlab.image import inpaint as fill
from inpaintlab.networks import lbam
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.utils.process import explain

SIDE = 128


def write(path: Path, picture: Image.Image | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    (picture or Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))).save(path)
    return path


def mask_picture(level: int = 255) -> Image.Image:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[30:90, 20:70] = level
    return Image.fromarray(mask)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------- predictions that are no numbers
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_prediction_that_is_not_finite_is_no_result(value: float) -> None:
    image, hole = torch.rand(2, 3, 10, 12), torch.zeros(2, 1, 10, 12)
    hole[1, :, 2:5, 3:6] = 1
    prediction = torch.full_like(image, 0.25)

    class Constant(InpaintingGenerator):
        def forward(self, image: torch.Tensor, hole: torch.Tensor) -> Output:
            return Output(prediction)

    generator = Constant()
    prediction[0], prediction[1, :, 5:] = value, value  # outside the hole it does not matter
    assert torch.isfinite(fill(generator, image, hole)).all()
    prediction[1, 2, 4, 5] = value
    with pytest.raises(NotFinite, match="NaN or infinite; check the weights in its checkpoint, or") as caught:
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
    message = f"{tmp_path / doubled / 'a.jpg'} and {tmp_path / doubled / 'a.png'} differ by their suffix alone"
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
    assert f"--threshold: expected a number in (0, 1], got '{threshold}'" in capsys.readouterr().err


# ---------------------------------------------------------------------- files of weights
@pytest.mark.parametrize(
    ("place", "lacks"),
    [
        (("batches_done",), "batches_done"),
        (("inpaintlab", "system"), "inpaintlab.system"),
        (
            ("inpaintlab", "config"),
            "inpaintlab.config.seed, inpaintlab.config.data.pairs_seed, inpaintlab.config.data.geometry.size, "
            "inpaintlab.config.name, "
            "inpaintlab.config.scale.name, inpaintlab.config.model.generator._target_, "
            "inpaintlab.config.data._target_, inpaintlab.config.data.pictures, inpaintlab.config.data.train_holes, "
            "inpaintlab.config.data.test_holes",
        ),
        (("inpaintlab", "config", "model", "generator"), "inpaintlab.config.model.generator._target_"),
    ],
)
def test_a_checkpoint_that_lacks_an_entry(tmp_path: Path, place: tuple[str, ...], lacks: str) -> None:
    path = tiny_lbam(tmp_path / "lbam.ckpt")
    content = inner = torch.load(path)
    for part in place[:-1]:
        inner = inner[part]
    del inner[place[-1]]
    torch.save(content, path)
    with pytest.raises(UserError, match=f"lbam.ckpt is an incomplete checkpoint: missing {lacks}$"):
        checkpoints.load(path)


def test_checkpoints_with_nonsense_are_one_sentence(tmp_path: Path) -> None:
    path = tiny_lbam(tmp_path / "lbam.ckpt")
    content = torch.load(path)
    torch.save(content | {checkpoints.KEY: 3}, path)
    with pytest.raises(UserError, match="has checkpoint format None; this version reads format 2"):
        checkpoints.load(path)
    torch.save(content | {"state_dict": dict.fromkeys(content["state_dict"], 1)}, path)
    with pytest.raises(UserError, match=r"state_dict\.generator\.\S+ must be a tensor, got 1$"):
        checkpoints.load(path)
    content[checkpoints.KEY]["config"]["model"]["generator"] = {"_target_": "inpaintlab.networks.nothing.Generator"}
    torch.save(content, path)
    with pytest.raises(
        UserError, match=r"lbam.ckpt: model.generator names 'inpaintlab\.networks\.nothing\.Generator'; expected a"
    ):
        checkpoints.load(path)


READERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": lambda path: checkpoints.load(path),
    "import": lambda path: from_released("lbam", path),
    "vgg16": lambda path: pretrained_files.vgg16(str(path), ["pool1", "pool3"], normalise=True),
    "alexnet": lambda path: pretrained_files.lpips(str(path)),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.filterwarnings("ignore")
def test_files_that_are_not_safe_are_refused_in_our_own_words(tmp_path: Path, reader: str) -> None:
    class Command:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("false",)

    torch.save({"a": Command()}, tmp_path / "command.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "text.pth").write_text("no weights at all\n")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "module.pth").read_bytes()[:500])
    (tmp_path / "empty.pth").touch()
    kinds = {"command": r"posix\.system", "module": r"torch\.nn\.modules\.linear\.Linear"}
    for path in tmp_path.iterdir():
        known = kinds.get(path.stem)
        reason = f"it holds an object of type {known}" if known else "it is damaged or another kind of file"
        sentence = (
            rf"^{path} cannot be read as .*: {reason}; only files with nothing but tensors and plain data are read$"
        )
        with pytest.raises(UserError, match=sentence):
            READERS[reader](path)


@pytest.mark.parametrize(("reader", "count"), [("vgg16", 14), ("alexnet", 10)])
def test_weights_of_another_network_are_one_sentence(tmp_path: Path, reader: str, count: int) -> None:
    path = tmp_path / "other.pth"
    for content in ({"a": torch.zeros(1)}, {"features.0.weight": 3}):
        torch.save(content, path)
        with pytest.raises(
            UserError, match=rf"{count} of {count} entries are missing: features\.0\.weight, "
        ) as caught:
            READERS[reader](path)
        assert str(caught.value).count("features.") == 3
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="expected tensors by name, got list"):
        READERS[reader](path)


# ---------------------------------------------------------------------- import
def import_(*arguments: str | Path) -> int:
    try:
        import_weights.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_import_of_an_unknown_system_lists_those_with_published_weights(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        import_weights.main(["lbm", "theirs.pth", "--out", "new.ckpt"])
    known = ", ".join(systems_with_released_weights())
    assert f"system must be one of {known}; got 'lbm'; did you mean lbam?" in capsys.readouterr().err


def test_import_takes_the_data_of_an_experiment(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = lbam.Generator().state_dict()
    torch.save({lbam.authors_name(name): value for name, value in state.items()}, tmp_path / "theirs.pth")
    theirs, out = tmp_path / "theirs.pth", tmp_path / "new" / "lbam.ckpt"
    for words, message in (
        (["--experiment", "lbam_paris_relu"], "data.root is not set: give it as data.root=..."),
        (
            ["--experiment", "msanet_places2", f"data.root={folder}"],
            "msanet_places2 is an experiment of msanet, not of",
        ),
        (["here"], "expected KEY=VALUE, got 'here'"),
        (["data.rot=x"], "the config has no key data.rot"),
    ):
        assert import_("lbam", theirs, "--out", out, *words) == 1
        assert message in capsys.readouterr().err
        assert not out.exists()
    assert import_("lbam", theirs, "--out", out, "--experiment", "lbam_paris_relu", f"data.root={folder}") == 0
    config = checkpoints.read(out)[checkpoints.KEY]["config"]
    assert config["data"]["root"] == str(folder)


def test_import_into_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({}, tmp_path / "theirs.pth")
    assert import_("lbam", tmp_path / "theirs.pth", "--out", tmp_path, "--overwrite") == 1
    assert f"--out {tmp_path} is a folder; name the file to write" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert import_("lbam", tmp_path / "theirs.pth", "--out", tmp_path / "file" / "x.ckpt") == 1
    assert "choose another --out" in capsys.readouterr().err
