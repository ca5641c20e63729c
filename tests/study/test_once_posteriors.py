"""The name of a posterior's folder holds everything that decides its draws."""

import pytest

from surefoot.bayes.settings import BayesSettings
from surefoot.bayes.starts import begin_head
from surefoot.robust.balanced import erm_head
from surefoot.rows.worlds import gaussian_world
from surefoot.study.once import posteriors


def test_draws_of_another_compiler_have_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = gaussian_world(sizes={"fit": 40}).roles["fit"]
    settings = BayesSettings(draws=4)
    begun = begin_head(rows, erm_head(rows), settings, 0)
    names = set[str]()
    for compiler in ("torch", "llvmlite 0.50.0", "torch"):
        monkeypatch.setattr(posteriors, "compiler_of_trajectories", lambda compiler=compiler: compiler)
        names.add(posteriors.name_of(begun, settings, 0, {}))
    assert len(names) == 2
