"""Evaluations: the same numbers for any batch size and number of workers, and a complete results folder."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from inpaintlab.batch import Output
from inpaintlab.checkpoints import pretrained_files
from inpaintlab.commands import evaluate
from inpaintlab.config.compose import compose_config
from inpaintlab.errors import UserError
from inpaintlab.evaluation.evaluator import evaluate_pairs
from inpaintlab.evaluation.results import EvaluationResults
from inpaintlab.image import composite, inpaint, to_uint8
from inpaintlab.metrics import image_metrics
from inpaintlab.networks.fills import make_fill
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]


class Grey(InpaintingGenerator):
    """Predicts mid-grey."""

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        return Output(torch.full_like(image, 0.5))


def test_values_are_those_of_the_composite(compose: Compose) -> None:
    pairs = instantiate(compose().data, _convert_="all").pairs()
    result = evaluate_pairs(Grey(), pairs, keep=2)
    for number in (0, 7, 17):
        truth, hole, _, bin = pairs.load(number)
        filled = np.where(hole[..., None] > 0, np.uint8(128), truth)
        assert result.pairs[number].bin == bin
        assert result.rows[number]["psnr"] == image_metrics.psnr(filled, truth)
        assert result.rows[number]["l1_pct"] == image_metrics.l1_percent(filled, truth)
    assert sorted(result.kept) == [0, 17]
    truth, hole, filled = result.kept[17]
    assert np.array_equal(filled[hole == 0], truth[hole == 0])
    assert (filled[hole > 0] == 128).all()


def test_the_best_and_the_worst_pictures_are_kept(compose: Compose) -> None:
    pairs = instantiate(compose().data, _convert_="all").pairs()
    result = evaluate_pairs(Grey(), pairs, extremes=2, batch_size=5)
    means = result.means()
    order = sorted(range(18), key=lambda n: result.rows[n]["psnr"] - means[result.pairs[n].bin]["psnr"])
    assert set(result.kept) == {*order[:2], *order[-2:]}
    for number, (truth, hole, _) in result.kept.items():
        expected, hole_expected, _, _ = pairs.load(number)
        assert np.array_equal(truth, expected)
        assert np.array_equal(hole, hole_expected)
    assert set(evaluate_pairs(Grey(), pairs, extremes=2, keep=2).kept) == {0, 17, *result.kept}
    assert len(evaluate_pairs(Grey(), pairs, extremes=50).kept) == 18


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 7}, {"batch_size": 32}, {"workers": 2}])
def test_numbers_do_not_depend_on_how_they_are_computed(compose: Compose, options: dict[str, int]) -> None:
    pairs = instantiate(compose().data, _convert_="all").pairs()
    base = evaluate_pairs(Grey(), pairs)
    other = evaluate_pairs(Grey(), pairs, **options)
    assert other.rows == base.rows
    assert other.pairs == base.pairs


def test_several_protocols_change_nothing_of_each(compose: Compose) -> None:
    pairs = instantiate(compose().data, _convert_="all").pairs()
    both = evaluate_pairs(Grey(), pairs, protocol=["standard", "lbam"])
    for prefix, name in (("", "standard"), ("lbam/", "lbam")):
        for bin, values in evaluate_pairs(Grey(), pairs, protocol=name).means().items():
            for metric, value in values.items():
                assert both.means()[bin][prefix + metric] == value
    of_bin = [row["lbam/psnr"] for row, pair in zip(both.rows, both.pairs, strict=True) if pair.bin == "0.2-0.3"]
    assert both.means()["0.2-0.3"]["lbam/psnr"] < np.mean(of_bin)  # pooled before the logarithm


def test_means_are_per_bin_then_over_bins(compose: Compose) -> None:
    pairs = instantiate(compose().data, _convert_="all").pairs()
    result = evaluate_pairs(Grey(), pairs)
    means = result.means()
    assert list(means) == [*pairs.bins, "all"]
    by_hand = [row["psnr"] for row, pair in zip(result.rows, result.pairs, strict=True) if pair.bin == "0.2-0.3"]
    assert means["0.2-0.3"]["psnr"] == pytest.approx(np.mean(by_hand))
    assert means["all"]["psnr"] == pytest.approx(np.mean([means[b]["psnr"] for b in pairs.bins]))
    assert means["0.01-0.1"]["psnr"] > means["0.5-0.6"]["psnr"]


def test_checkpoint_alone_is_enough_and_the_folder_is_complete(compose: Compose, tmp_path: Path) -> None:
    run = run_training(compose("batches=1"))
    config = compose_config([f"checkpoint={run}/checkpoints/last.ckpt", f"out={tmp_path / 'out'}"], "evaluate")
    summary = evaluate.run(config)
    folder = summary.folder
    assert summary.system == "msanet"
    assert summary.name == "msanet_places2_mum"
    assert summary.protocol == "standard"
    assert summary.conditions.commit
    rows = list(csv.DictReader((folder / "per_picture.csv").open()))
    assert len(rows) == summary.pairs == 18
    assert np.mean([float(r["ssim"]) for r in rows]) == pytest.approx(summary.means["all"]["ssim"], abs=1e-5)
    assert len(list((folder / "pictures").glob("*-result.png"))) == 12
    before = (folder / "metrics.json").stat().st_mtime_ns
    assert evaluate.run(config).folder == folder
    assert (folder / "metrics.json").stat().st_mtime_ns == before  # read, not computed again
    longer = run_training(compose("batches=2"))
    (longer / "checkpoints" / "last.ckpt").replace(run / "checkpoints" / "last.ckpt")
    assert evaluate.run(config).batches == 2  # other weights in a file of the same name are evaluated again
    other = compose_config(
        [f"checkpoint={run}/checkpoints/last.ckpt", f"out={tmp_path / 'out'}", "masks=center"], "evaluate"
    )
    assert list(evaluate.run(other).means) == ["center", "all"]
    assert json.loads((folder / "metrics.json").read_text())["pairs_digest"] == summary.pairs_digest


def test_protocols_and_fid_are_asked_for_by_config(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pretrained_files.FOLDER, str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    run = run_training(compose("batches=1"))
    given = [f"checkpoint={run}/checkpoints/last.ckpt", f"out={tmp_path / 'out'}"]

    def measured(*more: str) -> EvaluationResults:
        return evaluate.run(compose_config([*given, *more], "evaluate"))

    with pytest.raises(UserError, match="protocol must be one of"):
        measured("evaluation.protocol=standart")
    with pytest.raises(FileNotFoundError, match="needed for FID, was not found"):
        measured("evaluation.fid=true")
    plain = measured()
    several = measured("evaluation.protocol=[standard,rn]")
    assert several.protocol == ["standard", "rn"]
    assert several.folder != plain.folder
    assert set(several.means["all"]) == {*plain.means["all"], "rn/psnr", "rn/ssim", "rn/l1_pct"}
    header = (several.folder / "per_picture.csv").read_text().partition("\n")[0]
    assert header == "picture,bin,hole_share,psnr,ssim,l1_pct,l2_pct,rn/psnr,rn/ssim,rn/l1_pct"

    monkeypatch.setattr(pretrained_files, "inception", lambda source: Pixels())
    asked = measured("evaluation.fid=true")
    assert asked.folder not in (plain.folder, several.folder)
    assert asked.networks["inception"] == "pixels"
    assert asked.means["all"].pop("fid") > 0
    assert asked.means["all"] == plain.means["all"]
    assert plain.networks == {}
    monkeypatch.setattr(pretrained_files, "inception_torchvision", lambda source: Pixels())
    both = measured("evaluation.fid=true", "evaluation.fid_torchvision=true")
    assert both.networks == {"inception": "pixels", "inception_torchvision": "pixels"}
    assert both.means["all"]["fid_torchvision"] == both.means["all"]["fid"] > 0
    with pytest.raises(FileNotFoundError, match="needed for LPIPS, was not found"):
        measured("evaluation.lpips=true")


def test_a_fill_without_training_is_evaluated_like_a_checkpoint(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["data=folder", f"data.root={folder}", "data.geometry.size=32", "data.workers=0"]
    given = [*data, "masks=irregular", f"output={tmp_path / 'runs'}"]
    evaluate.main(["method=nearest", *given])
    assert "nearest, no training: 18 pairs" in capsys.readouterr().out
    (file,) = (tmp_path / "runs" / "fills" / "nearest").glob("evaluation-*/metrics.json")
    written = json.loads(file.read_text())
    config = compose_config(["method=nearest", *given], "evaluate")
    pairs = instantiate(config.data, _convert_="all").pairs()
    assert written["means"] == evaluate_pairs(make_fill("nearest"), pairs).means()
    assert (written["system"], written["batches"], written["checkpoint"]) == ("nearest", 0, "")
    before = file.stat().st_mtime_ns
    assert evaluate.run(config).folder == file.parent
    assert file.stat().st_mtime_ns == before  # read, not computed again
    timed = evaluate.run(compose_config(["method=nearest", *given, "evaluation.seconds=true"], "evaluate"))
    assert 0 < timed.means["all"]["seconds"] < 60
    for wrong, message in (
        (["method=nearst", *given], "method must be one of .*; did you mean nearest"),
        (["method=nearest", *data], "names masks: give masks=NAME"),
        (["method=nearest", "masks=irregular"], "names data: give data=NAME"),
        (["method=nearest", *given, "evaluation.average=true"], "has no weights to average"),
        (["method=nearest", "checkpoint=last.ckpt", *given], "checkpoint and method exclude each other"),
        (given, "checkpoint is not set: give it as checkpoint=FILE, or a fill without training as method=NAME"),
    ):
        with pytest.raises(SystemExit) as end:
            evaluate.main(wrong)
        assert end.value.code == 1
        assert re.search(message, capsys.readouterr().err)


class Pixels(torch.nn.Module):
    """Some pixels as features."""

    origin = "pixels"

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures[..., ::4, ::4].flatten(1).float()


# ---------------------------------------------------------------------- pictures
def test_inpaint_pads_crops_and_keeps_known_pixels() -> None:
    seen = []

    class Brighten(InpaintingGenerator):
        multiple = 8

        def forward(self, image: Tensor, hole: Tensor) -> Output:
            seen.append(image.shape[-2:])
            return Output(image + 2)

    image, hole = torch.rand(1, 3, 21, 34), torch.zeros(1, 1, 21, 34)
    hole[..., 5:9, 20:] = 1
    filled = inpaint(Brighten(), image, hole)
    assert seen == [(24, 40)]
    assert filled.shape == image.shape
    assert torch.equal(filled[(hole == 0).expand_as(image)], image[(hole == 0).expand_as(image)])
    assert (filled[(hole == 1).expand_as(image)] == 1).all()  # clamped


def test_composite_and_rounding() -> None:
    image, hole = torch.tensor([0.2, 0.4]).view(1, 1, 1, 2), torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    assert composite(image, image * float("nan"), hole)[..., 0].item() == pytest.approx(0.2)
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 255), levels)
    assert to_uint8(torch.tensor([-1.0, 0.999, 2.0])).tolist() == [0, 255, 255]


def test_grid_has_all_pictures_and_captions_fit() -> None:
    from inpaintlab.visualization import picture_grid

    picture = np.full((32, 32, 3), 7, np.uint8)
    sheet = picture_grid.grid(
        [[picture, picture]] * 3, ["input", "a caption that is much too long for its column" * 3], least=64
    )
    assert sheet.size == (
        2 * (64 + picture_grid.GAP) + picture_grid.GAP,
        picture_grid.HEAD + 3 * (64 + picture_grid.GAP),
    )
    assert (np.asarray(sheet)[picture_grid.HEAD :] == 7).all(2).sum() == 6 * 64 * 64
    hole = np.zeros((32, 32), np.uint8)
    hole[0] = 1
    assert (picture_grid.with_hole(picture, hole)[0] == 255).all()
    assert Image.fromarray(picture_grid.with_hole(picture, hole)).size == (32, 32)
