"""A course against a loop written by hand, and what a killed one ends with: the same weights and the same lines."""

import json
import subprocess
import sys
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.reason.alike import alike
from surefoot.reason.course import Course, Keep, Part, Turn, follow, step_seed
from surefoot.reason.journal import Line
from surefoot.text.decoder import Decoder, Shape, build_decoder


@pytest.fixture
def decoder() -> Decoder:
    return build_decoder(Shape(8, width=8, depth=1, heads=2, context=8), seed=0)


def loss_of(decoder: Decoder, step: int) -> Tensor:
    """Differs from step to step, and is drawn from the step alone."""
    generator = torch.Generator().manual_seed(step_seed(3, 0, step))
    tokens = torch.randint(8, (4, 6), generator=generator)
    return torch.nn.functional.cross_entropy(decoder(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:])


def one(turn: Turn) -> Line:
    moved = turn.update([lambda: (loss_of(turn.decoder, turn.step),)])
    return {"gradient": moved.gradient, "before": float(len(turn.lines))}


def weights(decoder: Decoder) -> Tensor:
    return torch.cat([each.detach().reshape(-1) for each in decoder.parameters()])


COURSE = Course(9, rate=0.03, schedule="cosine", warm_up=3, decay=0.1, clip=0.5, betas=(0.8, 0.99))


def test_its_steps_are_those_of_adamw_with_rate_and_clip(decoder: Decoder) -> None:
    learnt = follow(decoder, one, COURSE, "run")
    mine = build_decoder(decoder.shape, seed=0)
    mean = [torch.zeros_like(each) for each in mine.parameters()]
    square = [torch.zeros_like(each) for each in mine.parameters()]
    for step in range(9):
        rate = 0.03 * min(1, (step + 1) / 3) * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / 9)))
        slopes = torch.autograd.grad(loss_of(mine, step), list(mine.parameters()))
        norm = float(sum((each**2).sum() for each in slopes)) ** 0.5
        assert learnt.lines[step]["gradient"] == pytest.approx(norm, rel=1e-4)
        with torch.no_grad():
            for at, (each, slope) in enumerate(zip(mine.parameters(), slopes, strict=True)):
                slope = slope * min(1, 0.5 / norm)
                mean[at] = 0.8 * mean[at] + 0.2 * slope
                square[at] = 0.99 * square[at] + 0.01 * slope**2
                each *= 1 - rate * 0.1
                each -= (
                    rate * mean[at] / (1 - 0.8 ** (step + 1)) / ((square[at] / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8)
                )
    assert torch.allclose(weights(learnt.decoder), weights(mine), atol=2e-5)
    assert min(line["gradient"] for line in learnt.lines) > 0.5, "the clip never binds here"
    assert torch.equal(weights(decoder), weights(build_decoder(decoder.shape, seed=0))), "the start is left alone"


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_at", [2, 4, 7])
def test_a_killed_run_ends_as_one_that_was_not(decoder: Decoder, tmp_path: Path, killed_at: int) -> None:
    whole = follow(decoder, one, COURSE, "run", keep=Keep(tmp_path / "whole", every=3))
    keep = Keep(tmp_path / "killed", every=3)

    def dies(turn: Turn) -> Line:
        if turn.step == killed_at:
            raise Killed
        return one(turn)

    with pytest.raises(Killed):
        follow(decoder, dies, COURSE, "run", keep=keep)
    log = keep.folder / "steps.jsonl"
    assert len(log.read_text().splitlines()) == 1 + killed_at
    with log.open("a") as opened:
        opened.write('{"step":99.0,"gradient":0.')  # the kill came in the middle of a line
    again = follow(decoder, one, COURSE, "run", keep=keep)
    assert torch.equal(weights(again.decoder), weights(whole.decoder))
    assert again.lines == whole.lines
    assert log.read_text() == (tmp_path / "whole" / "steps.jsonl").read_text()
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()[1:]] == list(range(9))


def test_a_finished_run_is_not_repeated(decoder: Decoder, tmp_path: Path) -> None:
    keep = Keep(tmp_path / "run", every=100)
    first = follow(decoder, one, COURSE, "run", keep=keep)

    def never(turn: Turn) -> Line:
        raise AssertionError(f"step {turn.step} was taken again")

    again = follow(decoder, never, COURSE, "run", keep=keep)
    assert torch.equal(weights(again.decoder), weights(first.decoder))
    assert again.lines == first.lines


def test_a_folder_of_another_run_is_refused(decoder: Decoder, tmp_path: Path) -> None:
    keep = Keep(tmp_path / "run", every=3)
    follow(decoder, one, COURSE, "one", keep=keep)
    with pytest.raises(InputError, match="belongs to a run"):
        follow(decoder, one, COURSE, "another", keep=keep)
    (keep.folder / "checkpoint.safetensors").unlink()
    with pytest.raises(InputError, match="belongs to a run with other settings"):
        follow(decoder, one, COURSE, "another", keep=keep)


def test_a_log_that_lost_lines_is_refused(decoder: Decoder, tmp_path: Path) -> None:
    keep = Keep(tmp_path / "run", every=3)
    follow(decoder, one, COURSE, "run", keep=keep)
    log = keep.folder / "steps.jsonl"
    log.write_text("\n".join(log.read_text().splitlines()[:4]) + "\n")
    with pytest.raises(InputError, match="3 whole lines where the checkpoint beside it has 9"):
        follow(decoder, one, COURSE, "run", keep=keep)


def test_two_runs_at_once_do_not_share_a_folder(decoder: Decoder, tmp_path: Path) -> None:
    """The second is refused while the first goes on, in this process or another; the end of one frees its folder."""
    keep = Keep(tmp_path / "run", every=3)
    refused: list[int] = []

    def meanwhile(turn: Turn) -> Line:
        if turn.step == 4:
            with pytest.raises(InputError, match=r"Another run is training in .*run now; wait until it has ended"):
                follow(decoder, one, COURSE, "run", keep=keep)
            code = f"from surefoot.reason.journal import alone_in; alone_in(Path({str(keep.folder)!r})).__enter__()"
            said = subprocess.run(
                [sys.executable, "-c", f"from pathlib import Path; {code}"], capture_output=True, text=True, check=False
            )
            assert "Another run is training" in said.stderr
            follow(decoder, one, COURSE, "run", keep=Keep(tmp_path / "other", every=3))
            refused.append(turn.step)
        if turn.step == 7:
            raise Killed
        return one(turn)

    with pytest.raises(Killed):
        follow(decoder, meanwhile, COURSE, "run", keep=keep)
    assert refused == [4]
    again = follow(decoder, one, COURSE, "run", keep=keep)
    assert again.lines == follow(decoder, one, COURSE, "run").lines


def test_a_run_that_was_shot_leaves_its_folder_free(decoder: Decoder, tmp_path: Path) -> None:
    keep = Keep(tmp_path / "run", every=3)
    code = (
        "import os, signal; from pathlib import Path; from surefoot.reason.journal import alone_in; "
        f"held = alone_in(Path({str(keep.folder)!r})); held.__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
    assert len(follow(decoder, one, COURSE, "run", keep=keep).lines) == 9


def test_parts_of_a_loss_add_up_and_no_part_moves_nothing(decoder: Decoder) -> None:
    course = Course(3, rate=0.05)

    def parted(turn: Turn) -> Line:
        if turn.step == 1:  # where Adam's memory alone would move on
            moved = turn.update([])
            assert moved.sums == ()
            return {"gradient": moved.gradient}

        def part(share: float) -> Part:
            return lambda: (loss_of(turn.decoder, turn.step) * share, torch.tensor(3.0), torch.tensor(share))

        moved = turn.update([part(0.25), part(0.75)])
        assert moved.sums[1:3] == (6, 1)
        return {"gradient": moved.gradient, "loss": moved.sums[0]}

    seen: list[Tensor] = []

    def watch(decoder: Decoder, done: int) -> dict[str, float]:
        seen.append(weights(decoder).clone())
        return {"done": float(done)} if done == 2 else {}

    found = follow(decoder, parted, course, "run", measure=watch)
    whole = follow(decoder, one, Course(1, rate=0.05), "run")
    assert torch.allclose(seen[0], weights(whole.decoder), atol=1e-5)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    assert [line.get("done") for line in found.lines] == [None, 2.0, None]
    assert found.lines[1]["gradient"] == 0
    assert found.lines[0]["loss"] == pytest.approx(float(loss_of(decoder, 0).detach()))


def test_a_training_that_runs_off_says_so(decoder: Decoder) -> None:
    def away(turn: Turn) -> Line:
        return {"gradient": turn.update([lambda: (loss_of(turn.decoder, 0) * float("inf"),)]).gradient}

    with pytest.raises(InputError, match=r"gradient of step 0 is .*lower rate"):
        follow(decoder, away, Course(2), "run")


def test_figures_and_weights_that_are_no_numbers_are_not_kept(decoder: Decoder, tmp_path: Path) -> None:
    """Found before the line is written, and before such weights are saved over good ones."""
    keep = Keep(tmp_path / "run", every=2)

    def odd(turn: Turn) -> Line:
        return {**one(turn), "loss": float("nan") if turn.step == 3 else 1.0}

    with pytest.raises(InputError, match=r"The loss of step 3 is nan: the training has run off; give a lower rate"):
        follow(decoder, odd, COURSE, "run", keep=keep)
    assert len((keep.folder / "steps.jsonl").read_text().splitlines()) == 1 + 3

    def spoils(turn: Turn) -> Line:
        if turn.step == 3:
            with torch.no_grad():
                turn.decoder.norm[0] = float("inf")
            return {"gradient": 0.0}
        return one(turn)

    for kept in (keep, None):
        with pytest.raises(InputError, match=r"The sum of weights of step 3 is inf: the training has run off"):
            follow(decoder, spoils, Course(4, rate=0.03), "run", keep=kept)
    assert len((keep.folder / "steps.jsonl").read_text().splitlines()) == 1 + 3
    assert follow(decoder, one, COURSE, "run", keep=keep).lines[-1]["step"] == 8

    with pytest.raises(InputError, match="The measure accuracy after 1 steps is nan"):
        follow(decoder, one, COURSE, "run", measure=lambda at, done: {"accuracy": float("nan")})


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rate": 0.0}, {"clip": -1.0}, {"betas": (0.9, 1.0)}, {"warm_up": -1}])
def test_what_no_course_has_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Course(**{"steps": 1, **wrong})  # type: ignore[arg-type]
    with pytest.raises(InputError):
        step_seed(-1, 0, 0)


def test_progress_tells_the_first_figure(decoder: Decoder) -> None:
    told: list[tuple[str, int, int]] = []
    follow(decoder, one, Course(2), "run", progress=lambda *given: told.append(given), stage="walking")
    assert [(stage.split(":")[0], done, total) for stage, done, total in told] == [("walking", 1, 2), ("walking", 2, 2)]
    assert told[0][0].startswith("walking: gradient ")


def test_parts_of_like_rows_hold_every_row_once_and_no_other_parting_costs_less() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (1, 2, 7, 7, 7, 9):
        lengths = sorted(torch.randint(1, 9, (count,), generator=generator).tolist(), reverse=True)

        def cost(parts: list[slice], lengths: list[int] = lengths) -> int:
            return sum(10 + (part.stop - part.start) * lengths[part.start] for part in parts)

        found = alike(lengths, count, fixed=10)
        assert [row for part in found for row in range(count)[part]] == list(range(count))
        every = []
        for cuts in product([False, True], repeat=count - 1):
            edges = [0, *(at + 1 for at, cut in enumerate(cuts) if cut), count]
            every.append(cost([slice(*pair) for pair in pairwise(edges)]))
        assert cost(found) == min(every)
        few = alike(lengths, 2, fixed=10)
        assert [row for part in few for row in range(count)[part]] == list(range(count))
        assert max(part.stop - part.start for part in few) <= 2
    assert alike([], 5, fixed=1) == []
