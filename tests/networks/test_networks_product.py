"""oneDNN is taken only when it is as exact as fp32 and faster, and the choice is set once."""

import math
import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from surefoot.errors import InputError
from surefoot.networks import product
from surefoot.networks.product import (
    Measured,
    ProductName,
    measure_path,
    measure_product,
    onednn_is_available,
    product_in_use,
    use_product,
)

needs_onednn = pytest.mark.skipif(not onednn_is_available(), reason="this torch offers no oneDNN products")


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    before = product_in_use()
    yield
    use_product(before)


def measured(default: Measured, onednn: Measured) -> "product.ProductChoice":
    def measure(name: ProductName) -> Measured:
        return default if name == "default" else onednn

    return measure_product(measure)


@needs_onednn
@pytest.mark.parametrize(
    ("onednn", "name", "reason"),
    [
        (Measured(200.0, 4e-7), "onednn", "oneDNN is 2.00 × as fast, with an fp32 error of 4.0e-07"),
        (
            Measured(109.0, 4e-7),
            "default",
            "oneDNN is 1.09 × as fast, below the 1.1 × that would be worth a switch",
        ),
        (
            Measured(400.0, 3e-3),
            "default",
            "the error of oneDNN, 3.0e-03, is above 7.5e-07: it rounds to less than fp32",
        ),
        (
            Measured(400.0, 8e-7),
            "default",
            "the error of oneDNN, 8.0e-07, is above 7.5e-07: it rounds to less than fp32",
        ),
        (
            Measured(400.0, math.nan),
            "default",
            "the error of oneDNN, nan, is above 7.5e-07: it rounds to less than fp32",
        ),
    ],
)
def test_onednn_must_be_as_exact_and_faster(onednn: Measured, name: str, reason: str) -> None:
    choice = measured(Measured(100.0, 2.5e-7), onednn)
    assert (choice.name, choice.reason) == (name, reason)
    assert (choice.gflops_default, choice.error_default) == (100.0, 2.5e-7)
    assert choice.gflops_onednn == onednn.gflops


@needs_onednn
def test_a_large_error_of_the_default_excuses_nothing() -> None:
    assert measured(Measured(100.0, 1e-5), Measured(200.0, 2.1e-6)).name == "default"


def test_the_measurement_switches_nothing_on_and_is_consistent() -> None:
    before = product_in_use()
    choice = measure_product()
    assert product_in_use() == before
    assert choice.gflops_default > 0
    assert choice.error_default < 2e-6
    if choice.name == "onednn":
        assert choice.error_onednn <= min(2e-6, 3 * choice.error_default)
        assert choice.gflops_onednn >= 1.1 * choice.gflops_default


@needs_onednn
def test_errors_do_not_depend_on_speed() -> None:
    assert measure_path("onednn").error == measure_path("onednn").error


@pytest.mark.parametrize("name", ["default", pytest.param("onednn", marks=needs_onednn)])
def test_products_on_either_path_are_fp32(name: str) -> None:
    """Elementwise error below K · 2⁻²⁴ · |A| |B|, the bound of fp32 summation (Higham 2002, eq. 3.13)."""
    if name == "onednn" and measure_path("onednn").error > 2e-6:
        pytest.skip("oneDNN rounds to less than fp32 on this machine")
    use_product(name)
    generator = torch.Generator().manual_seed(0)
    for rows, inner, columns in ((300, 200, 40), (64, 672, 64), (5, 7, 3)):
        left = torch.randn(rows, inner, generator=generator)
        right = torch.randn(inner, columns, generator=generator)
        exact = left.double() @ right.double()
        bound = inner * 2.0**-24 * (left.abs().double() @ right.abs().double())
        assert bool(((left @ right - exact).abs() <= bound).all())


@needs_onednn
def test_use_product_sets_the_path_and_repeats_itself() -> None:
    if measure_path("onednn").error > 2e-6:
        pytest.skip("oneDNN rounds to less than fp32 on this machine")
    for name in ("onednn", "onednn", "default", "default"):
        use_product(name)
        assert product_in_use() == name


def test_an_unknown_path_is_refused() -> None:
    with pytest.raises(InputError, match=re.escape('"mkl" is no product path; choose "default" or "onednn".')):
        use_product("mkl")


@needs_onednn
def test_a_machine_that_rounds_refuses_a_study_begun_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_error", lambda *_: 3e-3)
    with pytest.raises(
        InputError,
        match=re.escape(
            "oneDNN products round to less than fp32 on this machine (relative error 3.0e-03); run the study where it "
            'was begun, or begin it again with the product "default".'
        ),
    ):
        use_product("onednn")
    assert product_in_use() == "default"


def test_a_torch_without_the_switch_keeps_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends, "mkldnn", SimpleNamespace(is_available=lambda: True))
    choice = measure_product(lambda name: Measured(100.0, 2.5e-7))
    assert (choice.name, choice.reason) == ("default", "this torch offers no oneDNN products")
    assert math.isnan(choice.gflops_onednn)
    use_product("default")
    assert product_in_use() == "default"
    with pytest.raises(InputError, match=r'offers no oneDNN products; choose "default" or upgrade torch\.$'):
        use_product("onednn")


@pytest.mark.parametrize(("halves", "fast"), [(1.0, False), (0.75, False), (0.7, True), (4.0, False)])
def test_bfloat16_is_fast_where_it_is_faster_by_two_fifths(
    halves: float, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds of float32 products are 1, those of bfloat16 are given; the least of several tries counts."""
    asked = iter([3.0, *[1.0] * (product.REPEATS - 1), 9.0, *[halves] * (product.REPEATS - 1)])
    monkeypatch.setattr(product, "_seconds", lambda _: next(asked))
    assert product.bfloat16_is_fast.__wrapped__() is fast
