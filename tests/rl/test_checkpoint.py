"""Checkpoints come back exactly, or are refused in one sentence."""

import json
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rl import tensorfile
from rl.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_of,
    restore_optimizer,
    restore_rng,
    rng_of,
    save_checkpoint,
    weights_of,
)
from rl.policy import Policy
from rl.tensorfile import read_tensors, write_tensors
from schemas.checkpoint import CheckpointInfo, Progress, RewardScale
from schemas.errors import ArtifactError
from schemas.trading import MarketRules
from schemas.training import TrainingConfig
from schemas.version import Windows
from tests.rl.test_policy import judge, random_mask, random_private, random_slots

DAYS = [f"2025-09-{day:02d}T00:00:00+00:00" for day in (1, 5, 6, 8, 9, 11)]


def info(**changes: object) -> CheckpointInfo:
    windows = Windows(train=(DAYS[0], DAYS[1]), validation=(DAYS[2], DAYS[3]), test=(DAYS[4], DAYS[5]))
    return CheckpointInfo(
        **{
            "progress": Progress(update=3, episodes=70, steps=4000, asked=50, validation_pct=0.1 + 0.2),
            "preset": "moderate",
            "training": TrainingConfig(learning_rate=1 / 3),
            "rules": MarketRules(),
            "scaler_median": tuple(np.random.default_rng(0).random(20).tolist()),
            "reward_scale": RewardScale(count=10, mean=1 / 7, spread=3.3),
            "data_hash": "ab" * 32,
            "windows": windows,
            "torch": torch.__version__,
        }
        | changes
    )


def trained(steps: int = 2) -> tuple[Policy, torch.optim.Optimizer]:
    policy = Policy(0)
    optimizer = torch.optim.Adam(policy.parameters(), eps=1e-5, fused=True)
    for i in range(steps):
        logp, value = judge(policy, random_slots(4, seed=i), random_private(4), random_mask(4))
        optimizer.zero_grad()
        (logp.exp().square().sum() + value.sum()).backward()
        optimizer.step()
    return policy, optimizer


def example() -> Checkpoint:
    policy, optimizer = trained()
    rng = rng_of(torch.Generator().manual_seed(4), np.random.default_rng(5))
    return Checkpoint(weights_of(policy), optimizer_of(policy, optimizer), rng, info())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    checkpoint = example()
    save_checkpoint(path, checkpoint)
    return path, checkpoint


def test_a_checkpoint_comes_back_exactly(saved: tuple[Path, Checkpoint]) -> None:
    path, checkpoint = saved
    loaded = load_checkpoint(path)
    assert loaded.info == checkpoint.info
    before, after = checkpoint.tensors(), loaded.tensors()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name])
        assert tensor.dtype == after[name].dtype
    assert loaded.weights_hash == checkpoint.weights_hash
    assert loaded.scaler().median.tolist() == list(checkpoint.info.scaler_median)


def test_the_policy_that_comes_back_decides_the_same(saved: tuple[Path, Checkpoint]) -> None:
    policy, other = trained()[0], load_checkpoint(saved[0]).policy()
    slots, private, mask = random_slots(5), random_private(5), random_mask(5)
    for a, b in zip(
        judge(policy, slots, private, mask),
        judge(other, slots, private, mask),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_a_file_has_about_nine_megabytes_and_the_same_content_gives_the_same_bytes(
    saved: tuple[Path, Checkpoint], tmp_path: Path
) -> None:
    path, checkpoint = saved
    assert 9.0e6 < path.stat().st_size < 10.0e6
    save_checkpoint(tmp_path / "again.safetensors", checkpoint)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["again.safetensors"], "no temporary file is left"


def test_adam_goes_on_as_if_never_stopped() -> None:
    one, optimizer = trained(2)
    other = Policy(1)
    other.load_state_dict(weights_of(one))
    continued = torch.optim.Adam(other.parameters(), eps=1e-5, fused=True)
    restore_optimizer(other, continued, optimizer_of(one, optimizer))
    for policy, adam in ((one, optimizer), (other, continued)):
        for i in (7, 8):
            logp, value = judge(policy, random_slots(4, seed=i), random_private(4), random_mask(4))
            adam.zero_grad()
            (logp.exp().square().sum() + value.sum()).backward()
            adam.step()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_random_generators_go_on_as_if_never_stopped() -> None:
    generator, rng = torch.Generator().manual_seed(1), np.random.default_rng(2)
    torch.rand(7, generator=generator)
    rng.integers(0, 9, 3)  # leaves half a word in the buffer
    kept = rng_of(generator, rng)
    expected = torch.rand(5, generator=generator), rng.random(5), rng.integers(0, 9, 5)
    other, other_rng = torch.Generator(), np.random.default_rng(0)
    restore_rng(other, other_rng, kept)
    assert torch.equal(torch.rand(5, generator=other), expected[0])
    assert (other_rng.random(5) == expected[1]).all()
    assert (other_rng.integers(0, 9, 5) == expected[2]).all()


def test_no_pickle_is_written(saved: tuple[Path, Checkpoint]) -> None:
    data = saved[0].read_bytes()
    assert not data.startswith((b"\x80", b"PK"))
    with pytest.raises((ValueError, pickle.UnpicklingError, IndexError)):
        list(pickletools.genops(data))
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert set(header["__metadata__"]) == {"carryflow"}


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such checkpoint" in refusal(tmp_path / "none.safetensors")


def test_a_pickled_model_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save({"w": torch.zeros(3)}, path)
    assert "not a carryflow checkpoint" in refusal(path)


def test_foreign_and_empty_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(3)}, foreign)
    assert "not a carryflow checkpoint" in refusal(foreign)
    for name, data in (("empty", b""), ("text", b"time,price\n1,2\n"), ("zeros", bytes(100))):
        path = tmp_path / name
        path.write_bytes(data)
        assert "not a carryflow checkpoint" in refusal(path)


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "resume.safetensors"
    write_tensors(path, "resume state", {"a": torch.zeros(2)}, {})
    assert "is a carryflow resume state, not a checkpoint" in refusal(path)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_a_cut_file_is_refused(saved: tuple[Path, Checkpoint], tmp_path: Path, share: float) -> None:
    data = saved[0].read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[: int(share * len(data))])
    assert "damaged" in refusal(path)


def test_one_flipped_bit_is_noticed(saved: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    path = tmp_path / "flipped.safetensors"
    for place in (-1, -5_000_000):
        data = bytearray(saved[0].read_bytes())
        data[place] ^= 1
        path.write_bytes(data)
        assert "does not match its hash" in refusal(path)
    data = bytearray(saved[0].read_bytes())
    at = data.find(b"moderate")
    data[at : at + 8] = b"modexate"
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def test_another_format_or_network_is_refused(tmp_path: Path) -> None:
    checkpoint = example()
    path = tmp_path / "model.safetensors"
    document = checkpoint.info.model_dump(mode="json")
    write_tensors(path, "checkpoint", checkpoint.tensors(), document | {"format": 99})
    assert "has format 99" in refusal(path)
    write_tensors(path, "checkpoint", checkpoint.tensors(), document | {"preset": "reckless"})
    assert "preset" in refusal(path)
    tensors = checkpoint.tensors()
    del tensors["weights/kind.weight"]
    write_tensors(path, "checkpoint", tensors, document)
    assert "another version of the policy network" in refusal(path)


def test_a_kill_while_writing_leaves_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, "thing", {"a": torch.zeros(2)}, {"n": 1})

    def killed(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tensorfile.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_tensors(path, "thing", {"a": torch.ones(2)}, {"n": 2})
    assert read_tensors(path, "thing")[1] == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
