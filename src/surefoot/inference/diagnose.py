"""Doubt chains before they are believed: findings on how they mixed, from one pass over their shards.

In parameter space every number of every tensor is looked at, by running means and variances of the halves of each chain
(Welford's), so that no more than one shard is held; effective numbers of draws need whole histories and are taken of a
random choice of parameters, whose number is stated. In function space the same is asked of predictions at given rows.

Weights of a network need not mix: hidden units may be exchanged and signs flipped without any change of the function,
and each chain may keep to one of these copies. So it is the functions that decide (`mixed`), and the share of
parameters that mixed is reported beside them.
"""

import math
import sys
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Direction, Finding
from surefoot.findings.mixing import bulk_ess, ebfmi, rank_rhat, rhat_of_moments, split_rhat, tail_ess
from surefoot.inference.chains.chains import Chains
from surefoot.inference.predict.normal import Normal
from surefoot.inference.predict.predictive import Categorical
from surefoot.inference.predict.values import function_values
from surefoot.memory import require_memory
from surefoot.networks.network import Network, Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Inputs

__all__ = ["Mixed", "diagnose", "mixed"]

PARAMETERS, FUNCTIONS = "parameters", "functions"
RHAT, FEWEST, ENERGY, DIVERGENT = 1.1, 100.0, 0.2, 0.01


class Mixed(NamedTuple):
    """Whether a card may rest claims on these chains, and every reason why not, as a reader would be told."""

    mixed: bool
    reasons: tuple[str, ...]


def diagnose(
    chains: Chains,
    network: Network | None = None,
    inputs: Inputs | None = None,
    family: Literal["categorical"] | Categorical | Normal = "categorical",
    *,
    fixed: Parameters | None = None,
    subject: str = "draws",
    source: str = "chains",
    histories: int = 256,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Finding, ...]:
    """How these chains mixed, in findings; those of the sampler itself (`chains.diagnostics`) are not repeated.

    With the slice "parameters", and "functions" where a network and inputs are given (a few hundred rows; `family` and
    `fixed` as for `predict`), of split R̂ over all quantities that vary: `rhat_below_1_1`, `rhat_below_1_01` (shares),
    `rhat_95` (the 95 % quantile), `rhat_worst`; `bulk_ess_05`, `tail_ess_05` (the 5 % quantile of effective draws, of
    `histories` randomly chosen parameters), `bulk_ess_worst`; `constant_quantities`, which are left out of all of
    these. Of functions also `rank_rhat_95`. A finding's count are the quantities behind it, its clusters the chains.

    By chain (from 1) and for "all", where the sampler left the statistics: `ebfmi` (all: the worst),
    `accept_probability` (the mean) and `divergent_draws` (the sum), of kept draws. Where the sampler itself told the
    `ebfmi` of all its iterations, that one is passed on: energies of draws far apart look independent in every chain.

    An infinite R̂ (no chain moves, and they differ) is given as the largest number there is, with a note.
    Raises `InputError` for fewer than four draws, draws that are NaN or infinite, a network without inputs, and when
    the running sums would not fit into memory.

    >>> from surefoot.inference.chains.writer import ChainWriter
    >>> writer, generator = ChainWriter(None, "", chains=2), torch.Generator().manual_seed(0)
    >>> for _ in range(200): writer.append({"w": torch.randn(2, 50, generator=generator)}, {})
    >>> found = diagnose(writer.finish(diagnostics=(), seen=frozenset()))
    >>> [finding.value for finding in found if finding.name == "rhat_below_1_1"], mixed(found).mixed
    ([1.0], True)
    """
    if (network is None) != (inputs is None):
        raise InputError("A network needs inputs at which its functions are looked at; give both or none.")
    if chains.draws < 4:
        raise InputError(f"There are {chains.draws} draws of each chain; give at least 4, and hundreds to learn much.")
    say = _Speaker(subject, source, chains.chains)
    # First, for it refuses draws of another network or without their fixed tensors.
    values = None
    if network is not None and inputs is not None:
        values = function_values(network, chains, inputs, family, fixed=fixed)
    found: list[Finding] = []
    found += _of_parameters(chains, histories, seed, say, progress)
    if values is not None:
        found += say.rhats(FUNCTIONS, split_rhat(values))
        ranked = _known(rank_rhat(values))
        if len(ranked):
            found.append(say("rank_rhat_95", _quantile(ranked, 0.95), FUNCTIONS, len(ranked)))
        found += say.effective(FUNCTIONS, values)
    return (*found, *_of_statistics(chains.statistics(), say, chains.diagnostics))


def mixed(findings: Sequence[Finding]) -> Mixed:
    """Whether these diagnostics let claims rest on the draws.

    All must hold, of functions where they were looked at and else of parameters:

    - two chains or more (one chain cannot tell that it missed a mode);
    - the 95 % quantile of split R̂ is below 1.1;
    - the 5 % quantile of bulk effective draws is above 100, all chains together;
    - E-BFMI is at least 0.2 in every chain, where there are energies;
    - at most 1 % of iterations diverged, kept or not, where the sampler's own findings are among these; else of draws.

    1.1 is the classical limit, and that of the studies of Hamiltonian Monte Carlo for networks; 1.01, which Vehtari et
    al. (2021) advise, is reported but asked of nobody's network. A hundred draws put the Monte Carlo error at a tenth
    of the posterior's own standard deviation.

    Sources: Izmailov, Vikram, Hoffman & Wilson (2021), ICML; Betancourt (2016), arXiv 1604.00695 (E-BFMI below 0.2).
    """
    by = {(finding.name, finding.slice): finding for finding in findings}
    where = FUNCTIONS if ("rhat_95", FUNCTIONS) in by else PARAMETERS
    far, few = by.get(("rhat_95", where)), by.get(("bulk_ess_05", where))
    if far is None or few is None:
        return Mixed(False, ("nothing that varies was diagnosed",))
    reasons: list[str] = []
    if far.clusters < 2:
        reasons.append("there is one chain, which cannot tell what it has missed")
    if not far.value < RHAT:
        reasons.append(f"5 % of {where} have a split R̂ of {_shown(far.value)} or more (below {RHAT} is asked)")
    if not few.value > FEWEST:
        reasons.append(f"5 % of {where} have {few.value:.0f} effective draws or fewer (above {FEWEST:.0f} is asked)")
    energy = by.get(("ebfmi", "all"))
    diverged = by.get(("divergences", "all"), by.get(("divergent_draws", "all")))
    if energy is not None and not energy.value >= ENERGY:
        reasons.append(f"a chain has an E-BFMI of {energy.value:.2f} (at least {ENERGY} is asked)")
    if diverged is not None and diverged.value > DIVERGENT * diverged.count:
        what = "draws" if diverged.name == "divergent_draws" else "iterations"
        reasons.append(f"{diverged.value:.0f} of {diverged.count} {what} diverged (at most {DIVERGENT:.0%} is asked)")
    return Mixed(not reasons, tuple(reasons))


class _Speaker(NamedTuple):
    """Makes findings of one subject; `clusters` are its chains."""

    subject: str
    source: str
    chains: int

    def __call__(
        self,
        name: str,
        value: float,
        where: str,
        count: int,
        unit: str = "ratio",
        direction: Direction = "lower",
        chains: int | None = None,
    ) -> Finding:
        if math.isinf(value):
            value, unit = sys.float_info.max, f"{unit} (infinite)"
        clusters = self.chains if chains is None else chains
        return Finding(name, value, None, count, clusters, unit, where, direction, self.subject, self.source)

    def rhats(self, where: str, values: Float64[Tensor, "quantities"]) -> list[Finding]:
        """What split R̂ says of the quantities that vary, and how many do not: theirs is NaN."""
        total, values = len(values), _known(values)
        count = len(values)
        found = [self("constant_quantities", float(total - count), where, total, "quantities", "none")]
        if not count:
            return found
        for name, limit in (("rhat_below_1_1", 1.1), ("rhat_below_1_01", 1.01)):
            share = float((values < limit).double().mean())
            found.append(self(name, share, where, count, "proportion", "higher"))
        found.append(self("rhat_95", _quantile(values, 0.95), where, count))
        found.append(self("rhat_worst", float(values.max()), where, count))
        return found

    def effective(self, where: str, values: Float64[Tensor, "draws chains quantities"]) -> list[Finding]:
        """What effective draws say of the quantities that vary; those that do not have none, and NaN."""
        bulk, tail = _known(bulk_ess(values)), _known(tail_ess(values))
        if not len(bulk):
            return []
        found = [
            self("bulk_ess_05", _quantile(bulk, 0.05), where, len(bulk), "draws", "higher"),
            self("bulk_ess_worst", float(bulk.min()), where, len(bulk), "draws", "higher"),
        ]
        if len(tail):
            found.append(self("tail_ess_05", _quantile(tail, 0.05), where, len(tail), "draws", "higher"))
        return found


class _Halves(NamedTuple):
    """Running moments of the halves of chains, changed in place: `[halves · chains, parameters]` in float64."""

    mean: Tensor
    squares: Tensor
    low: Tensor
    high: Tensor


def _of_parameters(chains: Chains, histories: int, seed: int, say: _Speaker, progress: Progress) -> list[Finding]:
    """One pass over the shards: moments of all parameters, and the histories of some."""
    half = chains.draws // 2
    halves = chosen = None
    kept = torch.empty(0)
    done = 0
    for shard in chains:
        for draw in range(shard.draws):
            values = _flat(shard.parameters, draw, chains.chains, done)
            size = values.shape[1]
            if halves is None or chosen is None:
                require_memory(4 * 8 * 2 * chains.chains * size, f"Diagnosing {chains.chains} chains of {size} numbers")
                picked = np.random.default_rng(seed).choice(size, size=min(histories, size), replace=False)
                chosen = torch.from_numpy(np.sort(picked))
                kept = torch.empty(chains.draws, chains.chains, len(chosen), dtype=torch.float64)
                empty = torch.zeros(2 * chains.chains, size, dtype=torch.float64)
                halves = _Halves(empty, empty.clone(), empty + math.inf, empty - math.inf)
            kept[done] = values[:, chosen]
            if done < half:
                _add(halves, slice(0, chains.chains), values, done + 1)
            if done >= chains.draws - half:
                _add(halves, slice(chains.chains, None), values, done - (chains.draws - half) + 1)
            done += 1
            progress("diagnosing", done, chains.draws)
    assert halves is not None
    # Where a half never moves, what rounding left of its variance would make an infinite R̂ finite.
    stuck = halves.low == halves.high
    means = torch.where(stuck, halves.low, halves.mean)
    variances = (halves.squares / (half - 1)).masked_fill(stuck, 0.0)
    found = say.rhats(PARAMETERS, rhat_of_moments(means, variances, half))
    return [*found, *say.effective(PARAMETERS, kept)]


def _flat(parameters: Parameters, draw: int, chains: int, number: int) -> Float64[Tensor, "chains size"]:
    """One draw of each chain as one row of numbers, whole-number buffers left out."""
    floating = [tensor[draw].reshape(chains, -1) for tensor in parameters.values() if tensor.is_floating_point()]
    values = torch.cat(floating, dim=1).double()
    bad = (~values.isfinite()).any(dim=1)
    if bool(bad.any()):
        raise InputError(
            f"Draw {number + 1} of chain {int(bad.nonzero()[0]) + 1} holds numbers that are NaN or infinite; sample "
            "with a smaller step size, or leave that chain out."
        )
    return values


def _add(halves: _Halves, rows: slice, values: Tensor, number: int) -> None:
    """Welford's recurrence for draw `number` (from 1) of a half."""
    mean = halves.mean[rows]
    difference = values - mean
    mean += difference / number
    halves.squares[rows] += difference * (values - mean)
    torch.minimum(halves.low[rows], values, out=halves.low[rows])
    torch.maximum(halves.high[rows], values, out=halves.high[rows])


def _of_statistics(statistics: dict[str, Tensor], say: _Speaker, told: Sequence[Finding]) -> list[Finding]:
    """What the sampler said of its draws, for all chains and for each; told: its findings on all iterations."""
    found = [
        say(one.name, one.value, one.slice, one.count, one.unit, one.direction, one.clusters)
        for one in told
        if one.name == "ebfmi"
    ]
    accepted = statistics.get("accept_probability", statistics.get("accepted"))
    if not found and (energies := statistics.get("energy")) is not None:
        # A chain whose energy never changes has stood still; that is as little information as there can be.
        fractions = ebfmi(energies).nan_to_num(nan=0.0)
        found += _by_chain(say, "ebfmi", fractions.tolist(), float(fractions.min()), len(energies), "ratio", "higher")
    if accepted is not None:
        shares = accepted.mean(dim=0)
        mean = float(shares.mean())
        found += _by_chain(say, "accept_probability", shares.tolist(), mean, len(accepted), "proportion", "none")
    if (diverged := statistics.get("divergent")) is not None:
        counts = diverged.sum(dim=0)
        total = float(counts.sum())
        found += _by_chain(say, "divergent_draws", counts.tolist(), total, len(diverged), "draws", "lower")
    return found


def _by_chain(
    say: _Speaker, name: str, each: list[float], together: float, draws: int, unit: str, direction: Direction
) -> list[Finding]:
    chains = [say(name, value, f"chain {at}", draws, unit, direction, 1) for at, value in enumerate(each, start=1)]
    return [say(name, together, "all", draws * len(each), unit, direction), *chains]


def _quantile(values: Tensor, share: float) -> float:
    """The smallest value that at least this share of the values do not exceed."""
    ordered = values.sort().values
    return float(ordered[max(0, math.ceil(share * len(ordered) * (1 - 1e-12)) - 1)])


def _known(values: Tensor) -> Tensor:
    return values[~values.isnan()]


def _shown(value: float) -> str:
    return "infinity" if value == sys.float_info.max else f"{value:.3f}"
