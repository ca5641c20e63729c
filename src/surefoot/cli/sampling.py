"""`surefoot sample`: many networks in place of one, drawn from a posterior."""

from pathlib import Path
from typing import Annotated, Any

import typer

from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note
from surefoot.cli.options import (
    ClaimsOption,
    ClusterOption,
    ConfidenceOption,
    FeaturesOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PullRequestOption,
    QuietOption,
    SeedOption,
    SourceOption,
    SplitOption,
    TargetOption,
    TrustOption,
    columns_of,
    comma_separated,
)
from surefoot.errors import InputError

__all__ = ["sample"]

BELIEFS = "Beliefs"
SAMPLING = "Sampling"


def sample(
    given: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="A folder that surefoot saved a model in, and rows it can read; or features alone, for a new head.",
        ),
    ],
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    columns: FeaturesOption = None,
    trust_code: TrustOption = False,
    part: Annotated[
        str, typer.Option("--part", help="head: the last layer. network: all of a small network.")
    ] = "head",
    learn: Annotated[
        str, typer.Option("--learn", metavar="ROLE", help="The rows it learns on: fit or repair.")
    ] = "fit",
    prior: Annotated[
        str,
        typer.Option(
            "--prior",
            help="gaussian, laplace, student_t, empcov, sum_filter: of the weights.",
            rich_help_panel=BELIEFS,
        ),
    ] = "gaussian",
    precision: Annotated[
        float, typer.Option("--precision", help="One over the prior's variance.", rich_help_panel=BELIEFS)
    ] = 1.0,
    floor: Annotated[
        float,
        typer.Option(
            "--floor", help="empcov: the share of variance left to inputs that never vary.", rich_help_panel=BELIEFS
        ),
    ] = 1e-4,
    filter_precision: Annotated[
        float | None,
        typer.Option(
            "--filter-precision", help="sum_filter: one over the variance of a filter's sum.", rich_help_panel=BELIEFS
        ),
    ] = None,
    label_noise: Annotated[
        float | None,
        typer.Option(
            "--label-noise",
            metavar="SHARE",
            help="The share of labels that may have been replaced at random (noisy Dirichlet likelihood).",
            rich_help_panel=BELIEFS,
        ),
    ] = None,
    functional: Annotated[
        str,
        typer.Option(
            "--functional",
            help="dirclip, dirichlet or confidence: a prior of the predictions.",
            rich_help_panel=BELIEFS,
        ),
    ] = "none",
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", help="dirclip, dirichlet: below 1 confident, above smooth.", rich_help_panel=BELIEFS),
    ] = None,
    clip: Annotated[
        float, typer.Option("--clip", help="dirclip: flat below this log probability.", rich_help_panel=BELIEFS)
    ] = -10.0,
    sureness: Annotated[
        float | None,
        typer.Option("--sureness", help="confidence: its T; the smaller, the surer.", rich_help_panel=BELIEFS),
    ] = None,
    posterior_temperature: Annotated[
        float,
        typer.Option(
            "--posterior-temperature", help="Divides likelihood and prior; below 1 is cold.", rich_help_panel=BELIEFS
        ),
    ] = 1.0,
    likelihood_temperature: Annotated[
        float,
        typer.Option("--likelihood-temperature", help="Divides the likelihood alone.", rich_help_panel=BELIEFS),
    ] = 1.0,
    sampler: Annotated[
        str,
        typer.Option(
            "--sampler", help="nuts, hmc, sghmc, sgld, mean_field, swag or laplace.", rich_help_panel=SAMPLING
        ),
    ] = "nuts",
    chains: Annotated[
        int | None, typer.Option("--chains", help="Sampled side by side; 4 usually.", rich_help_panel=SAMPLING)
    ] = None,
    draws: Annotated[int, typer.Option("--draws", help="Kept of each chain.", rich_help_panel=SAMPLING)] = 100,
    burn_in: Annotated[
        int,
        typer.Option("--burn-in", help="Before them: iterations (hmc, nuts), else epochs.", rich_help_panel=SAMPLING),
    ] = 50,
    thin: Annotated[
        int, typer.Option("--thin", help="Iterations or epochs for each draw.", rich_help_panel=SAMPLING)
    ] = 1,
    step_size: Annotated[
        float | None,
        typer.Option(
            "--step-size",
            help="Where the prior has unit scale; hmc and nuts find their own.",
            rich_help_panel=SAMPLING,
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", help="Rows a step, for samplers of batches.", rich_help_panel=SAMPLING)
    ] = 128,
    decay: Annotated[
        float, typer.Option("--decay", help="sghmc: the share of momentum a step keeps.", rich_help_panel=SAMPLING)
    ] = 0.9,
    start: Annotated[
        str,
        typer.Option("--start", help="fresh weights for each chain, or the trained ones.", rich_help_panel=SAMPLING),
    ] = "fresh",
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """How sure may it be? Samples a posterior in place of one trained point, and judges both once.

    Draws are kept as they come: after a kill, the same command goes on from them. Claims are of the posterior, unless
    they name "base", and undecided where its chains have not mixed. The posterior lies in the run's folder as
    `model/`, ready for `surefoot look` and `surefoot predict`.
    """
    from surefoot.bayes.settings import BayesSettings, check_words
    from surefoot.study.once.sample import sample_model

    if len(given) > 2:
        raise InputError(f"{len(given)} paths were given; sample takes MODEL DATA, or features alone.")
    words: dict[str, Any] = {
        "part": part, "learn": learn, "prior": prior, "functional": functional, "sampler": sampler, "start": start,
    }  # fmt: skip
    check_words(words)
    settings = BayesSettings(
        **words,
        likelihood="categorical" if label_noise is None else "noisy_dirichlet",
        label_noise=label_noise,
        precision=precision,
        floor=floor,
        filter_precision=filter_precision,
        alpha=alpha,
        clip=clip,
        confidence=sureness,
        posterior_temperature=posterior_temperature,
        likelihood_temperature=likelihood_temperature,
        chains=chains,
        draws=draws,
        burn_in=burn_in,
        thin=thin,
        step_size=step_size,
        batch=batch,
        decay=decay,
    )
    with progress_bars(quiet=quiet) as progress:
        kept = sample_model(
            None if len(given) == 1 else str(given[0]),
            given[-1],
            settings,
            columns=columns_of(
                target,
                groups,
                split=split,
                cluster=cluster,
                source=source,
                identity=id_column,
                images=images,
                features=comma_separated(columns),
            ),
            claims=claim or (),
            confidence=confidence,
            seed=seed,
            trust_code=trust_code,
            out=out,
            command=command_line(),
            say=silent_note if as_json or quiet else note,
            progress=progress,
        )
    told = (*kept.told, *kept.origins, f"The posterior: {kept.model}")
    return deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet), extra=told)
