"""The convolutional part of `empcov.py`: priors of the filters, under corruptions that shift whole pictures.

A convolution of 8 filters of 5×5 without padding, ReLU, the mean of 2×2 pixels, 32 hidden units, ten classes; learnt
from 500 digits of one data seed, two chains of HMC for each prior. Cut for a single core: the papers' networks read
28×28 or 32×32 pixels, sample a hundred times as long, and judge with every corruption.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from empcov_digits import GREY, SEVERITIES, scaled, thousand
from empcov_models import BATCH, FLOOR, PRECISION, Method, Scale, Setting, folder_of, run, sample, starts
from torch import nn

from surefoot.density.covariance import patch_covariance
from surefoot.density.empcov import empcov
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Prior
from surefoot.density.sum_filter import sum_filter
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import predictions_for
from surefoot.inference.approximate.ensemble import ensemble
from surefoot.inference.ascend import Ascend
from surefoot.inference.chains.chains import Chains
from surefoot.inference.diagnose import diagnose
from surefoot.inference.predict.predict import predict
from surefoot.networks.network import Network
from surefoot.progress import Progress
from surefoot.rows.rows import Rows
from surefoot.rows.shift.corrupt import corrupt
from surefoot.rows.shift.directions import pixel_noise

KERNEL = 5
FILTERS = "conv.weight"
FILTER_PRECISION = 100 * PRECISION
"""λ_f of sum_filter: a filter's sum has the variance 25/(λ + 25 λ_f), a 2,501st of what N(0, 1/λ) gives it."""
NAMES = ("brightness", "fog", "contrast")


def small_cnn(seed: int) -> Network:
    """2,000 pixels of filter responses pooled to 200 features, 32 hidden units."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.utils.skip_init(nn.Conv2d, 1, 8, KERNEL),
        relu=nn.ReLU(),
        pool=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        hidden=nn.utils.skip_init(nn.Linear, 200, 32),
        hidden_relu=nn.ReLU(),
        head=nn.utils.skip_init(nn.Linear, 32, 10),
    )
    generator = torch.Generator().manual_seed(seed)
    for part in parts.values():
        if isinstance(part, nn.Linear | nn.Conv2d):
            for tensor in part.parameters():
                nn.init.uniform_(tensor, -(part.weight[0].numel() ** -0.5), part.weight[0].numel() ** -0.5, generator)
    return Network(nn.Sequential(parts).eval(), "head")


def convolutional_empcov(rows: Rows) -> Prior:
    """Filters that follow the covariance of 5×5 patches, 1/λ on average; the rest N(0, 1/λ)."""
    covariance = patch_covariance(rows.inputs, KERNEL)
    return Layered(
        {FILTERS: empcov(covariance, name=FILTERS, floor=FLOOR, precision=PRECISION)}, rest=Gaussian(PRECISION)
    )


def small_sums(rows: Rows) -> Prior:
    """Filters whose sums are nearly zero."""
    first = sum_filter(FILTERS, KERNEL, precision=PRECISION, filter_precision=FILTER_PRECISION)
    return Layered({FILTERS: first}, rest=Gaussian(PRECISION))


def by_hmc(prior: Callable[[Rows], Prior]) -> Method:
    def method(setting: Setting) -> Chains:
        return sample(Posterior(small_cnn(0), categorical, prior(setting.rows)), small_cnn, setting)

    return method


def deep_ensemble(setting: Setting) -> Chains:
    """Modes of the posterior under N(0, 1/λ)."""
    posterior = Posterior(small_cnn(0), categorical, Gaussian(PRECISION))
    told = Ascend(setting.scale.epochs, min(BATCH, setting.scale.rows), rate=0.05, optimiser="sgd", schedule="cosine")
    begun = starts(lambda seed: small_cnn(500 + seed), setting.scale.members, setting.seed)
    return ensemble(posterior, setting.rows, begun, 0, told, folder=setting.folder, progress=setting.progress)


METHODS: Mapping[str, Method] = {
    "CNN ensemble": deep_ensemble,
    "CNN HMC, Gaussian": by_hmc(lambda rows: Gaussian(PRECISION)),
    "CNN HMC, EmpCov (patches)": by_hmc(convolutional_empcov),
    "CNN HMC, sum filter": by_hmc(small_sums),
}


def shifts(pictures: Rows) -> Mapping[str, Rows]:
    """Scaled pictures, clean and shifted."""
    made = {"clean": scaled(pictures), "pixel noise 0.4": pixel_noise(scaled(pictures), 0.4 / GREY, seed=0)}
    for name in NAMES:
        for severity in SEVERITIES:
            made[f"{name} {severity}"] = scaled(corrupt(pictures, name, severity, seed=0))
    return made


def convolutional(
    cache: Path, scale: Scale, progress: Progress
) -> tuple[Mapping[str, Mapping[str, Finding]], Mapping[str, tuple[Finding, ...]]]:
    """By method and shift the accuracy; by method the diagnostics. Data seed 0."""
    own = replace(scale, rows=max(scale.rows // 2, 50), draws=max(4, scale.draws * 3 // 4), members=5)
    fit, judge = scaled(thousand(1, own.rows)), thousand(0, scale.rows)
    shifted = shifts(judge)
    accuracies: dict[str, dict[str, Finding]] = {}
    diagnostics: dict[str, tuple[Finding, ...]] = {}
    for name, method in METHODS.items():
        chains = run(method, Setting(own, fit, 0, folder_of(cache, own, 0, name), progress))
        accuracies[name] = {}
        for shift, rows in shifted.items():
            said = predict(small_cnn(0), chains, rows.inputs, progress=progress).probabilities[None]
            accuracies[name][shift] = measure(predictions_for(rows, said), subject=name, source=shift)[0]
        if chains.draws > 1:
            diagnostics[name] = diagnose(chains, small_cnn(0), shifted["clean"].inputs[:200])
    return accuracies, diagnostics
