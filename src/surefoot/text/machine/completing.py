"""Whole completions of many rows as one function of machine code: draw a token, read it, and so on to the end.

As many rows as a block holds are under way at once, each at a place of its own. A row that comes to its end makes room
for the next, which begins with the logits of its prompt. So no work is done for rows that have ended, and the keys
that are under way, not those of all rows, have to stay near.
"""

from surefoot.inference.small.code import Code, Spot
from surefoot.inference.small.kernel import operations
from surefoot.text.machine.choice import choice_code
from surefoot.text.machine.layout import BLOCK, Layout
from surefoot.text.machine.step import step_code
from surefoot.text.vocabulary import ANSWER, END, THINK

__all__ = ["INTEGERS", "machine_code"]

ARRAYS = ("tokens", "slots", "places", "groups", "lengths", "rows", "thinking", "chosen", "asked")
"""Of the rows under way, 64-bit integers each."""
NUMBERS = ("chances", "shifted", "totals")
"""Of the rows under way, float64 each."""
INTEGERS = (len(ARRAYS) + len(NUMBERS)) * BLOCK + 2
"""64-bit numbers of room that `complete` needs; the last two are how many rows are under way, and the next row."""
ONE = 0x3FF0000000000000
"""The bits of 1.0."""


def machine_code(layout: Layout) -> str:
    """LLVM code of `step`, `choose`, and `complete`.

    `complete(weights, table, prompt_keys, prompt_values, first_logits, prompt_lengths, all_chances, all_tokens,
    all_shifted, all_totals, sampled, ended, written, keys, values, work, integers, logits, prompt_room, room, first,
    last, count, most, temperature, forbidden, budget)` completes the rows from `first` to before `last`, of which each
    prompt has `count`. Of prompts: logits after their last place, and how many places they have. Of rows and places:
    chances, and what is written: tokens, shifted logits and totals (see `choose`; 0 and 1 where a token was forced),
    and whether they were drawn (a byte). Of rows: whether they ended (a byte), and how many tokens were written. Of a
    block of rows under way, for this call alone: keys and values, work, integers, logits. budget: tokens after which a
    thought is closed, which every row begins with; 0: there is none.
    """
    code = Code("float", layout.lanes)
    return "\n".join(
        [
            *operations(code),
            "declare float @llvm.sqrt.f32(float)",
            f"declare {code.vector} @llvm.fabs.{code.suffix}({code.vector})",
            step_code(layout),
            choice_code(layout.lanes),
            _complete(code, layout),
        ]
    )


def _complete(code: Code, layout: Layout) -> str:
    for number, name in enumerate((*ARRAYS, *NUMBERS)):
        code.lines.append(f"  %{name} = getelementptr inbounds i64, ptr %integers, i64 {number * BLOCK}")
    state = (len(ARRAYS) + len(NUMBERS)) * BLOCK
    _put(code, "%integers", str(state), "0")
    _put(code, "%integers", str(state + 1), "%first")

    def prepare(index: str) -> None:
        _put(code, "%slots", index, index)
        _put(code, "%asked", index, "1")

    code.repeat(BLOCK, prepare)
    code.lines += ["  br label %again", "again:"]
    code.block = "again"
    under_way = _get(code, "%integers", str(state))
    _draw(code, layout, under_way)
    (kept,) = code.perhaps(under_way, lambda index, kept: _take(code, index, kept[0]), ["0"], "i64")
    code.lines.append(
        "  call void @step(ptr %weights, ptr %table, ptr %tokens, ptr %slots, ptr %places, ptr %groups, ptr %lengths, "
        "ptr %asked, ptr %prompt_keys, ptr %prompt_values, ptr %keys, ptr %values, ptr %logits, ptr %work, "
        f"i64 %prompt_room, i64 %room, i64 {kept})"
    )

    def move(index: str) -> None:
        _put(code, "%places", index, code.let(f"add i64 {_get(code, '%places', index)}, 1"))

    code.each(kept, move)
    following = _get(code, "%integers", str(state + 1))
    free, left = code.let(f"sub i64 {BLOCK}, {kept}"), code.let(f"sub i64 %last, {following}")
    more = code.let(f"select i1 {code.let(f'icmp slt i64 {free}, {left}')}, i64 {free}, i64 {left}")
    code.each(more, lambda index: _begin(code, layout, index, kept, following))
    now = code.let(f"add i64 {kept}, {more}")
    _put(code, "%integers", str(state), now)
    _put(code, "%integers", str(state + 1), code.let(f"add i64 {following}, {more}"))
    go_on = code.let(f"icmp sgt i64 {now}, 0")
    code.lines += [f"  br i1 {go_on}, label %again, label %done", "done:"]
    return "\n".join(
        [
            "define void @complete(ptr %weights, ptr %table, ptr %prompt_keys, ptr %prompt_values, ptr %first_logits, "
            "ptr %prompt_lengths, ptr %all_chances, ptr %all_tokens, ptr %all_shifted, ptr %all_totals, ptr %sampled, "
            "ptr %ended, ptr %written, ptr %keys, ptr %values, ptr %work, ptr %integers, ptr %logits, "
            "i64 %prompt_room, i64 %room, i64 %first, i64 %last, i64 %count, i64 %most, float %temperature, "
            "i64 %forbidden, i64 %budget) {",
            "entry:",
            *code.lines,
            "  ret void",
            "}",
        ]
    )


def _draw(code: Code, layout: Layout, rows: str) -> None:
    """A token of each row under way, by the chance of its place."""

    def gather(index: str) -> None:
        at = _out(code, _get(code, "%rows", index), _get(code, "%places", index))
        _put(code, "%chances", index, _get(code, "%all_chances", at))

    code.each(rows, gather)
    code.lines.append(
        "  call void @choose(ptr %logits, ptr %chances, ptr %chosen, ptr %shifted, ptr %totals, ptr %work, "
        f"i64 {layout.symbols}, i64 {layout.real_symbols}, i64 {rows}, float %temperature, i64 %forbidden)"
    )


def _take(code: Code, index: str, kept: str) -> list[str]:
    """Write the token of one row; the row moves up to the others that go on, or is left behind."""
    row, at, thinks = (_get(code, f"%{name}", index) for name in ("rows", "places", "thinking"))
    budget = code.let("icmp sgt i64 %budget, 0")
    begins = code.let(f"and i1 {budget}, {code.let(f'icmp eq i64 {at}, 0')}")
    spent = code.let(f"and i1 {code.let(f'icmp sgt i64 {at}, %budget')}, {code.let(f'icmp ne i64 {thinks}, 0')}")
    closes = code.let(f"and i1 {budget}, {spent}")
    forced = code.let(f"or i1 {begins}, {closes}")
    token = code.let(f"select i1 {closes}, i64 {ANSWER}, i64 {_get(code, '%chosen', index)}")
    token = code.let(f"select i1 {begins}, i64 {THINK}, i64 {token}")
    out = _out(code, row, at)
    _put(code, "%all_tokens", out, token)
    for name, certain in (("shifted", 0), ("totals", ONE)):
        drawn = code.let(f"select i1 {forced}, i64 {certain}, i64 {_get(code, f'%{name}', index)}")
        _put(code, f"%all_{name}", out, drawn)
    _put_byte(code, "%sampled", out, code.let(f"xor i1 {forced}, true"))
    ends = code.let(f"icmp eq i64 {token}, {END}")
    _put_byte(code, "%ended", row, ends)
    following = code.let(f"add i64 {at}, 1")
    _put(code, "%written", row, following)
    open_still = code.let(f"icmp ne i64 {token}, {ANSWER}")
    thinks = code.let(f"select i1 {open_still}, i64 {thinks}, i64 0")
    slot, other = _get(code, "%slots", index), _get(code, "%slots", kept)
    moved = {"tokens": token, "places": at, "rows": row, "thinking": thinks, "slots": slot}
    moved |= {name: _get(code, f"%{name}", index) for name in ("groups", "lengths")}
    _put(code, "%slots", index, other)
    for name, value in moved.items():
        _put(code, f"%{name}", kept, value)
    room = code.let(f"icmp slt i64 {following}, %most")
    goes = code.let(f"select i1 {ends}, i1 false, i1 {room}")
    return [code.let(f"add i64 {kept}, {code.let(f'zext i1 {goes} to i64')}")]


def _begin(code: Code, layout: Layout, index: str, kept: str, following: str) -> None:
    """Take the next row up, behind those that are under way."""
    at, row = code.let(f"add i64 {kept}, {index}"), code.let(f"add i64 {following}, {index}")
    group = code.let(f"sdiv i64 {row}, %count")
    new = {
        "rows": row,
        "groups": group,
        "lengths": _get(code, "%prompt_lengths", group),
        "places": "0",
        "thinking": "1",
    }
    for name, value in new.items():
        _put(code, f"%{name}", at, value)
    source, target = (
        Spot(array).along(place, layout.symbols) for array, place in (("%first_logits", group), ("%logits", at))
    )
    lanes = layout.lanes

    def copy(part: str) -> None:
        code.store(code.load(source.along(part, lanes)), target.along(part, lanes))

    code.repeat(layout.symbols // lanes, copy)


def _out(code: Code, row: str, at: str) -> str:
    """Where place `at` of a row lies in what is written."""
    return code.let(f"add i64 {code.let(f'mul i64 {row}, %most')}, {at}")


def _get(code: Code, array: str, at: str) -> str:
    return code.let(f"load i64, ptr {code.let(f'getelementptr inbounds i64, ptr {array}, i64 {at}')}")


def _put(code: Code, array: str, at: str, value: str) -> None:
    where = code.let(f"getelementptr inbounds i64, ptr {array}, i64 {at}")
    code.lines.append(f"  store i64 {value}, ptr {where}")


def _put_byte(code: Code, array: str, at: str, truth: str) -> None:
    where = code.let(f"getelementptr inbounds i8, ptr {array}, i64 {at}")
    byte = code.let(f"zext i1 {truth} to i8")
    code.lines.append(f"  store i8 {byte}, ptr {where}")
