"""Streamed diagnostics against those of whole arrays, what a card is told, and when claims may rest on draws."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import write_json
from surefoot.findings.finding import Finding, finding_to_json
from surefoot.findings.mixing import bulk_ess, ebfmi, rank_rhat, split_rhat, tail_ess
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.diagnose import diagnose, mixed
from surefoot.inference.predict.predictive import Categorical
from surefoot.inference.predict.values import function_values
from surefoot.networks.build import build_mlp
from surefoot.networks.network import parameters_of


def chains_of(
    values: Mapping[str, Tensor], statistics: Mapping[str, Tensor] | None = None, folder: Path | None = None
) -> Chains:
    """Chains of these tensors `[draws, chains, …]`, in shards of seven draws."""
    draws, chains = next(iter(values.values())).shape[:2]
    size = sum(tensor[0].numel() * tensor.element_size() for tensor in values.values())
    writer = ChainWriter(folder, "test", chains=chains, shard_bytes=7 * size)
    for draw in range(draws):
        said = {name: tensor[draw] for name, tensor in (statistics or {}).items()}
        writer.append({name: tensor[draw] for name, tensor in values.items()}, said)
    return writer.finish(diagnostics=(), seen=frozenset())


def independent(draws: int, chains: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(draws, chains, *shape, generator=torch.Generator().manual_seed(seed))


def one(findings: tuple[Finding, ...], name: str, where: str) -> Finding:
    (found,) = [each for each in findings if (each.name, each.slice) == (name, where)]
    return found


@pytest.mark.parametrize("draws", [40, 41])
def test_one_pass_gives_what_whole_arrays_give(tmp_path: Path, draws: int) -> None:
    weight = independent(draws, 3, 4, 5) * 1e-3 + 1e3  # a large mean, small spread: sums of squares would lose it
    weight[:, 0, 0] += 1e-3  # some that have not mixed
    bias = independent(draws, 3, 6, seed=1)
    bias[:, :, 2] = 0.1  # never moves
    chains_of({"weight": weight, "bias": bias}, folder=tmp_path)
    found = diagnose(load_chains(tmp_path))
    whole = torch.cat([weight.reshape(draws, 3, 20), bias], dim=2).double()
    expected = split_rhat(whole)
    assert int(expected.isnan().sum()) == 1
    expected = expected[~expected.isnan()]
    still = one(found, "constant_quantities", "parameters")
    assert (still.value, still.count) == (1.0, 26)
    worst = one(found, "rhat_worst", "parameters")
    assert worst.value == pytest.approx(float(expected.max()), rel=1e-9)
    assert (worst.count, worst.clusters, worst.direction) == (25, 3, "lower")
    assert one(found, "rhat_95", "parameters").value == pytest.approx(float(expected.sort().values[23]), rel=1e-9)
    for name, limit in (("rhat_below_1_1", 1.1), ("rhat_below_1_01", 1.01)):
        share = one(found, name, "parameters")
        assert share.value == pytest.approx(float((expected < limit).double().mean()))
        assert 0 < share.value < 1
    bulk, tail = bulk_ess(whole), tail_ess(whole)
    bulk, tail = bulk[~bulk.isnan()].sort().values, tail[~tail.isnan()].sort().values
    assert one(found, "bulk_ess_worst", "parameters").value == pytest.approx(float(bulk[0]))
    assert one(found, "bulk_ess_05", "parameters").value == pytest.approx(float(bulk[1]))
    assert one(found, "tail_ess_05", "parameters").value == pytest.approx(float(tail[1]))


def test_histories_are_of_a_seeded_choice_whose_number_is_stated() -> None:
    chains = chains_of({"w": independent(60, 2, 500)})
    first, again, other = (diagnose(chains, histories=20, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert one(first, "bulk_ess_05", "parameters").count == 20
    assert one(first, "rhat_95", "parameters").count == 500
    assert one(first, "bulk_ess_05", "parameters") != one(other, "bulk_ess_05", "parameters")


def test_functions_mix_although_hidden_units_are_exchanged() -> None:
    """Chain 1 is chain 0's twin with its hidden units in another order: other weights, the same functions."""
    network = build_mlp(3, 8, 3, seed=0)
    start = parameters_of(network)
    noise = {name: independent(300, 2, *tensor.shape, seed=at) for at, (name, tensor) in enumerate(start.items())}
    draws = {name: start[name] + 0.05 * each for name, each in noise.items()}
    order = torch.arange(7, -1, -1)
    draws["hidden1.weight"][:, 1] = draws["hidden1.weight"][:, 1][:, order]
    draws["hidden1.bias"][:, 1] = draws["hidden1.bias"][:, 1][:, order]
    draws["head.weight"][:, 1] = draws["head.weight"][:, 1][:, :, order]
    chains, inputs = chains_of(draws), independent(6, 3)
    found = diagnose(chains, network, inputs)
    assert one(found, "rhat_95", "parameters").value > 2
    assert one(found, "rhat_95", "functions").value < 1.05
    values = function_values(network, chains, inputs)
    assert one(found, "rhat_worst", "functions").value == pytest.approx(float(split_rhat(values).max()))
    assert one(found, "rank_rhat_95", "functions").value <= float(rank_rhat(values).max())
    assert mixed(found) == (True, ())
    alone = mixed(diagnose(chains))
    assert not alone.mixed
    assert "5 % of parameters have a split R̂ of" in alone.reasons[0]


def test_functions_are_those_of_the_posteriors_temperature_and_fixed_tensors() -> None:
    network = build_mlp(2, (3,), 3, seed=0)
    own = parameters_of(network)
    chains = chains_of(
        {name: own[name] + independent(30, 2, *own[name].shape) for name in ("head.weight", "head.bias")}
    )
    inputs, family = independent(6, 2), Categorical(0.2)
    with pytest.raises(InputError, match="The draws lack 'hidden"):
        diagnose(chains, network, inputs, family)
    other = {name: 3 * tensor for name, tensor in own.items()}
    found = diagnose(chains, network, inputs, family, fixed=other)
    said = []
    for point in chains.points():
        entered = (inputs.double() @ other["hidden1.weight"].double().T + other["hidden1.bias"].double()).relu()
        logits = entered @ point["head.weight"].double().T + point["head.bias"].double()
        said.append((logits / 0.2).softmax(dim=1).flatten())
    values = torch.stack(said).unflatten(0, (30, 2))
    assert one(found, "rhat_worst", "functions").value == pytest.approx(float(split_rhat(values).max()), rel=1e-5)
    plain = one(diagnose(chains, network, inputs, fixed=other), "rhat_worst", "functions").value
    assert plain != pytest.approx(float(split_rhat(values).max()), rel=1e-4)


def test_probabilities_that_are_dead_are_counted_and_left_out() -> None:
    network = build_mlp(2, (), 3, seed=0)
    bias = independent(50, 2, 3)
    bias[:, :, 2] = -1e4
    chains = chains_of({"head.weight": torch.zeros(50, 2, 3, 2), "head.bias": bias})
    found = diagnose(chains, network, torch.zeros(4, 2))
    still = one(found, "constant_quantities", "functions")
    assert (still.value, still.count) == (4.0, 12)
    assert one(found, "rhat_95", "functions").count == 8


def test_chains_that_never_move_are_infinitely_far_and_can_be_written(tmp_path: Path) -> None:
    chains = chains_of({"w": independent(1, 3, 5).expand(20, 3, 5) + 0.1})
    found = diagnose(chains)
    worst = one(found, "rhat_worst", "parameters")
    assert (worst.value, worst.unit) == (sys.float_info.max, "ratio (infinite)")
    write_json(tmp_path / "found.json", [finding_to_json(each) for each in found])
    assert json.loads((tmp_path / "found.json").read_text())
    assert "split R̂ of infinity" in mixed(found).reasons[0]


def test_nothing_that_varies_cannot_have_mixed() -> None:
    found = diagnose(chains_of({"w": torch.full((20, 2, 3), 0.1)}))
    assert [each.name for each in found] == ["constant_quantities"]
    assert mixed(found) == (False, ("nothing that varies was diagnosed",))


def test_what_the_sampler_said() -> None:
    energy = independent(200, 2, seed=5).double().cumsum(dim=0) * torch.tensor([1.0, 0.0]) + independent(200, 2, seed=6)
    accepted = torch.tensor([[0.5, 0.9]]).repeat(200, 1)
    divergent = torch.zeros(200, 2)
    divergent[[3, 9, 12], 1] = 1.0
    statistics = {"energy": energy, "accept_probability": accepted, "divergent": divergent}
    found = diagnose(chains_of({"w": independent(200, 2, 4)}, statistics))
    by_chain = ebfmi(energy.double())
    for chain in (0, 1):
        assert one(found, "ebfmi", f"chain {chain + 1}").value == pytest.approx(float(by_chain[chain]))
    assert one(found, "ebfmi", "all").value == pytest.approx(float(by_chain.min()))
    assert one(found, "ebfmi", "all").value < 0.2 < one(found, "ebfmi", "chain 2").value
    assert one(found, "accept_probability", "all").value == pytest.approx(0.7)
    assert one(found, "accept_probability", "chain 2").value == pytest.approx(0.9)
    diverged = one(found, "divergent_draws", "all")
    assert (diverged.value, diverged.count, diverged.unit) == (3.0, 400, "draws")
    assert one(found, "divergent_draws", "chain 2").value == 3.0
    (reason,) = mixed(found).reasons
    assert reason.startswith("a chain has an E-BFMI of 0.1")


def test_an_energy_that_never_changes_is_no_information() -> None:
    found = diagnose(chains_of({"w": independent(50, 2, 4)}, {"energy": torch.ones(50, 2)}))
    assert one(found, "ebfmi", "all").value == 0.0


def test_what_the_sampler_counted_in_all_iterations_is_believed_over_kept_draws() -> None:
    """Thinned energies are independent and thinned divergences few; E-BFMI and divergences of all of them are not."""

    def told(name: str, value: float, where: str, count: int) -> Finding:
        return Finding(name, value, None, count, 2, "ratio", where, "higher", "hmc", "fit")

    energies = {"energy": independent(300, 2, seed=1), "divergent": torch.zeros(300, 2)}
    chains = chains_of({"w": independent(300, 2, 4)}, energies)
    all_of_them = tuple(
        told("ebfmi", value, where, 6000) for where, value in (("all", 0.05), ("chain 1", 0.05), ("chain 2", 0.9))
    )
    counted = replace(chains, diagnostics=(*all_of_them, told("divergences", 121.0, "all", 12_000)))
    found = diagnose(counted)
    assert (one(found, "ebfmi", "all").value, one(found, "ebfmi", "all").count) == (0.05, 6000)
    assert one(found, "ebfmi", "chain 2").value == 0.9
    assert mixed(found).reasons == ("a chain has an E-BFMI of 0.05 (at least 0.2 is asked)",)
    both = (
        "a chain has an E-BFMI of 0.05 (at least 0.2 is asked)",
        "121 of 12000 iterations diverged (at most 1% is asked)",
    )
    assert mixed((*counted.diagnostics, *found)).reasons == both
    assert mixed((*found, *counted.diagnostics)).reasons == both
    assert mixed(diagnose(chains)) == (True, ())


def test_every_rule_can_fail_alone() -> None:
    good = diagnose(
        chains_of(
            {"w": independent(300, 2, 4)},
            {"energy": independent(300, 2, seed=1), "divergent": torch.zeros(300, 2)},
        )
    )
    assert mixed(good) == (True, ())

    def with_(name: str, value: float, **changed: int) -> tuple[str, ...]:
        verdict = mixed([replace(e, value=value, **changed) if e.name == name else e for e in good])
        assert verdict.mixed is not bool(verdict.reasons)
        return verdict.reasons

    assert with_("rhat_95", 1.0999) == ()
    assert with_("rhat_95", 1.1) == ("5 % of parameters have a split R̂ of 1.100 or more (below 1.1 is asked)",)
    assert with_("bulk_ess_05", 101.0) == ()
    assert with_("bulk_ess_05", 100.0) == ("5 % of parameters have 100 effective draws or fewer (above 100 is asked)",)
    assert with_("ebfmi", 0.2) == ()
    assert with_("ebfmi", 0.19) == ("a chain has an E-BFMI of 0.19 (at least 0.2 is asked)",)
    assert with_("divergent_draws", 6.0) == ()
    assert with_("divergent_draws", 7.0) == ("7 of 600 draws diverged (at most 1% is asked)",)
    assert with_("rhat_95", 1.0, clusters=1) == ("there is one chain, which cannot tell what it has missed",)
    assert mixed([]) == (False, ("nothing that varies was diagnosed",))


def test_one_chain_is_diagnosed_and_not_trusted() -> None:
    found = diagnose(chains_of({"w": independent(400, 1, 4)}))
    assert one(found, "rhat_95", "parameters").value < 1.05
    assert mixed(found).reasons == ("there is one chain, which cannot tell what it has missed",)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(InputError, match="3 draws of each chain; give at least 4"):
        diagnose(chains_of({"w": independent(3, 2, 4)}))
    bad = independent(6, 2, 4)
    bad[4, 1, 2] = math.inf
    with pytest.raises(InputError, match="Draw 5 of chain 2 holds numbers that are NaN or infinite"):
        diagnose(chains_of({"w": bad}))
    with pytest.raises(InputError, match="A network needs inputs"):
        diagnose(chains_of({"w": independent(6, 2, 4)}), build_mlp(2, (), 2, seed=0))
