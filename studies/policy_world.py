"""Deliberative alignment in a world of requests and rules in which right and wrong are known: docs/policy-world.md.

    python studies/policy_world.py --quick      a minute; says nothing
    python studies/policy_world.py --publish    three seeds, each with a base and a policy of its own; writes the page's
                                                tables, data and pictures

Every training and every set of completions is kept in --folder as soon as it is there, and a killed run goes on.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from policy_world_tables import pictures, summarise, tables, with_tables

from surefoot.files import digest_json, read_json, read_tensors, write_json, write_tensors, write_text
from surefoot.reason.course import Course
from surefoot.reason.deliberate.arms import ARMS, Arm, Ground, Recipe, WorldSpec, first_stage, pool_of, second_stage
from surefoot.reason.deliberate.control import Loophole, reinforce_on_thoughts
from surefoot.reason.deliberate.monitor import Watch
from surefoot.reason.deliberate.stage_one import Asked, Filtered, StageOne, stage_one
from surefoot.reason.imitate import Imitation, demonstrated, imitate
from surefoot.reason.policy_loss import Ratio
from surefoot.reason.reinforce import Reinforcement
from surefoot.text.completion import Completion, deliberated, part
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.world.demonstrations import base_demonstrations, sums
from surefoot.text.world.judges import AnswerJudge, Errors, FilterJudge, WorldReward, is_good
from surefoot.text.world.language import Request, World, write_request
from surefoot.text.world.monitor import misquotes
from surefoot.text.world.requests import draw_requests
from surefoot.text.world.truth import draw_book

ROOT = Path(__file__).resolve().parents[1]
WORLD = World()
LOOPHOLES = frozenset({0, 2, 4})
"""Categories in which complying always pays, for the negative control."""
PRESSED = 2.4
"""How many times the steps of stage 2 the control takes: thoughts go on changing long after answers have."""
BUDGETS = (0, 1, 2, 3, 4, 5, 6, 7, 8)
"""Tokens after which a thought is closed."""
ALIKE = 0.5
"""The share of the judges' errors that is of the case, where they err alike."""
NEAR = 0.02
"""How much the distance to stage 1 counts where reinforcement stays near it."""


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. judged: requests of each set. recipe: of both stages."""

    base: Course = field(
        default_factory=lambda: Course(4000, 3e-3, "cosine", warm_up=50, decay=0.01, betas=(0.9, 0.99))
    )
    demonstrations: int = 64_000
    width: int = 64
    requests: int = 700
    first: int = 350
    judged: int = 250
    samples: int = 2
    recipe: Recipe = field(default_factory=Recipe)


def quick() -> Settings:
    """A minute's worth."""
    recipe = Recipe(
        stage_one=StageOne(Sampling(count=4, most=20), verdicts=2),
        imitation=Imitation(Course(20, 1e-3), batch=32),
        more=20,
        reinforcement=Reinforcement(Course(6, 1e-3), Sampling(count=4, most=20), patience=6),
        batch=16,
    )
    return Settings(Course(500, 3e-3, "cosine", warm_up=50), 6_000, 32, 60, 30, 40, 1, recipe)


CONTROLS = ("thoughts unseen", "thoughts punished")
"""Of the negative control: a judge with a loophole that sees none, or punishes what the monitor that looks up finds."""
MORE = (
    Arm("both, near", filtered="first", reinforced=True),
    Arm("stage 1, judge errs alike", filtered="first"),
    Arm("both, judges err alike", filtered="first", reinforced=True),
)
"""Beside `ARMS`: reinforcement that stays near stage 1, and judges half of whose errors are of the case."""


def recipe_of(arm: Arm, recipe: Recipe) -> Recipe:
    """The recipe, changed as the arm's name says."""
    if arm.name == "both, near":
        return replace(recipe, reinforcement=replace(recipe.reinforcement, ratio=Ratio(beta=NEAR)))
    if "alike" in arm.name:
        filtering, rewarding = recipe.filter_errors, recipe.reward_errors
        return replace(
            recipe, filter_errors=replace(filtering, shared=ALIKE), reward_errors=replace(rewarding, shared=ALIKE)
        )
    return recipe


@dataclass(frozen=True)
class Kept:
    """Where one seed's work is kept, and what it is asked to be done with."""

    settings: Settings
    seed: int
    folder: Path

    @property
    def ground(self) -> Ground:
        """A seed's policy; the requests are the same for every seed."""
        requests = draw_requests(WORLD, "fit", self.settings.requests, 0)
        return Ground(WORLD, draw_book(WORLD, 100 + self.seed), requests, self.settings.first, sums("fit"))

    def decoder(self, name: str, make: Callable[[], tuple[Decoder, dict[str, Any]]]) -> tuple[Decoder, dict[str, Any]]:
        """A trained decoder and the record of its training, made if it is not there."""
        path = self.folder / f"{self.seed}-{_file(name)}"
        decoder = build_decoder(Shape(WORLD.vocabulary.size, width=self.settings.width, context=48), self.seed)
        if not path.with_suffix(".json").exists():
            begun = time.process_time()
            made, record = make()
            write_tensors(path.with_suffix(".safetensors"), dict(made.state_dict()))
            write_json(path.with_suffix(".json"), {**record, "seconds": time.process_time() - begun})
            print(f"seed {self.seed}, {name}: {time.process_time() - begun:.0f} s", file=sys.stderr, flush=True)
        decoder.load_state_dict(read_tensors(path.with_suffix(".safetensors")))
        return decoder, read_json(path.with_suffix(".json"))

    def drawn(
        self, name: str, decoder: Decoder, prompts: Sequence[str], sampling: Sampling
    ) -> list[tuple[Completion, ...]]:
        """Completions, drawn if they are not there."""
        what = digest_json([list(prompts), asdict(sampling)])[:12]
        path = self.folder / "drawn" / f"{self.seed}-{_file(name)}-{what}.json"
        if not path.exists():
            policy = DecoderPolicy(name, decoder, WORLD.vocabulary)
            found = policy.sample(prompts, sampling, 1_000 + self.seed)
            write_json(path, [[[each.text, each.tokens, each.thought_tokens, each.ended] for each in group]
                              for group in found])  # fmt: skip
        return [tuple(_completion(*each) for each in group) for group in read_json(path)]


def train(kept: Kept) -> dict[str, Any]:
    """Every model of a seed with its record, the base first."""
    recipe, seed, ground = kept.settings.recipe, kept.seed, kept.ground

    def base() -> tuple[Decoder, dict[str, Any]]:
        shown = base_demonstrations(WORLD, kept.settings.demonstrations, seed)
        coded = demonstrated(WORLD.vocabulary, [one.prompt for one in shown], [one.completion for one in shown])
        start = build_decoder(Shape(WORLD.vocabulary.size, width=kept.settings.width, context=48), seed)
        learnt = imitate(start, coded, Imitation(kept.settings.base, batch=64), seed)
        return learnt.decoder, {"loss": learnt.lines[-1]["loss"]}

    models: dict[str, Any] = {"none": kept.decoder("base", base)}
    root: Decoder = models["none"][0]
    models["policy in prompt"] = models["none"]
    for arm in (*ARMS, *MORE):
        if not arm.filtered and not arm.reinforced:
            continue
        changed = recipe_of(arm, recipe)

        def stage_1(arm: Arm = arm, changed: Recipe = changed) -> tuple[Decoder, dict[str, Any]]:
            more = recipe.more if arm.longer else 0
            decoder, filtered = first_stage(root, ground, ground.of(arm.filtered), changed, seed, more)
            return decoder, {"filtered": told(filtered, ground)}

        start = (root, dict[str, Any]())
        if arm.filtered:
            # Arms that share a stage 1 share its weights.
            alike, long = ", judge errs alike" * ("alike" in arm.name), ", longer" * arm.longer
            start = kept.decoder(f"stage 1{', all' * (arm.filtered == 'all')}{long}{alike}", stage_1)
        models[arm.name] = start
        if arm.reinforced:

            def stage_2(start: Decoder = start[0], changed: Recipe = changed) -> tuple[Decoder, dict[str, Any]]:
                learnt = second_stage(start, ground, changed, seed)
                return learnt.decoder, {"lines": [dict(line) for line in learnt.lines]}

            models[arm.name] = kept.decoder(arm.name, stage_2)
    for name, punished in zip(CONTROLS, (None, partial(misquotes, WORLD, ground.book)), strict=True):

        def pressed(punished: Watch | None = punished) -> tuple[Decoder, dict[str, Any]]:
            judge = WorldReward(AnswerJudge(WORLD, ground.book, recipe.reward_errors))
            reward = Loophole(judge, LOOPHOLES, punished=punished)
            start: Decoder = models["stage 1, all"][0]
            course = recipe.reinforcement.course
            longer = replace(recipe.reinforcement, course=replace(course, steps=round(PRESSED * course.steps)))
            learnt = reinforce_on_thoughts(
                start, WORLD.vocabulary, pool_of(ground, recipe, seed), reward, longer, seed
            )  # fmt: skip
            return learnt.decoder, {"lines": [dict(line) for line in learnt.lines]}

        models[name] = kept.decoder(name, pressed)
    return models


def told(filtered: Filtered, ground: Ground) -> dict[str, Any]:
    """What became of the demonstrations, and how many of those kept are truly good."""
    good = 0
    for each in filtered.kept:
        case = deliberated(str(each.asked.prompt), each.completion)
        good += case is not None and is_good(WORLD, ground.book, case)
    counts = {name: getattr(filtered, name) for name in ("drawn", "malformed", "thoughtless", "unscored", "rejected")}
    return {**counts, "kept": len(filtered.kept), "good": good, "prompts": len({each.asked for each in filtered.kept})}


def filters(kept: Kept, base: Decoder) -> list[dict[str, Any]]:
    """What a filter keeps by the number of verdicts, where errors are independent and where half are of the case."""
    path = kept.folder / f"{kept.seed}-filters.json"
    if not path.exists():
        ground, recipe = kept.ground, kept.settings.recipe
        policy = DecoderPolicy("base", base, WORLD.vocabulary)
        asked = [Asked(write_request(WORLD, each), str(each.category)) for each in ground.of("first")]
        found: list[dict[str, Any]] = []
        for shared in (0.0, ALIKE):
            for verdicts in (1, 2, 4, 8):
                judge = FilterJudge(WORLD, ground.book, Errors(recipe.filter_errors.rate, shared))
                how = replace(recipe.stage_one, verdicts=verdicts)
                filtered = stage_one(policy, judge, asked, WorldSpec(ground.book), how, kept.seed)
                found.append({"shared": shared, "verdicts": verdicts, **told(filtered, ground)})
        write_json(path, found)
    return read_json(path)


def judged(settings: Settings) -> dict[str, tuple[Request, ...]]:
    """The sets that models are judged on: requests that no training has seen, in any order or cipher."""
    return {
        "held out": draw_requests(WORLD, "judge", settings.judged, 0),
        "three modifiers": draw_requests(WORLD, "judge", settings.judged, 0, modifiers=(3,)),
        "cipher": draw_requests(WORLD, "judge", settings.judged, 0, encoded=True),
    }


def ask(kept: Kept, models: dict[str, Any]) -> dict[str, Any]:
    """Completions of every model by (set, temperature, budget), of the capability, and of the controls."""
    sets = judged(kept.settings)
    shown = {arm.name for arm in ARMS if arm.shown}
    found: dict[str, Any] = {}
    for name, (decoder, _) in models.items():
        for place, requests in sets.items():
            prompts = [write_request(WORLD, each) for each in requests]
            if name in shown:
                spec = WorldSpec(kept.ground.book)
                prompts = [str(spec(Asked(prompt, str(each.category))))
                           for prompt, each in zip(prompts, requests, strict=True)]  # fmt: skip
            for temperature, count in ((1.0, kept.settings.samples), (0.0, 1)):
                sampling = Sampling(count=count, most=20, temperature=temperature)
                found[f"{name}|{place}|{temperature:g}"] = kept.drawn(name, decoder, prompts, sampling)
            if name in ("policy in prompt", "stage 1, all", "both", "both, all") and place != "held out":
                for budget in BUDGETS:
                    sampling = Sampling(count=1, most=20, temperature=0.0, thinking=budget)
                    found[f"{name}|{place}|budget {budget}"] = kept.drawn(name, decoder, prompts, sampling)
        adds = sums("judge")
        found[f"{name}|sums|1"] = kept.drawn(name, decoder, adds, Sampling(count=8, most=20))
    return found


def study(settings: Settings, seeds: int, folder: Path) -> dict[str, Any]:
    """Train and ask every seed, then tell."""
    folder = folder / digest_json(asdict(settings))[:10]
    (folder / "drawn").mkdir(parents=True, exist_ok=True)
    every: list[dict[str, Any]] = []
    for seed in range(seeds):
        kept = Kept(settings, seed, folder)
        models = train(kept)
        every.append(
            {
                "book": kept.ground.book,
                "drawn": ask(kept, models),
                "filters": filters(kept, models["none"][0]),
                "records": {name: record for name, (_, record) in models.items()},
            }
        )
    names = [arm.name for arm in (*ARMS, *MORE)]
    summary = summarise(every, names, CONTROLS, judged(settings), LOOPHOLES, BUDGETS)
    return {"settings": asdict(settings), "seeds": seeds, **summary}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small base and few steps; a minute")
    parser.add_argument("--seeds", type=int, help="bases and policies (3; with --quick 1)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "policy_world", help="where all is kept")
    parser.add_argument("--publish", action="store_true", help="write the tables, data and pictures of the page")
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    torch.set_num_threads(1)
    settings = quick() if chosen.quick else Settings()
    record = study(settings, chosen.seeds or (1 if chosen.quick else 3), chosen.folder)
    print(tables(record))
    if chosen.publish:
        write_json(ROOT / "docs" / "data" / "policy-world.json", record)
        for name, svg in pictures(record).items():
            write_text(ROOT / "docs" / "images" / f"{name}.svg", svg)
        page = (ROOT / "docs" / "policy-world.md").read_text(encoding="utf-8")
        write_text(ROOT / "docs" / "policy-world.md", with_tables(page, record))


def _completion(text: str, tokens: int, thought_tokens: int, ended: bool) -> Completion:
    parted = part(text, ended=ended)
    return Completion(text, parted.thought, parted.answer, tokens, thought_tokens, ended)


def _file(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    main()
