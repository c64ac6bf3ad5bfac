"""The policy: a market encoder run once per hour, and a thin part run once per state.

What is on offer depends on the hour and not on the agent, so most parameters, and all attention between
opportunity slots, live in `encode`; `heads` reads the code of an hour beside the private features of all
states that share it.
There is no positional embedding: shuffling slots shuffles the logits that point at them, and nothing else.

Shapes: H market hours, K states of each, B = H x K states, 10 opportunity slots, 5 position slots,
36 actions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from schemas.trading import (
    N_ACTIONS,
    N_OPPORTUNITY_SLOTS,
    N_POSITION_FEATURES,
    N_POSITION_SLOTS,
    N_PRIVATE,
    N_SLOT_FEATURES,
    SIZE_FRACTIONS,
)

INVALID: Final = -1e9  # log-probability of an invalid action: exp gives exactly 0, and 0 x INVALID is no NaN
KINDS: Final = ("hold", "enter", "exit")
INITIAL_KIND: Final = (0.90, 0.08, 0.02)  # a policy that churns first learns never to trade
INITIAL_SIZE: Final = (0.1, 0.2, 0.7)  # a profile's utilization says what it wants to have at work
FIRST_EXIT: Final = 1 + N_OPPORTUNITY_SLOTS * len(SIZE_FRACTIONS)
INTERVAL_FEATURE: Final = 2  # an empty slot is recognised by a funding interval of 0

_N_SIZES: Final = len(SIZE_FRACTIONS)
_N_STATE: Final = N_PRIVATE - N_POSITION_SLOTS * N_POSITION_FEATURES
_TOKEN = 128  # width of an opportunity token
_ATTENTION_HEADS = 4
_KEY = 64  # width of the keys and values a state reads from a token
_SUMMARY = (256, 192, 128)  # widths of the hour's own MLP: the cheapest parameters, used once per hour
_STATE = 64
_TRUNK = (192, 160)
_VALUE_TRUNK = (96, 96)

# Private features differ in size by four orders of magnitude (a net rate of 1e-4 beside a share of 1).
# Each enters as asinh((x - offset) x gain); the gains are fixed, so that a checkpoint means what it meant.
_STATE_GAIN: Final = (
    *(1.0, 1.0, 1.0, 2.0, 1.0),  # leverage / 10, utilization, max positions / 5, stop-loss x 10, buffer x 2
    *(20.0, 1.0, 1.0, 1.0, 100.0),  # NLV / initial (less 1), free cash, margin, positions, mean closed P&L
    *(
        20.0,
        20.0,
        1.0,
        1.0,
        0.5,
    ),  # drawdown, maximum drawdown, hour of 8, liquidation distance, gross
)
_STATE_OFFSET: Final = (*(0.0,) * 5, 1.0, *(0.0,) * 9)
_POSITION_GAIN: Final = (
    *(1.0, 100.0, 1.0, 300.0),  # active, net P&L, hours held / 72, net funding
    *(2000.0, 300.0, 2000.0, 1.0),  # net rate per 8 h, spread, 24 h net rate, notional / NLV
    *(2000.0, 20.0, 20.0, 1.0),  # funding due, long P&L, short P&L, liquidation distance
)


class MarketCode(NamedTuple):
    """What a state reads of an hour.

    Attributes:
        tokens: (H, 10, 192) attention key, attention value and pointer key of each slot; 0 where empty.
        valid: (H, 10) whether the slot is filled.
        summary: (H, 288) the hour as a whole, as it enters the first layer of actor and critic.
    """

    tokens: Tensor
    valid: Tensor
    summary: Tensor


def masked_log_softmax(logits: Tensor, valid: Tensor, dim: int = -1) -> Tensor:
    """Return log-probabilities over the valid entries.

    Invalid logits get exactly zero gradient. Without any valid entry the result is finite and meaningless.
    """
    return F.log_softmax(torch.where(valid, logits, INVALID), dim)


def action_log_probabilities(kind: Tensor, slot: Tensor, size: Tensor, leave: Tensor, mask: Tensor) -> Tensor:
    """Compose the 36 log-probabilities: log P(kind) + log P(slot | kind) + log P(size | slot).

    Each factor is normalised over what the mask leaves of it, hence so is the product.

    Args:
        kind: (B, 3) logits of hold, enter, exit.
        slot: (B, 10) logits of the opportunity slot, given an entry.
        size: (B, 3, 10) logits of the size, given the slot.
        leave: (B, 5) logits of the position slot, given an exit.
        mask: (B, 36) bool; at least one action of each row is valid.

    Returns:
        (B, 36) float; INVALID where the mask is False.
    """
    entries = mask[:, 1:FIRST_EXIT].reshape(-1, _N_SIZES, N_OPPORTUNITY_SLOTS)
    slots = entries.any(1)
    exits = mask[:, FIRST_EXIT:]
    kinds = torch.stack((mask[:, 0], slots.any(1), exits.any(1)), 1)
    log_kind = masked_log_softmax(kind, kinds)
    log_entry = masked_log_softmax(slot, slots).unsqueeze(1) + masked_log_softmax(size, entries, 1)
    log_exit = masked_log_softmax(leave, exits)
    joint = torch.cat(
        (log_kind[:, :1], log_kind[:, 1:2] + log_entry.flatten(1), log_kind[:, 2:] + log_exit), 1
    )
    return torch.where(mask, joint, INVALID)


def kind_masses(logp: Tensor) -> Tensor:
    """Return (B, 3) probabilities of hold, enter and exit from (B, 36) log-probabilities."""
    p = logp.exp()
    return torch.stack((p[:, 0], p[:, 1:FIRST_EXIT].sum(1), p[:, FIRST_EXIT:].sum(1)), 1)


def spread_of(logp: Tensor) -> Tensor:
    """Return (...,) what the entropy bonus is paid for: the entropy of the action, and once more of its size.

    The entropy of 36 actions weighs the size of an entry by how rare entries are. That hardly speaks for it,
    and the first few losses settled on the smallest size for good. The size counts in full, as if there were
    an entry; which pair it would be does not: drawn towards all of them alike, an entry is not worth having.

    Args:
        logp: (..., 36) log-probabilities, INVALID where masked.
    """
    joint = -(logp.exp() * logp).sum(-1)  # a masked action adds 0 x (huge) = 0
    entries = torch.unflatten(logp[..., 1:FIRST_EXIT], -1, (_N_SIZES, N_OPPORTUNITY_SLOTS))
    slots = entries.logsumexp(-2)
    within = entries - slots.unsqueeze(-2)
    size = -(within.exp() * within).sum(-2)
    possible = slots > 0.5 * INVALID
    share = torch.where(possible, slots, INVALID).softmax(-1).detach()
    return joint + torch.where(possible, share * size, 0.0).sum(-1)


class _Block(nn.Module):
    """Pre-norm self-attention over the ten slots, then a pre-norm MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def onto_stream(self) -> tuple[nn.Linear, nn.Linear]:
        """The layers that add to the residual stream."""
        return self.out, self.down

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map tokens (H, 10, width) under an additive attention bias (H, 1, 1, 10)."""
        qkv = torch.unflatten(self.qkv(self.norm_attention(x)), -1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias
        mixed = scores.softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        y: Tensor = x + self.down(F.relu(self.up(self.norm_mlp(x))))
        return y


class Policy(nn.Module):
    """Actor and critic over 275 observed numbers and 36 actions, about 792,000 parameters.

    Inputs are the simulator's observation in its two parts: the hour's scaled opportunity slots
    (10 x 20) and the 75 private numbers of a state.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, seed: int | None = 0) -> None:
        """Build and initialise the policy; the same seed gives the same weights.

        None leaves the weights as they come, for a policy that is loaded next.
        """
        super().__init__()
        positions = _POSITION_GAIN * N_POSITION_SLOTS
        self.register_buffer("gain", torch.tensor(_STATE_GAIN + positions))
        self.register_buffer("offset", torch.tensor(_STATE_OFFSET + (0.0,) * len(positions)))
        # Once per hour.
        self.embed = nn.Linear(N_SLOT_FEATURES, _TOKEN)
        self.blocks = nn.ModuleList(_Block(_TOKEN, _ATTENTION_HEADS) for _ in range(2))
        self.norm = nn.LayerNorm(_TOKEN)
        self.code = nn.Linear(_TOKEN, 3 * _KEY)
        self.summary_in = nn.Linear(2 * _TOKEN, _SUMMARY[0])
        self.summary_mid = nn.Linear(_SUMMARY[0], _SUMMARY[1])
        self.summary_out = nn.Linear(_SUMMARY[1], _SUMMARY[2])
        # The hour's part of the first layer of actor and critic: computed once, added to every state.
        self.hour = nn.Linear(_SUMMARY[2], _TRUNK[0] + _VALUE_TRUNK[0], bias=False)
        # Once per state.
        self.state_in = nn.Linear(_N_STATE, _STATE)
        self.state_out = nn.Linear(_STATE, _STATE)
        self.position_in = nn.Linear(N_POSITION_FEATURES, _STATE)
        self.position_out = nn.Linear(_STATE, _STATE)
        self.query = nn.Linear(3 * _STATE, _KEY)
        joined = 3 * _STATE + _KEY
        self.trunk_in = nn.Linear(joined, _TRUNK[0])
        self.trunk_out = nn.Linear(_TRUNK[0], _TRUNK[1])
        self.value_in = nn.Linear(joined, _VALUE_TRUNK[0])
        self.value_mid = nn.Linear(_VALUE_TRUNK[0], _VALUE_TRUNK[1])
        # Heads.
        self.kind = nn.Linear(_TRUNK[1], len(KINDS))
        self.pointer = nn.Linear(_TRUNK[1], (1 + _N_SIZES) * _KEY)
        self.size_bias = nn.Parameter(torch.zeros(_N_SIZES, 1))
        self.exit_position = nn.Linear(_STATE, _KEY)
        self.exit_trunk = nn.Linear(_TRUNK[1], _KEY, bias=False)
        self.exit_score = nn.Linear(_KEY, 1, bias=False)
        self.value = nn.Linear(_VALUE_TRUNK[1], 1)
        if seed is not None:
            self._initialise(torch.Generator().manual_seed(seed))

    def _initialise(self, generator: torch.Generator) -> None:
        """Orthogonal weights, zero biases; small heads, biases at INITIAL_KIND and INITIAL_SIZE."""
        gains: dict[nn.Module, float] = {
            self.kind: 0.01,
            self.pointer: 0.01,
            self.exit_score: 0.01,
            self.value: 1.0,
        }
        for block in self.modules():
            if isinstance(block, _Block):  # the residual stream keeps its size at first
                gains |= dict.fromkeys(block.onto_stream(), 0.5)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, gains.get(module, 2.0**0.5), generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.kind.bias.copy_(torch.tensor(INITIAL_KIND).log())
            self.size_bias.copy_(torch.tensor(INITIAL_SIZE).log()[:, None])

    def encode(self, slots: Tensor) -> MarketCode:
        """Encode market hours.

        Args:
            slots: (H, 10, 20) scaled opportunity slots; an empty slot is all zeros.
        """
        valid = slots[:, :, INTERVAL_FEATURE] != 0
        # A finite bias: an hour with nothing on offer attends evenly to nothing of use instead of giving NaN,
        # and whatever it computes is multiplied by zero below and wherever a state reads it.
        bias = torch.where(valid, 0.0, INVALID)[:, None, None, :]
        x = self.embed(slots)
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x) * valid.unsqueeze(-1)
        mean = x.sum(1) / valid.sum(1, keepdim=True).clamp(min=1)
        top = torch.where(valid.unsqueeze(-1), x, INVALID).amax(1) * valid.any(1, keepdim=True)
        summary = F.relu(self.summary_mid(F.relu(self.summary_in(torch.cat((mean, top), 1)))))
        tokens = self.code(x) * valid.unsqueeze(-1)
        return MarketCode(tokens, valid, self.hour(self.summary_out(summary)))

    def heads(self, code: tuple[Tensor, ...], private: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Judge states, K of them beside the code of the hour they share.

        Args:
            code: The MarketCode of H hours.
            private: (H, K, 75) config, portfolio and positions.
            mask: (H, K, 36) bool, True where the action would be accepted.

        Returns:
            log-probabilities (H, K, 36), INVALID where masked, and values (H, K) in units of scaled reward.
        """
        tokens, valid, summary = code
        z = torch.asinh((private - self.offset) * self.gain)
        positions = torch.unflatten(z[..., _N_STATE:], -1, (N_POSITION_SLOTS, N_POSITION_FEATURES))
        active = private[..., _N_STATE::N_POSITION_FEATURES].unsqueeze(-1)
        held = F.relu(self.position_out(F.relu(self.position_in(positions)))) * active
        state = F.relu(self.state_out(F.relu(self.state_in(z[..., :_N_STATE]))))
        state = torch.cat((state, held.sum(-2), held.amax(-2)), -1)  # held >= 0: idle slots never win

        keys, values, pointers = torch.split(tokens, _KEY, -1)
        joined = torch.cat((state, self._read(state, keys, values, valid)), -1)
        for_actor, for_critic = torch.split(summary.unsqueeze(1), [_TRUNK[0], _VALUE_TRUNK[0]], -1)
        value = F.relu(self.value_mid(F.relu(self.value_in(joined) + for_critic)))

        trunk = F.relu(self.trunk_out(F.relu(self.trunk_in(joined) + for_actor)))
        queries = torch.unflatten(self.pointer(trunk), -1, (1 + _N_SIZES, _KEY)).flatten(1, 2)
        points = (queries @ pointers.transpose(1, 2) * _KEY**-0.5).view(-1, 1 + _N_SIZES, N_OPPORTUNITY_SLOTS)
        leave = self.exit_score(torch.tanh(self.exit_position(held) + self.exit_trunk(trunk).unsqueeze(-2)))
        logp = action_log_probabilities(
            self.kind(trunk).flatten(0, 1),
            points[:, 0],
            points[:, 1:] + self.size_bias,
            leave.flatten(0, 1).squeeze(-1),
            mask.flatten(0, 1),
        )
        return logp.view(mask.shape), self.value(value).squeeze(-1)

    def spread(self, logp: Tensor) -> Tensor:
        """Return (H, K) what the entropy bonus is paid for, see `spread_of`."""
        return spread_of(logp)

    def _read(self, state: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> Tensor:
        """Pool the hour's tokens by what each state asks for: (H, K, 64)."""
        query, keys, values = (
            torch.unflatten(x, -1, (_ATTENTION_HEADS, -1)).transpose(1, 2)
            for x in (self.query(state), keys, values)
        )
        scores = query @ keys.transpose(-1, -2) * query.shape[-1] ** -0.5
        weights = torch.where(valid[:, None, None, :], scores, INVALID).softmax(-1)
        return (weights @ values).transpose(1, 2).flatten(2)  # values of empty slots are 0


def count_parameters(policy: nn.Module) -> int:
    """Return the number of learned parameters."""
    return sum(p.numel() for p in policy.parameters())


assert FIRST_EXIT + N_POSITION_SLOTS == N_ACTIONS
