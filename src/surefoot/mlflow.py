"""The rim to MLflow: a card as a run of a tracking server, or of a folder.

    logged = log_card(Path("runs/safety-my-run"), "http://127.0.0.1:5000")

    of the card                         in MLflow
    findings, differences               metrics `model/slice/name`, with the ends of intervals as `….low` and `….high`
    settings, seeds, versions           params
    verdict, claims, digest             tags `surefoot.…`
    card.html, card.md, card.json       artifacts below card/, and samples below samples/

A card is logged once: a run with its digest that is whole is found again and left as it is, and one that is not (the
server went away) is gone on with. Two who log one card at once wait for one another, by a lock on its folder.

What MLflow has no room for is told of, and never cut in silence: its own client shortens long values without a word.

Source: MLflow 3.17, `utils/validation.py` (names and limits), `tracking/client.py`.
"""

import importlib
import os
import re
import sqlite3
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

from surefoot.card.card import Card
from surefoot.card.gate import refuse_changed
from surefoot.card.serialise import card_digest, read_card
from surefoot.card.traces import readable
from surefoot.errors import InputError
from surefoot.files import canonical_json, digest_json

__all__ = ["Logged", "log_card", "metrics_of", "params_of", "tags_of"]

KEY, PARAM, TAG = 250, 6000, 8000
"""Characters that MLflow has room for: of a name, of a param's value and of a tag's."""
BATCH, CHARACTERS = 100, 200_000
"""Of one request: things, and characters of their values; MLflow takes at most 10⁶ bytes."""
METRICS = 500
DIGEST, HELD = "surefoot.card", "surefoot.logged"
CARD, SAMPLES = "card", "samples"
DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
SECONDS = 10.0


@dataclass(frozen=True)
class Logged:
    """state: "logged"; "resumed" where an earlier try was gone on with; "there already" where nothing was left to do.

    cut: params and tags whose values are longer than MLflow's, and stand whole in the card alone.
    """

    run: str
    experiment: str
    state: Literal["logged", "resumed", "there already"]
    cut: tuple[str, ...] = ()


def log_card(folder: Path, to: str, *, experiment: str = "surefoot", samples: bool = True) -> Logged:
    """Log the card of a run's folder. to: a server's address, sqlite:///file, or a folder. samples: what models wrote.

    Raises `InputError` for a folder without a card, a card that was changed, a server that does not answer or refuses,
    a damaged database, and where MLflow is not installed. What was logged until then is gone on with at the next try.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of a run; give one, as `surefoot history` lists them.")
    card = read_card(folder)
    refuse_changed(folder)
    uri, artifacts = _address(to)
    _refuse_silent(uri)
    mlflow = _mlflow()
    if uri.startswith("sqlite:"):
        _refuse_without_database()
    held = [CARD, *([SAMPLES] if samples and (folder / SAMPLES).is_dir() else [])]
    try:
        with _alone(folder):
            return _logged(mlflow, uri, artifacts, folder, card, experiment, held)
    except (mlflow.exceptions.MlflowException, OSError, ImportError, sqlite3.Error, *_of_databases()) as error:
        raise InputError(
            f"Logging {folder} to {_without_key(to)} failed ({_first_line(error)}); once that is mended, the same "
            "command goes on from there."
        ) from None


def metrics_of(card: Card) -> dict[str, float]:
    """Every number of a card with the ends of its interval, by names that MLflow takes."""
    raw: dict[str, float] = {}
    for each in (*card.findings, *card.differences):
        place = [each.subject.replace(" − ", " minus "), *([] if each.slice == "all" else [each.slice]), each.name]
        name = "/".join(part.replace(": ", "/") for part in place)
        raw[name] = each.value
        if each.interval is not None:
            raw |= {f"{name}.low": each.interval.low, f"{name}.high": each.interval.high}
    return {name: raw[given] for given, name in _names(list(raw)).items()}


def params_of(card: Card) -> tuple[dict[str, str], tuple[str, ...]]:
    """Settings as texts by name, and the names of those that are too long for MLflow, whose digest stands there."""
    record = card.record
    raw = {
        **_flat("", record.settings),
        **_flat("versions", record.versions),
        "seeds": record.seeds,
        "judge_digest": record.judge_digest,
    }
    names = _names(list(raw))
    values = {names[name]: _text(each) for name, each in raw.items()}
    return _cut(values, PARAM)


def tags_of(card: Card) -> tuple[dict[str, str], tuple[str, ...]]:
    """Verdict, claims and digest by name, and the names of those that are too long."""
    claims = {f"surefoot.claim.{at}": f"{each.status}: {each.sentence}" for at, each in enumerate(card.claims, start=1)}
    values = {
        DIGEST: card_digest(card),
        "surefoot.verdict": card.verdict,
        "surefoot.sentence": card.sentence,
        "surefoot.data": card.record.data,
        **claims,
        "mlflow.note.content": f"{card.verdict}: {card.sentence}",
    }
    return _cut({name: each or "none" for name, each in values.items()}, TAG)


def _logged(
    mlflow: Any, uri: str, artifacts: str | None, folder: Path, card: Card, experiment: str, held: Sequence[str]
) -> Logged:
    client = mlflow.tracking.MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name(experiment)
    if place is not None and place.lifecycle_stage != "active":
        raise InputError(f"The experiment {experiment!r} was deleted there; restore it, or give another --experiment.")
    where = client.create_experiment(experiment, artifacts) if place is None else place.experiment_id
    tags, cut_tags = tags_of(card)
    params, cut_params = params_of(card)
    moment = int(datetime.fromisoformat(card.record.created).timestamp() * 1000)
    found = _found(client, where, tags[DIGEST])
    if found is None:
        # The digest comes first: whoever looks for this card again finds what there is of it.
        made = client.create_run(where, moment, {DIGEST: tags[DIGEST]}, folder.name)
        run = _found(client, where, tags[DIGEST]) or made  # on another machine somebody may have logged it meanwhile
        if run.info.run_id != made.info.run_id:
            client.delete_run(made.info.run_id)
            found = run
    else:
        run = found
    there = set(str(run.data.tags.get(HELD, "")).split())
    name = run.info.run_id
    if set(held) <= there:
        return Logged(name, experiment, "there already", (*cut_params, *cut_tags))
    entities = mlflow.entities
    if CARD not in there:
        for some in _batches(params):
            client.log_batch(name, params=[entities.Param(key, value) for key, value in some])
        numbers = list(metrics_of(card).items())
        for at in range(0, len(numbers), METRICS):  # of one moment: the same number twice is one
            some = [entities.Metric(key, value, moment, 0) for key, value in numbers[at : at + METRICS]]
            client.log_batch(name, metrics=some)
        for some in _batches({key: value for key, value in tags.items() if key != DIGEST}):
            client.log_batch(name, tags=[entities.RunTag(key, value) for key, value in some])
        for file in sorted(folder.glob("card.*")):
            client.log_artifact(name, str(file), CARD)
    if SAMPLES in held and SAMPLES not in there:
        client.log_artifacts(name, str(folder / SAMPLES), SAMPLES)
    client.set_terminated(name, "FINISHED")
    client.set_tag(name, HELD, " ".join(dict.fromkeys([*held, *sorted(there)])))  # last: now it is whole
    return Logged(name, experiment, "resumed" if found else "logged", (*cut_params, *cut_tags))


def _found(client: Any, where: str, digest: str) -> Any:
    """The run of a card: of several the one that is whole, or else the first by its name, which all would take."""
    runs = client.search_runs([where], f"tags.`{DIGEST}` = '{digest}'")
    return min(runs, key=lambda each: (HELD not in each.data.tags, each.info.run_id), default=None)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep others who log this card waiting while the block lasts; the lock is on its folder, and leaves no file.

    Where the system or the disk has no locks (Windows, some network disks) nobody waits.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl  # there is none on Windows

    held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _of_databases() -> tuple[type[Exception], ...]:
    """What the libraries raise by which MLflow reads its databases, where it has loaded them."""
    names = (("sqlalchemy.exc", "SQLAlchemyError"), ("alembic.util.exc", "CommandError"))
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def _address(to: str) -> tuple[str, str | None]:
    """The address as MLflow takes it, and where artifacts lie where there is no server that knows.

    A folder holds a database and artifacts beside it; MLflow has given up folders of plain files.
    """
    scheme = urllib.parse.urlsplit(to).scheme
    if not to.strip():
        raise InputError("Nowhere to log to was given; give a server, sqlite:///file or a folder: --to mlruns.")
    if scheme == "sqlite":
        return to, (Path(to.removeprefix("sqlite:///")).resolve().parent / ARTIFACTS).as_uri()
    if len(scheme) > 1:
        return to, None
    folder = Path(to).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {to} ({error.strerror}); give a folder that you may write to.") from None
    return f"sqlite:///{folder / DATABASE}", (folder / ARTIFACTS).as_uri()


def _refuse_silent(uri: str) -> None:
    """Raise `InputError` where nobody answers; MLflow's own client would try for minutes. Any answer will do."""
    if not uri.startswith(("http://", "https://")):
        return
    parts = urllib.parse.urlsplit(uri)
    bare = urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    try:
        with urllib.request.urlopen(f"{bare.rstrip('/')}/health", timeout=SECONDS):
            pass
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise InputError(
            f"No tracking server answers at {bare} ({why}); start it (mlflow server), or check the address. Nothing "
            "was logged."
        ) from None


def _mlflow() -> Any:
    """MLflow, told to be silent: to its makers that it is used, and on stdout, unless its user says otherwise."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        found: Any = importlib.import_module("mlflow")
        importlib.import_module("mlflow.tracking")
    except ImportError as error:
        raise InputError(f"MLflow is not installed ({error}); install it: pip install 'surefoot[mlflow]'.") from None
    return found


def _refuse_without_database() -> None:
    """Raise `InputError` where MLflow is there without what its databases take, as mlflow-skinny is."""
    try:
        importlib.import_module("sqlalchemy")
    except ImportError:
        raise InputError(
            "A folder or sqlite:/// takes MLflow itself, and only a part of it is installed; install it (pip install "
            "mlflow), or log to a server."
        ) from None


def _names(raw: Sequence[str]) -> dict[str, str]:
    """Names that MLflow takes and that no two share; one that had to be changed beyond that has digits of its own."""
    names: dict[str, str] = {}
    for each in raw:
        parts = [part for part in re.sub(r"[^/\w.\- ]", "_", each).split("/") if part.strip(". ")]
        plain = "/".join(parts) or "value"
        if len(plain) > KEY or plain in names.values():
            plain = f"{plain[: KEY - 9]}-{digest_json(each)[:8]}"
        names[each] = plain
    return names


def _cut(values: Mapping[str, str], most: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """Values, with a digest in the place of those that are too long."""
    kept: dict[str, str] = {}
    for name, each in values.items():
        whole = len(each) <= most
        kept[name] = each if whole else f"sha256 {digest_json(each)}: {len(each):,} characters, whole in card/card.json"
    return kept, tuple(name for name, each in values.items() if len(each) > most)


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Nested settings by dotted names."""
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    found: dict[str, Any] = {}
    for key, each in cast("Mapping[str, Any]", value).items():
        found |= _flat(f"{name}.{key}" if name else str(key), each)
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else canonical_json(value)


def _batches(values: Mapping[str, str]) -> Iterator[list[tuple[str, str]]]:
    some: list[tuple[str, str]] = []
    size = 0
    for name, each in values.items():
        if some and (len(some) == BATCH or size + len(each) > CHARACTERS):
            yield some
            some, size = [], 0
        some.append((name, each))
        size += len(each)
    if some:
        yield some


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return readable(lines[0] if lines else type(error).__name__, 300)


def _without_key(to: str) -> str:
    """An address without the name and password that it may hold."""
    return re.sub(r"(?<=//)[^/@]*@", "", to)
