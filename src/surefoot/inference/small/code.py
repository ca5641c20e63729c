"""LLVM code as text, a few operations at a time: vectors of one width, counted loops, and nothing else.

LLVM's own vectoriser has to prove that arrays do not overlap and to guess which sums to keep in registers. Written as
vectors in the first place, neither is left to it. Offsets are in numbers (not bytes) and known when the code is made,
except for the index of a loop around them.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

__all__ = ["Code", "Real", "Spot"]

Real: TypeAlias = Literal["float", "double"]

LOG_2 = Decimal("0.693147180559945309417232121458176568")


@dataclass(frozen=True)
class Spot:
    """Where a number lies: array + start + Σ stride · index, for the indices of loops around it."""

    array: str
    start: int = 0
    moving: tuple[tuple[str, int], ...] = ()

    def __add__(self, numbers: int) -> "Spot":
        return Spot(self.array, self.start + numbers, self.moving)

    def along(self, index: str, stride: int) -> "Spot":
        """The spot that moves by `stride` for every step of `index`; an index that is a number is added at once."""
        if index.isdecimal():
            return self + int(index) * stride
        return Spot(self.array, self.start, (*self.moving, (index, stride)))

    def beyond(self, offset: "Spot") -> "Spot":
        """The spot as far behind this one as `offset` is behind the start of its own array."""
        return Spot(self.array, self.start + offset.start, self.moving + offset.moving)


@dataclass
class Code:
    """Lines of one function's body, with `lanes` numbers of type `real` to a vector."""

    real: Real
    lanes: int
    lines: list[str] = field(default_factory=list[str])
    block: str = "entry"
    count: int = 0

    @property
    def vector(self) -> str:
        return f"<{self.lanes} x {self.real}>"

    @property
    def suffix(self) -> str:
        """How LLVM's intrinsic functions name this vector."""
        return f"v{self.lanes}f{32 if self.real == 'float' else 64}"

    def let(self, expression: str) -> str:
        """A new name for the value of an instruction."""
        self.count += 1
        self.lines.append(f"  %x{self.count} = {expression}")
        return f"%x{self.count}"

    def constant(self, value: float) -> str:
        """A number as this type holds it; LLVM wants its bits as those of a double."""
        held = struct.unpack("f", struct.pack("f", value))[0] if self.real == "float" else value
        return f"0x{struct.unpack('>Q', struct.pack('>d', held))[0]:016X}"

    def vector_of(self, value: float) -> str:
        """A constant vector of equal numbers."""
        return "zeroinitializer" if value == 0 else f"splat ({self.real} {self.constant(value)})"

    def address(self, spot: Spot) -> str:
        offset = str(spot.start)
        for index, stride in spot.moving:
            offset = self.let(f"add nsw i64 {offset}, {self.let(f'mul nsw i64 {index}, {stride}')}")
        return self.let(f"getelementptr inbounds {self.real}, ptr {spot.array}, i64 {offset}")

    def load(self, spot: Spot) -> str:
        return self.let(f"load {self.vector}, ptr {self.address(spot)}, align {self._alignment}")

    def store(self, value: str, spot: Spot) -> None:
        self.lines.append(f"  store {self.vector} {value}, ptr {self.address(spot)}, align {self._alignment}")

    def spread(self, spot: Spot) -> str:
        """One number, in every lane."""
        return self.spread_value(self.load_number(spot))

    def spread_value(self, value: str) -> str:
        """A scalar, in every lane."""
        first = self.let(f"insertelement {self.vector} poison, {self.real} {value}, i64 0")
        return self.shuffle(first, first, [0] * self.lanes)

    def spread_integer(self, value: str) -> str:
        """A 32-bit integer, in every lane."""
        whole = f"<{self.lanes} x i32>"
        first = self.let(f"insertelement {whole} poison, i32 {value}, i64 0")
        return self.let(f"shufflevector {whole} {first}, {whole} poison, <{self.lanes} x i32> zeroinitializer")

    def load_number(self, spot: Spot) -> str:
        return self.let(f"load {self.real}, ptr {self.address(spot)}")

    def store_number(self, value: str, spot: Spot) -> None:
        self.lines.append(f"  store {self.real} {value}, ptr {self.address(spot)}")

    def shuffle(self, left: str, right: str, lanes: Sequence[int]) -> str:
        """Lanes of `left` (0 …) and `right` (`lanes` …)."""
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.let(f"shufflevector {self.vector} {left}, {self.vector} {right}, <{len(lanes)} x i32> <{mask}>")

    def add(self, left: str, right: str) -> str:
        return self.let(f"fadd {self.vector} {left}, {right}")

    def subtract(self, left: str, right: str) -> str:
        return self.let(f"fsub {self.vector} {left}, {right}")

    def multiply(self, left: str, right: str) -> str:
        return self.let(f"fmul {self.vector} {left}, {right}")

    def divide(self, left: str, right: str) -> str:
        return self.let(f"fdiv {self.vector} {left}, {right}")

    def multiply_add(self, left: str, right: str, add: str) -> str:
        """left · right + add, rounded once."""
        arguments = ", ".join(f"{self.vector} {value}" for value in (left, right, add))
        return self.let(f"call {self.vector} @llvm.fma.{self.suffix}({arguments})")

    def larger(self, left: str, right: str) -> str:
        """The larger number in each lane; NaN in `left` stays NaN."""
        return self.select(self.let(f"fcmp olt {self.vector} {left}, {right}"), right, left)

    def above(self, left: str, right: str) -> str:
        """left > right, lane by lane."""
        return self.let(f"fcmp ogt {self.vector} {left}, {right}")

    def select(self, mask: str, left: str, right: str) -> str:
        return self.let(f"select <{self.lanes} x i1> {mask}, {self.vector} {left}, {self.vector} {right}")

    def sum_of_lanes(self, value: str) -> str:
        """A scalar: all lanes added, in pairs."""
        zero = self.constant(0.0)
        arguments = f"{self.real} {zero}, {self.vector} {value}"
        return self.let(f"call reassoc {self.real} @llvm.vector.reduce.fadd.{self.suffix}({arguments})")

    def exponential(self, value: str) -> str:
        """eˣ for x ≤ 0 to about one unit in the last place; x below the smallest normal result counts as that.

        x = n·log 2 + r with |r| ≤ ½ log 2; eʳ by its Taylor series, 2ⁿ by the exponent's bits.
        """
        bits, fraction, bias, lowest, degree = (
            (32, 23, 127, -87.0, 7) if self.real == "float" else (64, 52, 1023, -708.0, 13)
        )
        high = math.floor(math.log(2) * 2**9) / 2**9 if self.real == "float" else float.fromhex("0x1.62e42feep-1")
        whole = f"<{self.lanes} x i{bits}>"
        x = self.larger(value, self.vector_of(lowest))
        n = self.let(
            f"call {self.vector} @llvm.rint.{self.suffix}({self.vector} "
            f"{self.multiply(x, self.vector_of(1 / math.log(2)))})"
        )
        rest = self.multiply_add(n, self.vector_of(-high), x)
        rest = self.multiply_add(n, self.vector_of(-float(LOG_2 - Decimal(high))), rest)
        power = self.vector_of(1 / math.factorial(degree))
        for term in range(degree - 1, -1, -1):
            power = self.multiply_add(power, rest, self.vector_of(1 / math.factorial(term)))
        exponent = self.let(f"fptosi {self.vector} {n} to {whole}")
        biased = self.let(f"add {whole} {exponent}, splat (i{bits} {bias})")
        scale = self.let(f"shl {whole} {biased}, splat (i{bits} {fraction})")
        return self.multiply(power, self.let(f"bitcast {whole} {scale} to {self.vector}"))

    def transpose(self, vectors: Sequence[str]) -> list[str]:
        """`lanes` vectors as the columns of the square matrix whose rows they are."""
        now = list(vectors)
        for bit in (1 << power for power in range(self.lanes.bit_length() - 1)):
            for low in (low for low in range(self.lanes) if not low & bit):
                first, second = now[low], now[low | bit]
                keep = [lane if not lane & bit else self.lanes + (lane & ~bit) for lane in range(self.lanes)]
                swap = [lane | bit if not lane & bit else self.lanes + lane for lane in range(self.lanes)]
                now[low], now[low | bit] = self.shuffle(first, second, keep), self.shuffle(first, second, swap)
        return now

    def sums(self, vectors: Sequence[str]) -> str:
        """One vector whose lane j is the sum of all lanes of vector j; `lanes` vectors are given."""
        now = list(vectors)
        for bit in (1 << power for power in reversed(range(self.lanes.bit_length() - 1))):
            # Vectors j and j + bit become one: lanes with this bit belong to the second.
            stay = [lane if not lane & bit else self.lanes + lane for lane in range(self.lanes)]
            move = [lane | bit if not lane & bit else self.lanes + (lane & ~bit) for lane in range(self.lanes)]
            now = [
                self.add(self.shuffle(now[low], now[low + bit], stay), self.shuffle(now[low], now[low + bit], move))
                for low in range(bit)
            ]
        return now[0]

    def loop(
        self,
        times: int | str,
        body: Callable[[str, list[str]], list[str]],
        carried: Sequence[str] = (),
        kind: str | None = None,
    ) -> list[str]:
        """Run `body(index, values)`, which returns the values' successors, `times` (at least once); the last values.

        kind: the type of the values, vectors where none is given.
        """
        if times == 1:
            return body("0", list(carried))
        self.count += 1
        own = self.count
        before, head = self.block, f"loop{own}"
        self.lines += [f"  br label %{head}", f"{head}:"]
        self.block = head
        placeholder = len(self.lines)
        names = [f"%carry{own}.{number}" for number in range(len(carried))]
        self.lines += [""] * (len(names) + 1)
        after = body(f"%index{own}", names)
        following = self.let(f"add nsw i64 %index{own}, 1")
        more = self.let(f"icmp slt i64 {following}, {times}")
        self.lines += [f"  br i1 {more}, label %{head}, label %end{own}", f"end{own}:"]
        self.lines[placeholder] = f"  %index{own} = phi i64 [ 0, %{before} ], [ {following}, %{self.block} ]"
        for number, (name, first, last) in enumerate(zip(names, carried, after, strict=True), start=1):
            self.lines[placeholder + number] = (
                f"  {name} = phi {kind or self.vector} [ {first}, %{before} ], [ {last}, %{self.block} ]"
            )
        self.block = f"end{own}"
        return after

    def perhaps(
        self,
        times: str,
        body: Callable[[str, list[str]], list[str]],
        carried: Sequence[str] = (),
        kind: str | None = None,
    ) -> list[str]:
        """`loop`, for a number of times that may be none."""
        self.count += 1
        own = self.count
        before, head = self.block, f"head{own}"
        names = [f"%carry{own}.{number}" for number in range(len(carried))]
        self.lines += [f"  br label %{head}", f"{head}:"]
        placeholder = len(self.lines)
        self.lines += [""] * (len(names) + 1)
        more = self.let(f"icmp slt i64 %index{own}, {times}")
        self.lines += [f"  br i1 {more}, label %turn{own}, label %end{own}", f"turn{own}:"]
        self.block = f"turn{own}"
        after = body(f"%index{own}", names)
        following = self.let(f"add nsw i64 %index{own}, 1")
        self.lines += [f"  br label %{head}", f"end{own}:"]
        self.lines[placeholder] = f"  %index{own} = phi i64 [ 0, %{before} ], [ {following}, %{self.block} ]"
        for number, (name, first, last) in enumerate(zip(names, carried, after, strict=True), start=1):
            self.lines[placeholder + number] = (
                f"  {name} = phi {kind or self.vector} [ {first}, %{before} ], [ {last}, %{self.block} ]"
            )
        self.block = f"end{own}"
        return names

    def each(self, times: str, body: Callable[[str], None]) -> None:
        """`repeat`, for a number of times that may be none."""

        def turn(index: str, _: list[str]) -> list[str]:
            body(index)
            return []

        self.perhaps(times, turn)

    def repeat(self, times: int | str, body: Callable[[str], None]) -> None:
        """Run `body(index)` `times` (at least once); it carries nothing from turn to turn."""

        def turn(index: str, _: list[str]) -> list[str]:
            body(index)
            return []

        self.loop(times, turn)

    @property
    def _alignment(self) -> int:
        return self.lanes * (4 if self.real == "float" else 8)
