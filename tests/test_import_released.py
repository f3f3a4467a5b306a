"""`inpaintlab import`: an authors' checkpoint becomes one of ours that the other commands take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inpaintlab.checkpoints import checkpoint
from inpaintlab.checkpoints.authors import systems_with_released_weights
from inpaintlab.commands import import_weights
from inpaintlab.config.compose import compose_config
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.networks import lbam
from inpaintlab.tables.reproduce import reproduce


def authors_file(path: Path, **options: object) -> tuple[Path, lbam.Generator]:
    torch.manual_seed(0)
    network = lbam.Generator(**options)  # type: ignore[arg-type]
    torch.save({lbam.authors_name(name): value for name, value in network.state_dict().items()}, path)
    return path, network.eval()


def call(*arguments: str) -> int:
    try:
        import_weights.main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"batch_norm": False}, {"output": "abs_tanh"}])
def test_both_layouts_become_checkpoints_of_ours(tmp_path: Path, options: dict[str, object]) -> None:
    file, network = authors_file(tmp_path / "theirs.pth", **options)
    assert call("lbam", str(file), "--out", str(tmp_path / "lbam.ckpt")) == 0
    restored = checkpoint.load(tmp_path / "lbam.ckpt", system="lbam")
    image, hole = torch.rand(1, 3, 128, 128), torch.zeros(1, 1, 128, 128)
    hole[..., 40:90, 30:70] = 1
    with torch.no_grad():
        assert torch.equal(restored.generator(image, hole).image, network(image, hole).image)
    assert restored.config["name"] == "lbam_released"


def test_wrong_files_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"ec1.conv.conv.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    assert call("lbam", str(tmp_path / "wrong.pth"), "--out", str(tmp_path / "x.ckpt")) == 1
    assert "missing: dc1.conv.weight" in capsys.readouterr().err
    assert call("msanet", str(tmp_path / "wrong.pth"), "--out", str(tmp_path / "x.ckpt")) == 1
    message = f"system must be one of {', '.join(systems_with_released_weights())}"
    assert message in capsys.readouterr().err
    (tmp_path / "there.ckpt").write_text("mine")
    assert call("lbam", str(tmp_path / "wrong.pth"), "--out", str(tmp_path / "there.ckpt")) == 1
    assert "add --overwrite" in capsys.readouterr().err
    assert not (tmp_path / "x.ckpt").exists()


def test_a_given_checkpoint_fills_a_row_without_training(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [o for o in tiny if not o.startswith("scale=")] + ["batches=1"]
    reproduce("msanet.table3", "demo", overrides)
    config = compose_config(["experiment=msanet_places2_mum", "scale=demo", *overrides])
    last = run_folder(config) / "checkpoints" / "last.ckpt"
    own = capsys.readouterr().out
    assert reproduce("msanet.table3", "demo", overrides, given={"No-MUM": last}) == 0
    printed = capsys.readouterr().out
    row = next(line for line in own.splitlines() if line.startswith("| MUM"))
    given = next(line for line in printed.splitlines() if line.startswith("| No-MUM"))
    assert row.split("|")[4] == given.split("|")[4]  # the same checkpoint measures the same PSNR
    assert "No-MUM: evaluated from last.ckpt (weights" in printed
    other = torch.load(last, weights_only=True)
    other[checkpoint.KEY]["system"] = "lbam"
    torch.save(other, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="other.ckpt is a checkpoint of lbam, not of msanet"):
        reproduce("msanet.table3", "demo", overrides, given={"No-MUM": tmp_path / "other.ckpt"})
    for made in ("scale=paper", "masks=center", "experiment=lbam_paris", "evaluation.protocol=standard"):
        with pytest.raises(UserError, match="cannot be overridden for a table"):
            reproduce("msanet.table3", "demo", [*overrides, made])
    with pytest.raises(Exception, match="has no row 'full'; its rows are No-MUM, MUM"):
        reproduce("msanet.table3", "demo", overrides, given={"full": last})
