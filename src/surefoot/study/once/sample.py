"""Sample a posterior in place of one point: of a model's last layer, or of the whole of a small network.

    kept = sample_model(None, Path("features.npz"), BayesSettings(draws=200), claims=["accuracy >= 0.9"])
    print(kept.model)        # all draws, as a model that `look` and `predict` open

<out>/posteriors/<twelve digits>/    the draws, under a name made of all that decides them: a killed run goes on from
                                     there, and another claim on the same posterior samples nothing anew
<out>/sample-…/                      the card, and `model/`, which shares the files of the posterior
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from surefoot.bayes.kept import digest_posterior
from surefoot.bayes.settings import BayesSettings
from surefoot.bayes.starts import Begun, begin_head, begin_network
from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, Record, Subject
from surefoot.errors import InputError
from surefoot.findings.predictions import predictions_for
from surefoot.networks.build import build_linear
from surefoot.networks.network import embed, head_of
from surefoot.networks.weights import ModelRecord, OpenedModel, open_model
from surefoot.progress import Progress, silent, unheard
from surefoot.robust.balanced import erm_head
from surefoot.robust.contest import group_shares
from surefoot.robust.head import LinearHead
from surefoot.rows.copies import about_repeats
from surefoot.rows.digest import identity_digest, rows_digest
from surefoot.rows.parting import encode_roles
from surefoot.rows.roles import Roles
from surefoot.study.numerics import one_thread
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.marks import marks_of_rows
from surefoot.study.once.measure import pictures_of, summary_of_role
from surefoot.study.once.opening import open_to_predict
from surefoot.study.once.parted import give_roles, on_features, refuse_unlearnable
from surefoot.study.once.posteriors import POSTERIORS, digests_of, name_of, sample_in, save_body, share
from surefoot.study.once.predict import probabilities_of, reading_for
from surefoot.study.seen import Seen, seen_of_model
from surefoot.study.stored import COLUMNS

__all__ = ["AFTER", "BEFORE", "KeptSample", "sample_model"]

BEFORE, AFTER = "base", "bayes"
"""The subjects of the card: the point, and the posterior in its place."""
BATCH = 512
HEAD = "head"
MODEL = "model"


@dataclass(frozen=True)
class KeptSample:
    """A finished card, its folder, the posterior as a model, where rows and base came from, how the chains did."""

    card: Card
    folder: Path
    model: Path
    origins: tuple[str, ...]
    told: tuple[str, ...]


class _Given(NamedTuple):
    """Rows by role, the point to begin with, what is known of both in words, and what the point has seen."""

    roles: Roles
    body: OpenedModel
    record: ModelRecord
    label: str
    origins: tuple[str, ...]
    seen: Seen
    compared: tuple[str, ...]


@one_thread()
def sample_model(
    model: str | None,
    data: Path,
    settings: BayesSettings,
    *,
    columns: Columns = USUAL,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
    trust_code: bool = False,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> KeptSample:
    """Sample what `settings` say, and judge the averaged predictions once, beside the point that it replaces.

    model: a folder that surefoot saved; None takes `data` as features (or a table) and a plain head, trained here, as
    the point. data: read as `repair_features` reads it, and shared out alike: a seed judges on the same rows.
    claims: of the posterior, unless they name "base". Where its chains have not mixed they are undecided.
    say: is told, before sampling, what it should take.

    Raises `InputError` for what the settings, the data and the model do not allow together, before any judge row is
    looked at; nothing is written then but the folder of the posterior.
    """
    began = time.perf_counter()
    made = [parse_claim(claim, AFTER, confidence) for claim in claims]
    given = _given(model, data, columns, settings, seed, trust_code)
    roles, judge = given.roles, given.roles["judge"]
    begun = _begun(given, settings, seed)
    judge_digest = identity_digest(judge.ids, judge.sources)
    base = given.seen.names_for(judge) | roles["fit"].origins()
    after = base | begun.rows.origins()
    body = digests_of(given.body.parameters)
    place = out / POSTERIORS / name_of(begun, settings, seed, [body, given.record.spec, judge_digest])
    kept = sample_in(place, begun, settings, seed, say, progress)
    save_body(place, given.body.parameters, given.record, roles, Seen(after, given.seen.inputs))
    # By the same road as `look` goes: the card's numbers are those of the model that is left.
    predicted = {
        BEFORE: probabilities_of(given.body, judge),
        AFTER: probabilities_of(open_to_predict(str(place), trust_code=trust_code), judge, progress=progress),
    }
    told = tuple(kept.record["notes"])
    subjects = [
        Subject(BEFORE, given.label, notes=given.origins[1:2]),
        Subject(AFTER, settings.words, before=BEFORE, notes=told, doubts=tuple(kept.record["doubts"])),
    ]
    asked = Asked(
        road="sample",
        name=data.stem if model is None else f"{Path(model).name}-{data.stem}",
        data=f"{sum(map(len, roles.values())):,} rows from {data.name}",
        settings={
            "posterior": asdict(settings),
            "draws": digest_posterior(place),
            "body": body,
            "rows": rows_digest(judge),
            "claims": list(claims),
            "confidence": confidence,
            "origins": list(given.origins),
        },
        seeds=(seed,),
        judge_digest=judge_digest,
        command=command,
        marks=marks_of_rows(judge),
    )

    def make(record: Record) -> Card:
        return assemble_card(
            title=f"{settings.words} of {data.stem if model is None else Path(model).name}",
            question="How sure is it, and is a posterior better than one point?",
            predictions={name: predictions_for(judge, each[None]) for name, each in predicted.items()},
            subjects=subjects,
            claims=made,
            roles_summary=[summary_of_role(role, rows) for role, rows in roles.items()],
            proportions=group_shares(roles["fit"], judge),
            chosen=None,
            seen={BEFORE: base, AFTER: after},
            images=pictures_of(judge),
            record=record,
            not_shown=(*given.origins, *told, *given.compared, *about_repeats(judge), *_limits(settings)),
            confidence=confidence,
        )

    finished = keep(asked, out, {"sample": time.perf_counter() - began}, make)
    left = finished.folder / MODEL
    share(place, left)
    return KeptSample(finished.card, finished.folder, left, given.origins, told)


def _given(
    model: str | None, data: Path, columns: Columns, settings: BayesSettings, seed: int, trust_code: bool
) -> _Given:
    if model is None:
        return _plain(data, columns, settings, seed)
    body = open_model(model, trust_code=trust_code)
    if body.record is None:
        raise InputError(
            f"{model} is code without a record of its classes; train it in a study (`network: file:`), whose models "
            "say what they are, or take its features with `surefoot features` and sample a head over those."
        )
    reading = reading_for(body, columns, data)
    parted = give_roles(reading, seed)
    seen, compared, checked = seen_of_model(model), (), "what it has seen is unknown"
    if seen is not None:
        seen.refuse(parted.roles["judge"], f"the model in {model}")
        compared, checked = seen.told(parted.roles["judge"]), "its record says that it has not seen the judge rows"
    origins = (parted.origin, f"Base: the model in {model}; {checked}.")
    seen = seen or Seen(frozenset())
    return _Given(parted.roles, body, body.record, "the model", origins, seen, compared)


def _plain(data: Path, columns: Columns, settings: BayesSettings, seed: int) -> _Given:
    """Features or a table without a model: a softmax regression on the fit rows is the point."""
    if settings.part == "network":
        raise InputError(
            "A whole network is to be sampled and no model was named; give one: surefoot sample MODEL DATA --part "
            "network, or leave --part out to sample a head over the features."
        )
    reading = columns.read(data, coded=True)
    parted = give_roles(on_features(reading, data, own_head=True), seed)
    refuse_unlearnable(parted.roles)
    roles, encoder, alike = parted.roles, None, tuple[str, ...]()
    if reading.coded is not None:
        roles, encoder, alike = encode_roles(roles, reading.coded, parted.drawn)
    head = erm_head(roles["fit"])
    width, classes = head.weight.shape[1], roles["judge"].classes
    tensors = {f"{HEAD}.weight": head.weight.float(), f"{HEAD}.bias": head.bias.float()}
    provenance: dict[str, Any] = {} if encoder is None else {COLUMNS: encoder.to_json()}
    record = ModelRecord({"linear": {"inputs": width, "classes": len(classes)}}, HEAD, classes, (width,), provenance)
    words = f"Base head: trained here on the {len(roles['fit']):,} fit rows (softmax regression)."
    origins = (parted.origin, words, *(() if encoder is None else encoder.described), *alike)
    body = OpenedModel(build_linear(width, len(classes), seed), tensors, record)
    return _Given(roles, body, record, "base head", origins, Seen(frozenset()), ())


def _begun(given: _Given, settings: BayesSettings, seed: int) -> Begun:
    """What is sampled, and the rows it is given."""
    if settings.learn not in given.roles:
        raise InputError(f"There are no {settings.learn} rows to learn from; leave --learn out, or name a split.")
    rows, body = given.roles[settings.learn], given.body
    if rows.targets.ndim != 1:
        raise InputError("The labels are class probabilities, and a posterior is given hard labels; give those.")
    if settings.part == "network":
        return begin_network(body.network, body.parameters, given.record.spec, rows, settings, seed)
    with torch.no_grad():
        parts = [
            embed(body.network, body.parameters, rows.inputs[start : start + BATCH])
            for start in range(0, len(rows), BATCH)
        ]
    own = head_of(body.network, body.parameters)
    return begin_head(rows.with_inputs(torch.cat(parts)), LinearHead(own.weight, own.bias), settings, seed)


def _limits(settings: BayesSettings) -> tuple[str, ...]:
    tempered = {
        "posterior temperature": settings.posterior_temperature,
        "likelihood temperature": settings.likelihood_temperature,
    }
    told = [f"{name} is {value:g}" for name, value in tempered.items() if value != 1]
    return (
        *(f"The {each}: this is not the posterior of its prior and its data, but a tempered one." for each in told),
        "One seed and one prior: how much others would differ is not measured.",
        "Data of another kind than these rows may be met with confidence all the same.",
    )
