"""What strangers send, files and names, cannot run code, fill the memory, or write where it should not."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_checkpoint import HOLES, tiny_config, tiny_lbam

from inpaintlab.checkpoints import checkpoint, content, weight_files
from inpaintlab.checkpoints.stored_config import build
from inpaintlab.commands import inpaint
from inpaintlab.config.compose import compose_config
from inpaintlab.data.datamodule import InpaintingData
from inpaintlab.data.holes.box import Box
from inpaintlab.data.holes.source import HoleSource
from inpaintlab.data_preparation import archives
from inpaintlab.errors import UserError
from inpaintlab.evaluation.evaluate import evaluate_config
from inpaintlab.training.run import run_training
from inpaintlab.utils import atomic_write, printable, progress
from inpaintlab.utils.process import explain

Change = Callable[[dict[str, Any]], object]


def changed(good: Path, change: Change, name: str = "changed.ckpt") -> Path:
    """A copy of a checkpoint, with a change of its content."""
    found = torch.load(good, weights_only=True)
    change(found)
    torch.save(found, good.with_name(name))
    return good.with_name(name)


def config_of(found: dict[str, Any]) -> dict[str, Any]:
    return found[checkpoint.KEY]["config"]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A good checkpoint whose data are there: two pictures."""
    folder = tmp_path / "two" / "test"
    folder.mkdir(parents=True)
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tiny_lbam(tmp_path / "good.ckpt", root=tmp_path / "two")


def evaluate(path: Path, out: Path, *overrides: str) -> object:
    options = [f"checkpoint='{path}'", f"out='{out}'", "device=cpu", "evaluation.keep=0", *overrides]
    return evaluate_config(compose_config(options, "evaluate"))


# ---------------------------------------------------------------------- a config is data
def calls(marker: Path) -> str:
    """A reference of OmegaConf that becomes a call if it is resolved and instantiated."""
    path = f"{{_target_:pathlib.Path,_args_:['{marker}']}}"
    return "${oc.create:{_target_:pathlib.Path.write_text,_args_:[" + path + ",'written']}}"


PLACES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "generator": lambda config, text: config["model"]["generator"].update(width=text),
    "data": lambda config, text: config["data"]["pictures"].update(held_out=text),
    "holes": lambda config, text: config["data"].update(test_holes=text),
    "list": lambda config, text: config["data"].update(more=[{"a": [text]}]),
    "key": lambda config, text: config["data"].update({text: 1}),
    "name": lambda config, text: config.update(name=text),
    "elsewhere": lambda config, text: config.update(trainer={"strategy": text}),
}


@pytest.mark.parametrize("escapes", ["", "\\", "\\\\\\"])
@pytest.mark.parametrize("place", PLACES)
def test_a_reference_in_a_checkpoints_config_is_refused_and_never_resolved(
    good: Path, tmp_path: Path, place: str, escapes: str
) -> None:
    marker = tmp_path / "marker"
    evil = changed(good, lambda found: PLACES[place](config_of(found), escapes + calls(marker)))
    for use in (checkpoint.load, checkpoint.read, lambda path: evaluate(path, tmp_path / "out")):
        with pytest.raises(UserError, match=r"changed\.ckpt: inpaintlab\.config.* holds a reference"):
            use(evil)
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_a_run_does_not_start_from_a_checkpoint_with_a_reference(
    compose: Callable[..., Any], good: Path, tmp_path: Path
) -> None:
    evil = changed(good, lambda found: PLACES["generator"](config_of(found), calls(tmp_path / "marker")))
    with pytest.raises(UserError, match="holds a reference"):
        run_training(compose(f"init_from={evil}"))
    assert not (tmp_path / "marker").exists()


WRONG_OBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "callable": ({"_target_": "os.system", "command": "false"}, "names 'os.system'; expected a class of HoleSource"),
    "function of ours": ({"_target_": "inpaintlab.data.holes.overlap.masks_are_shared"}, "expected a class of Hole"),
    "imported": ({"_target_": "inpaintlab.data.holes.box.HoleSource"}, "expected a class of HoleSource that"),
    "abstract": ({"_target_": "inpaintlab.data.holes.source.HoleSource"}, "expected a class of HoleSource that"),
    "of another place": ({"_target_": "inpaintlab.data.geometry.Geometry", "size": 8}, "expected a class of HoleSour"),
    "not text": ({"_target_": 3}, "must be a mapping with the entry _target_"),
    "no target": ({"area": 0.1}, "must be a mapping with the entry _target_"),
    "arguments": ({**HOLES, "_args_": [0.1]}, "Box has no argument '_args_'; its arguments are area, place, name"),
    "partial": ({**HOLES, "_partial_": True}, "Box has no argument '_partial_'"),
    "convert": ({**HOLES, "_convert_": "all"}, "Box has no argument '_convert_'"),
    "recursive": ({**HOLES, "_recursive_": False}, "Box has no argument '_recursive_'"),
    "type": ({**HOLES, "area": "large"}, "holes.area must be a number, got 'large'"),
    "object for a number": ({**HOLES, "area": dict(HOLES)}, "holes.area must be a number, got a dict of 2"),
    "inside a list": (
        {"_target_": "inpaintlab.data.holes.source.Several", "sources": [{"_target_": "os.system"}]},
        r"holes.sources\[0\] names 'os.system'",
    ),
    "missing": ({"_target_": "inpaintlab.data.holes.mask_folder.MaskFolder"}, "needs the argument root"),
}


@pytest.mark.parametrize("kind", WRONG_OBJECTS)
def test_only_declared_classes_are_built_with_arguments_that_fit(kind: str) -> None:
    config, words = WRONG_OBJECTS[kind]
    with pytest.raises(UserError, match=words):
        build(config, HoleSource, "holes")  # type: ignore[type-abstract]


def test_a_declared_class_is_built() -> None:
    several = {"_target_": "inpaintlab.data.holes.source.Several", "sources": [HOLES, {**HOLES, "name": "other"}]}
    assert isinstance(build(HOLES, HoleSource, "holes"), Box)  # type: ignore[type-abstract]
    assert build(several, HoleSource, "holes").bins == ("center", "other")  # type: ignore[type-abstract]
    data = build(tiny_config()["data"], InpaintingData, "data", train_holes=None)
    assert (data.geometry.size, data.train_holes) == (128, None)


def test_the_config_of_a_checkpoint_is_not_resolved_by_an_evaluation(good: Path, tmp_path: Path) -> None:
    scan = tmp_path / "scan.json"
    path = changed(good, lambda found: config_of(found)["data"]["pictures"].update(scan_cache=str(scan)))
    results: Any = evaluate(path, tmp_path / "out")
    assert results.pairs == 2
    assert not scan.exists(), "a path from a checkpoint was written to"


def test_a_run_whose_config_could_not_be_loaded_again_does_not_start() -> None:
    with pytest.raises(UserError, match="the config.data.root holds a reference"):
        checkpoint.describe(tiny_config() | {"data": {"root": "${oc.env:HOME}"}}, {})


# ---------------------------------------------------------------------- absurd and incomplete content
def _set(value: object, *place: str) -> Change:
    def change(found: dict[str, Any]) -> None:
        for key in place[:-1]:
            found = found[key]
        found[place[-1]] = value

    return change


def _drop(*place: str) -> Change:
    def change(found: dict[str, Any]) -> None:
        for key in place[:-1]:
            found = found[key]
        del found[place[-1]]

    return change


def _first_weight(make: Callable[[torch.Tensor], object]) -> Change:
    def change(found: dict[str, Any]) -> None:
        name = next(name for name in found["state_dict"] if name.endswith("weight"))
        found["state_dict"][name] = make(found["state_dict"][name])

    return change


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]  # pickled once, met 2^depth times
    return value


CONFIG = (checkpoint.KEY, "config")
ABSURD: dict[str, tuple[Change, str]] = {
    "no scale": (_drop(*CONFIG, "scale"), r"missing inpaintlab\.config\.scale\.name$"),
    "no seed": (_drop(*CONFIG, "seed"), r"missing inpaintlab\.config\.seed$"),
    "no data": (_drop(*CONFIG, "data"), r"missing inpaintlab\.config\.data\.pairs_seed, "),
    "no holes": (_drop(*CONFIG, "data", "test_holes"), r"missing inpaintlab\.config\.data\.test_holes$"),
    "scale a number": (_set(3, *CONFIG, "scale", "name"), r"config\.scale\.name must be text"),
    "seed a text": (_set("0", *CONFIG, "seed"), r"config\.seed must be a whole number from 0 to 4294967295, got '0'"),
    "seed true": (_set(True, *CONFIG, "seed"), r"config\.seed must be a whole number .* got True"),
    "batches a text": (_set("many", "batches_done"), r"batches_done must be a whole number .* got 'many'"),
    "batches negative": (_set(-1, "batches_done"), "batches_done must be a whole number"),
    "batches NaN": (_set(float("nan"), "batches_done"), "batches_done must be a whole number .* got nan"),
    "name a list": (_set(["a"], *CONFIG, "name"), r"config\.name must be text"),
    "name with an escape": (_set("\x1b[31mred", *CONFIG, "name"), r"config\.name must be .*got '\\x1b\[31mred'"),
    "system a path": (_set("../lbam", checkpoint.KEY, "system"), "system must be the name of a system"),
    "config a list": (_set([1], *CONFIG), "missing inpaintlab.config.seed"),
    "integer key": (_set({3: 4}, *CONFIG, "trainer"), r"config\.trainer has the key 3; expected text"),
    "a tensor inside": (_set(torch.ones(1), *CONFIG, "trainer"), r"config\.trainer must be plain data"),
    "not finite": (_set(float("inf"), *CONFIG, "trainer"), r"config\.trainer must be a finite number"),
    "too deep": (_set(_nested(60), *CONFIG, "trainer"), "is larger than any config"),
    "too many": (_set(_nested(25), *CONFIG, "trainer"), "is larger than any config"),
    "huge width": (_set(1e6, *CONFIG, "model", "generator", "width"), r"generator\.width must be at most 10000"),
    "other width": (_set(5000.0, *CONFIG, "model", "generator", "width"), "do not fit inpaintlab.networks.lbam"),
    "huge size": (_set(10**6, *CONFIG, "data", "geometry", "size"), r"geometry\.size must be a whole number from 0 to"),
    "many workers": (_set(10**5, *CONFIG, "data", "workers"), r"data\.workers must be a whole number from 0 to 256"),
    "weights a list": (_set([1, 2], "state_dict"), "state_dict must map names to tensors, got a list of 2"),
    "weights a number": (_set({"generator.a": 1}, "state_dict"), r"state_dict\.generator\.a must be a tensor, got 1"),
    "weights by number": (_set({3: torch.ones(1)}, "state_dict"), "state_dict has the key 3"),
    "no weights": (_set({}, "state_dict"), "do not fit inpaintlab.networks.lbam; missing: "),
    "sparse": (_first_weight(lambda w: w.to_sparse()), "must be a dense tensor of real numbers, got .*sparse"),
    "complex": (_first_weight(lambda w: w.to(torch.complex64)), "must be a dense tensor of real .* torch.complex64"),
    "meta": (_first_weight(lambda w: w.to("meta")), "must be a dense tensor of real numbers, got .* on meta"),
    "average a list": (_set([], checkpoint.AVERAGE), "generator_average must map names to tensors"),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_and_incomplete_checkpoints_are_refused_before_any_work(good: Path, tmp_path: Path, kind: str) -> None:
    change, words = ABSURD[kind]
    path = changed(good, change)
    with pytest.raises(UserError, match=words) as caught:
        evaluate(path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_shapes_are_compared_before_anything_is_allocated(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    empty = torch.empty

    def counted(*size: Any, **options: Any) -> torch.Tensor:
        tensor = empty(*size, **options)
        made.append(tensor.nelement() if tensor.device.type != "meta" else 0)
        return tensor

    path = changed(good, _set(64.0, *CONFIG, "model", "generator", "width"))  # 280 GB
    monkeypatch.setattr(torch, "empty", counted)
    with pytest.raises(UserError, match="other shape"):
        checkpoint.load(path)
    assert sum(made) == 0
    checkpoint.load(good)
    assert sum(made) > 0


# ---------------------------------------------------------------------- a fuzz test
TYPES = [None, True, -1, 0, 3, 2.5, 1e30, float("nan"), "", "text", "${oc.env:HOME}", [], [1], {}]
TARGETS = ["os.system", "inpaintlab.data.holes.box.Box", "inpaintlab.networks.pconv.Generator", "inpaintlab", ".."]


def mutate(rng: random.Random, value: Any, marker: Path) -> Any:
    """A copy of plain data with one entry replaced, removed, renamed or added, anywhere."""
    value = deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                collect(node[key])

    collect(value)
    inside, key = rng.choice(places)
    kind = rng.randrange(5)
    if kind == 0 and isinstance(inside, dict):
        del inside[key]
    elif kind == 1 and isinstance(inside, dict):
        inside[rng.choice(["_args_", "_partial_", "${x}", "more", 3])] = inside.pop(key)
    elif kind == 2:
        inside[key] = rng.choice(["", "\\", "\\\\"]) + calls(marker)
    elif kind == 3:
        inside[key] = rng.choice([{"_target_": rng.choice(TARGETS)}, rng.choice(TARGETS)])
    else:
        inside[key] = rng.choice([*TYPES, 10**9, -(10**9), 2**70])
    return value


def test_no_mutation_of_a_config_does_more_than_a_sentence(good: Path, tmp_path: Path) -> None:
    rng, marker, ended = random.Random(14), tmp_path / "marker", {"done": 0, "refused": 0}
    sentences: list[str] = []
    found = torch.load(good, weights_only=True)
    before = sorted(tmp_path.rglob("*"))
    for _ in range(120):
        about = found[checkpoint.KEY]
        for _ in range(rng.choice([1, 1, 2])):
            about = mutate(rng, about, marker)
        whole = found | {checkpoint.KEY: about}
        try:
            checked = content.check(whole, "evil.ckpt")
            checkpoint._generator(checked.config["model"]["generator"], checked.weights, "evil.ckpt")
            build(checked.config["data"], InpaintingData, "data", train_holes=None).pairs("test")
            ended["done"] += 1
        except (UserError, FileNotFoundError) as error:
            ended["refused"] += 1
            sentences.append(str(error))
        assert not marker.exists()
    assert sorted(tmp_path.rglob("*")) == before
    assert not any("\n" in sentence for sentence in sentences)
    assert min(ended.values()) > 5, ended


# ---------------------------------------------------------------------- damaged and hostile archives
def test_one_flipped_bit_in_the_weights_is_noticed(good: Path) -> None:
    largest = max(zipfile.ZipFile(good).infolist(), key=lambda entry: entry.file_size)
    data = bytearray(good.read_bytes())
    data[largest.header_offset + 200 + largest.file_size // 2] ^= 4
    good.write_bytes(data)
    torch.load(good, weights_only=True)  # PyTorch does not notice
    with pytest.raises(UserError, match=r"it is damaged, the checksum of \S+ does not match"):
        checkpoint.load(good)


def test_a_checkpoint_that_unpacks_to_more_than_its_size_is_refused(good: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(good) as plain, zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(UserError, match="cannot be read as a checkpoint: it is compressed"):
        checkpoint.load(tmp_path / "a.ckpt")


def test_arrays_that_unpack_to_far_more_than_their_size_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(10**7))
    np.savez(tmp_path / "good.npz", a=np.arange(3.0))
    with pytest.raises(UserError, match=r"bomb\.npz would unpack to 0\.1 GB, more than 50 times its size"):
        weight_files.read(tmp_path / "bomb.npz", checkpoint.read_plain)
    assert weight_files.read(tmp_path / "good.npz", checkpoint.read_plain)["a"].tolist() == [0, 1, 2]


def test_an_encrypted_archive_is_refused_in_a_sentence(good: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(3.0))
    for path in (good, tmp_path / "a.npz"):
        data = bytearray(path.read_bytes())
        for entry in zipfile.ZipFile(path).infolist():
            data[entry.header_offset + 6] |= 1
        place = 0
        while (place := data.find(b"PK\1\2", place)) >= 0:
            data[place + 8] |= 1
            place += 4
        path.write_bytes(data)
        with pytest.raises(UserError, match="is encrypted"):
            weight_files.read(path, checkpoint.read_plain)


@pytest.mark.parametrize("kind", ["bomb", "encrypted", "outside", "link"])
def test_hostile_archives_of_pictures_write_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SLACK", 10**5)
    path, into = tmp_path / f"{kind}.zip", tmp_path / "into"
    if kind == "link":
        path = path.with_suffix(".tar")
        with tarfile.open(path, "w") as tape:
            for name, target in (("a.png", "/etc/passwd"), ("b", "..")):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE, target
                tape.addfile(member)
            member = tarfile.TarInfo("b/c.txt")
            member.size = 3
            tape.addfile(member, io.BytesIO(b"abc"))
        archives.unpack(path, into, {})
        assert not (tmp_path / "c.txt").exists()
        assert not any(found.is_symlink() for found in into.rglob("*"))
        return
    name = "../a.txt" if kind == "outside" else "a.txt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(name, bytes(10**6) if kind == "bomb" else b"abc")
    if kind == "encrypted":
        data = path.read_bytes()
        for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = data.find(mark) + place
            data = data[:at] + bytes([data[at] | 1]) + data[at + 1 :]
        path.write_bytes(data)
    words = {"bomb": "would unpack to more than", "encrypted": "is encrypted", "outside": "would be written elsewhere"}
    with pytest.raises(UserError, match=words[kind]):
        archives.unpack(path, into, {})
    assert not [found for found in tmp_path.rglob("*") if found.is_file() and found != path]


# ---------------------------------------------------------------------- links
def test_no_link_below_the_output_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")  # the user's own link
    out = atomic_write.require_writable(tmp_path / "out")
    (out / "planted").symlink_to(tmp_path / "victim")
    atomic_write.write_text(out / "folder" / "a.txt", "a")
    assert (tmp_path / "real" / "folder" / "a.txt").read_text() == "a"
    for place in (out / "planted" / "a.txt", out / "planted" / "deeper" / "a.txt"):
        with pytest.raises(UserError, match="is a link below the output folder"):
            atomic_write.write_text(place, "a")
    with pytest.raises(UserError, match="is a link below the output folder"):
        atomic_write.require_writable(out / "planted", below=out)
    assert not list((tmp_path / "victim").iterdir())


def test_a_link_in_place_of_a_file_is_replaced_or_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / "a.txt").symlink_to(victim)
    (tmp_path / ".lock").symlink_to(victim)
    atomic_write.write_text(tmp_path / "a.txt", "a")
    assert not (tmp_path / "a.txt").is_symlink()
    with pytest.raises(UserError, match="is a link, which is not followed"), atomic_write.locked(tmp_path / ".lock"):
        pass
    assert victim.read_text() == "mine"


def test_an_evaluation_does_not_follow_a_link_beside_a_checkpoint(good: Path, tmp_path: Path) -> None:
    results: Any = evaluate(good, tmp_path / "out")
    name = results.folder.name
    (tmp_path / "sent").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "sent" / name).symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="is a link below the output folder"):
        evaluate(good, tmp_path / "sent")
    assert not list((tmp_path / "victim").iterdir())


# ---------------------------------------------------------------------- names
NAME = "a\nerror: b\x1b[31m\u202e<script>$\\input{x}|&%\x07"


def test_names_reach_no_output_as_they_are() -> None:
    for shown in (printable.printable(NAME), printable.markdown(NAME), printable.latex(NAME)):
        assert shown.isprintable()
    assert printable.printable("M\u00fcller \u2013 \u6f22 10 %") == "M\u00fcller \u2013 \u6f22 10 %"
    assert "\\<script>" in printable.markdown(NAME)
    assert "\\|" in printable.markdown(NAME)
    assert r"\$\textbackslash{}input\{x\}" in printable.latex(NAME)


def test_errors_and_progress_escape_names(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (UserError(f"no {NAME}"), FileNotFoundError(f"no {NAME}")):
        sentence = explain(error)
        assert sentence is not None
        assert sentence.isprintable()
    assert explain(UserError("two lines:", f"  {NAME}")) == "two lines:\n" + printable.printable(f"  {NAME}")
    with progress.Bar(NAME, 2) as bar:
        bar.update(2, NAME)
    assert all(line.isprintable() and line.startswith("a\\n") for line in capsys.readouterr().err.splitlines())


def test_a_strange_file_name_is_escaped_by_a_command(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "x\nerror: all pictures lost\x1b[2J.png"
    picture.write_bytes(b"no picture")
    Image.new("L", (8, 8), 255).save(tmp_path / "mask.png")
    words = [f"--checkpoint={good}", f"--image={picture}", f"--mask={tmp_path / 'mask.png'}"]
    with pytest.raises(SystemExit):
        inpaint.main([*words, f"--out={tmp_path / 'out.png'}"])
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\nerror: all pictures lost" not in shown
    assert "x\\nerror: all pictures lost\\x1b[2J.png" in shown
