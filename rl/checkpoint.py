"""A checkpoint: one safetensors file with weights, optimizer and random generators, and JSON about them.

Nothing is pickled, and everything needed to judge the policy or to go on training is in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from rl.market.scaler import Scaler
from rl.policy import Policy
from rl.tensorfile import content_hash, read_tensors, write_tensors
from schemas.checkpoint import CHECKPOINT_FORMAT, CheckpointInfo
from schemas.errors import ArtifactError

KIND = "checkpoint"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Checkpoint:
    """A policy at one moment of its training.

    Attributes:
        weights: Parameters and buffers by name.
        optimizer: Adam's moments, `exp_avg/<parameter>` and `exp_avg_sq/<parameter>`, and `step`.
        rng: `torch` and `numpy`, the states of the run's generators as bytes.
        info: Progress, configs, scaler, windows.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    rng: dict[str, Tensor]
    info: CheckpointInfo

    @property
    def weights_hash(self) -> str:
        """sha256 of the weights alone: one part of what a version is."""
        return content_hash(self.weights, {})

    def scaler(self) -> Scaler:
        """Return the scaler the policy was trained with."""
        return Scaler(np.array(self.info.scaler_median, np.float64))

    def policy(self) -> Policy:
        """Rebuild the policy, on the CPU.

        Raises:
            ArtifactError: The weights are those of another network.
        """
        policy = Policy(seed=None)
        own = {name: tensor.shape for name, tensor in policy.state_dict().items()}
        if own != {name: tensor.shape for name, tensor in self.weights.items()}:
            raise ArtifactError(
                "the checkpoint was written by another version of the policy network.",
                remedy="Train again with this version.",
            )
        policy.load_state_dict(self.weights)
        return policy

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under its name in a file."""
        parts = {"weights": self.weights, "adam": self.optimizer, "rng": self.rng}
        return {f"{part}/{name}": tensor for part, own in parts.items() for name, tensor in own.items()}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], info: CheckpointInfo) -> Checkpoint:
        """Take apart what `tensors` put together."""
        return cls(part(tensors, "weights"), part(tensors, "adam"), part(tensors, "rng"), info)


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors under `name/`, without it."""
    return {key[len(name) + 1 :]: tensor for key, tensor in tensors.items() if key.startswith(name + "/")}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    write_tensors(path, KIND, checkpoint.tensors(), checkpoint.info.model_dump(mode="json"))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ArtifactError: It is missing, damaged, foreign, or of another format or network.
    """
    tensors, document = read_tensors(path, KIND)
    if document.get("format") != CHECKPOINT_FORMAT:
        what = f"the checkpoint has format {document.get('format')}, this version reads {CHECKPOINT_FORMAT}."
        raise ArtifactError(what, str(path), "Train again with this version.")
    try:
        info = CheckpointInfo.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        what = f"the checkpoint's description is not valid: {field}: {problem['msg']}."
        raise ArtifactError(what, str(path)) from error
    checkpoint = Checkpoint.of(tensors, info)
    try:
        checkpoint.policy()
    except ArtifactError as error:
        raise ArtifactError(error.what, str(path), error.remedy) from error
    return checkpoint


# -- what goes in ---------------------------------------------------------------------------------------


def weights_of(policy: nn.Module) -> dict[str, Tensor]:
    """Copy parameters and buffers to the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in policy.state_dict().items()}


def optimizer_of(policy: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copy Adam's state to the CPU; empty before the first step."""
    state: dict[str, Tensor] = {}
    for name, parameter in policy.named_parameters():
        own = optimizer.state.get(parameter)
        if own:
            state["step"] = own["step"].detach().to("cpu", copy=True).reshape(1)
            for moment in MOMENTS:
                state[f"{moment}/{name}"] = own[moment].detach().to("cpu", copy=True)
    return state


def restore_optimizer(
    policy: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]
) -> None:
    """Continue Adam from `optimizer_of`."""
    if not state:
        return
    for name, parameter in policy.named_parameters():
        optimizer.state[parameter] = {"step": state["step"][0].clone()} | {
            moment: state[f"{moment}/{name}"].to(parameter.device, copy=True) for moment in MOMENTS
        }


def rng_of(generator: torch.Generator, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return both generators' states as bytes."""
    text = json.dumps(rng.bit_generator.state, sort_keys=True).encode()
    return {"torch": generator.get_state(), "numpy": torch.tensor(list(text), dtype=torch.uint8)}


def restore_rng(generator: torch.Generator, rng: np.random.Generator, state: Mapping[str, Tensor]) -> None:
    """Continue both generators from `rng_of`."""
    generator.set_state(state["torch"])
    rng.bit_generator.state = json.loads(bytes(state["numpy"].tolist()))
