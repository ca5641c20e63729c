"""Valid files spoilt, byte by byte and part by part: `spoil(content, kind, dice)`."""

# ruff: noqa: E501 - cases a line
import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

__all__ = ["spoil"]

NASTY_TEXT = (
    "", " ", "nan", "NaN", "inf", "-Infinity", "1e999", "-1", "0", "1.5", "1" * 400, "9" * 5000, "\x00", "\ufeff",
    "\u2028", "\x85", "é" * 3, "../../../etc/passwd", "/etc/passwd", "C:\\x", "=1+1", "true", "null", "a\nb", '"', "'",
    "x" * 200_000, "%s{}", "\u0130", "²", "٣", "1_0", "0x10", "True", "None", "<script>", "\x1b[31m", "-", "~", ",", ";",
)  # fmt: skip
NASTY_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, -(10**30), 0.5, 1e308, float("nan"), float("inf"), "", "a",
    "\ud800", "\x00", "nan", [], {}, [[]], [None], {"a": 1}, [1, 2], ["a", "a"], {"": None}, "x" * 5000, [0] * 5000,
    "../../x", "/etc/passwd", "1e999", {"a": {"a": {"a": {}}}}, 10**15, 1e-320, "🦶",
)  # fmt: skip
NASTY_JSON = (
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 100_000, b'{"a":' * 50_000, b'"\\ud800"', b'"\\u0000"', b"0x1",
    b"[" * 3000 + b"]" * 3000, b'{"a":1,"a":2}', b"1" * 400, b"-0", b'"\xff"', b"'a'", b"{}", b"[]", b"null", b"",
)  # fmt: skip
NASTY_YAML = (
    b"a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
    b"c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
    b"e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n"
    b"g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: &h [*g, *g, *g, *g, *g, *g, *g, *g, *g, *g]\n"
    b"i: &i [*h, *h, *h, *h, *h, *h, *h, *h, *h, *h]\nj: [*i, *i, *i, *i, *i, *i, *i, *i, *i, *i]\n",
    b"\nz: &z [*z]\n", b"\nz: &z {z: *z}\n", b"\nz: !!python/object/apply:os.system ['true']\n", b"\n? [a, b]\n: c\n",
    b"\n? {a: b}\n: c\n", b"\n<<: {a: 1}\n", b"\n<<: 3\n", b"\nz: 2024-13-45\n", b"\nz: 2024-01-01\n", b"\nz: !!set {a, b}\n",
    b"\nz: !!binary '%%%'\n", b"\nz: !!binary aGVq\n", b"\nz: !!float x\n", b"\nz: !!int x\n", b"\nz: " + b"[" * 3000,
    b"\nz: " + b"[" * 400 + b"]" * 400, b"\n---\na: 1\n", b"\n1: 2\n", b"\nnull: 2\n", b"\nz: 0o17\n", b"\nz: " + b"9" * 5000,
    b"\nz: 1:30:00\n", b"\nz: .nan\n", b"\nz: .inf\n", b"\nz: \"\\ud800\"\n", b"\n\tz: 1\n", b"\nz: *nobody\n", b"\n%YAML 9.9\n---\n",
    b"\nz: !!timestamp x\n", b"\nz: !!omap [a]\n", b"\nz: !!pairs [a]\n", b"\nz: !!bool x\n", b"\nz: \"\\0\"\n", b"\n? |\n  x\n: 1\n",
    b"\n? !!binary aGVq\n: 1\n", b"\n? 2024-01-01\n: 1\n", b"\n!!python/name:os.system z: 1\n", b"\n<<: [1, 2]\n", b"\n? !!set {a}\n: 1\n",
    b"\n" + b"{a: " * 1000 + b"1" + b"}" * 1000,
)  # fmt: skip
LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)


def spoil(content: bytes, kind: str, dice: random.Random) -> bytes:
    """One damaged form of a file. kind: text, csv, json, jsonl, yaml, zip, npz, safetensors, gz, image or binary."""
    ways = WAYS.get(kind, ())
    if ways and dice.random() < 0.7:
        spoilt = dice.choice(ways)(content, dice)
        return _bytes(spoilt, dice) if dice.random() < 0.05 else spoilt
    return _bytes(content, dice)


def _bytes(content: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        content = dice.choice(BYTES)(content, dice)
    return content


def _flip(content: bytes, dice: random.Random) -> bytes:
    if not content:
        return content
    spoilt = bytearray(content)
    spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
    return bytes(spoilt)


def _truncate(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _span(content: bytes, dice: random.Random) -> tuple[int, int]:
    first = dice.randrange(len(content) + 1)
    return first, min(len(content), first + dice.choice((1, 2, 4, 8, 64, 512)))


def _doubled(content: bytes, dice: random.Random) -> bytes:
    first, last = _span(content, dice)
    return content[:last] + content[first:last] * dice.choice((1, 1, 100)) + content[last:]


def _cut(content: bytes, dice: random.Random) -> bytes:
    first, last = _span(content, dice)
    return content[:first] + content[last:]


def _swapped(content: bytes, dice: random.Random) -> bytes:
    (a, b), (c, d) = sorted((_span(content, dice), _span(content, dice)))
    return content if b > c else content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _length(content: bytes, dice: random.Random) -> bytes:
    size = dice.choice((1, 2, 4, 8))
    number = (dice.choice(LENGTHS) & (256**size - 1)).to_bytes(size, dice.choice(("little", "big")))
    at = dice.randrange(len(content) + 1)
    return content[:at] + number + content[at + size :]


def _noise(content: bytes, dice: random.Random) -> bytes:
    first, last = _span(content, dice)
    return content[:first] + dice.randbytes(last - first) + content[last:]


def _inserted(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content) + 1)
    piece = dice.choice(
        (b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n", b"\n", b"\t", b"\x1a", b"\xed\xa0\x80", b'"')
    )
    return content[:at] + piece + content[at:]


def _token(content: bytes, dice: random.Random) -> bytes:
    """A number or a word by something worse."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?|[A-Za-z_]+", content[:100_000]))
    if not found:
        return content
    at = dice.choice(found)
    return content[: at.start()] + dice.choice(NASTY_TEXT).encode(errors="surrogatepass") + content[at.end() :]


def _lines(content: bytes, dice: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    way = dice.randrange(4)
    if way == 0:
        lines.insert(at, lines[other])
    elif way == 1:
        del lines[at]
    elif way == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = lines[at] * dice.choice((2, 1000))
    return b"\n".join(lines)


def _whole(content: bytes, dice: random.Random) -> bytes:
    """The whole text written otherwise."""
    text = content.decode(errors="replace")
    return dice.choice(
        (
            b"", b"\n", b"\x00" * 100, b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), content.replace(b"\n", b"\r"),
            text.encode("utf-16"), text.encode("utf-32"), content + b"\n" * 1000, content * 3, text.swapcase().encode(),
            text.replace(" ", "\t").encode(), text.replace("\n", "\u2028").encode(), text.encode("latin-1", errors="replace"),
        )
    )  # fmt: skip


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _truncate, _doubled, _cut, _swapped, _length, _noise, _inserted, _token,
)  # fmt: skip


def _cells(content: bytes, dice: random.Random) -> bytes:
    lines = content.decode(errors="replace").splitlines()
    at = dice.randrange(len(lines))
    cells = lines[at].split(",")
    place = dice.randrange(len(cells))
    way = dice.randrange(6)
    if way < 3:
        cells[place] = dice.choice(NASTY_TEXT)
    elif way == 3:
        del cells[place]
    elif way == 4:
        cells.insert(place, cells[dice.randrange(len(cells))])
    else:  # a whole column
        bad = dice.choice(NASTY_TEXT[:-10])
        lines = [
            ",".join(bad if i == place and n else c for i, c in enumerate(line.split(",")))
            for n, line in enumerate(lines)
        ]
        return "\n".join(lines).encode(errors="replace")
    lines[at] = ",".join(cells)
    return "\n".join(lines).encode(errors="surrogatepass")


def _spots(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value[:50]) if isinstance(value, list) else ()
    return [place, *(spot for key, each in inside for spot in _spots(each, (*place, key)))]


def changed(value: Any, dice: random.Random) -> Any:
    """A JSON value with one part of another kind, lost, added or called otherwise."""
    spots = _spots(value)
    spot = dice.choice(spots)
    if not spot:
        return dice.choice(NASTY_VALUES) if dice.random() < 0.2 or len(spots) == 1 else changed(value, dice)
    value = json.loads(json.dumps(value))
    inside = value
    for step in spot[:-1]:
        inside = inside[step]
    way = dice.randrange(5)
    if way < 3:
        other = inside[spot[-1]]
        near: list[Any] = (
            [other * 2, -other, other + 1, float(other), str(other)] if type(other) in (int, float) else []
        )
        near += [other + "x", other[:-1], [other], other.upper()] if isinstance(other, str) else []
        near += [other[:-1], other * 2, other[::-1]] if isinstance(other, list) else []
        inside[spot[-1]] = dice.choice(near) if near and dice.random() < 0.4 else dice.choice(NASTY_VALUES)
    elif way == 3:
        del inside[spot[-1]]
    elif isinstance(inside, dict):
        inside[dice.choice(("a", "", "\ud800", "\x00", "name", "id", "é"))] = dice.choice(NASTY_VALUES)
    else:
        inside.append(dice.choice(NASTY_VALUES))
    return value


def _written(value: Any) -> bytes:
    return json.dumps(value).encode()


def _json_part(content: bytes, dice: random.Random) -> bytes:
    return _written(changed(json.loads(content), dice))


def _json_raw(content: bytes, dice: random.Random) -> bytes:
    """A value of the text replaced by one that Python's JSON would not write."""
    mark = '"@@@"'
    value = json.loads(content)
    spots = [spot for spot in _spots(value) if spot]
    if not spots:
        return dice.choice(NASTY_JSON)
    inside, spot = value, dice.choice(spots)
    for step in spot[:-1]:
        inside = inside[step]
    inside[spot[-1]] = "@@@"
    return _written(value).replace(mark.encode(), dice.choice(NASTY_JSON))


def _jsonl(way: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
    def spoilt(content: bytes, dice: random.Random) -> bytes:
        lines = content.rstrip(b"\n").split(b"\n")
        at = dice.randrange(len(lines))
        lines[at] = way(lines[at], dice)
        return b"\n".join(lines) + b"\n"

    return spoilt


def _yaml_part(content: bytes, dice: random.Random) -> bytes:
    import yaml

    spoilt = changed(yaml.safe_load(content), dice)
    try:
        return yaml.safe_dump(spoilt, sort_keys=False, allow_unicode=True).encode(errors="surrogatepass")
    except Exception:  # PyYAML cannot write what it is given
        return _written(spoilt)


def _yaml_added(content: bytes, dice: random.Random) -> bytes:
    piece = dice.choice(NASTY_YAML)
    if dice.random() < 0.2:
        return piece
    if dice.random() < 0.5:
        return content + piece
    # in place of a value
    found = list(re.finditer(rb": [^\n{\[]+\n", content))
    if not found:
        return content + piece
    at = dice.choice(found)
    value = piece.partition(b"z: ")[2] or b"&a [*a]\n"
    return content[: at.start() + 2] + value + content[at.end() :]


def _zipped(content: bytes, dice: random.Random) -> bytes:
    """An archive with one member spoilt, doubled, renamed, lost or called larger than it is."""
    with zipfile.ZipFile(io.BytesIO(content)) as read:
        members = [(each, read.read(each)) for each in read.infolist()]
    at = dice.randrange(len(members))
    out = io.BytesIO()
    way = dice.randrange(6)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for number, (about, inside) in enumerate(members):
            name = about.filename
            if number == at:
                if way == 0:
                    continue
                if way == 1:
                    name = dice.choice(("../x", "/x", "a" * 300, "x.npy", "header.json", "é", "data.pkl"))
                if way == 2:
                    inside = b"0" * dice.choice((0, 10**6, 3 * 10**7))
                if way == 3:
                    inside = _json_part(inside, dice) if inside[:1] == b"{" else _bytes(inside, dice)
                if way == 4:
                    inside = _json_raw(inside, dice) if inside[:1] == b"{" else _shaped(inside, dice)
            written.writestr(name, inside, dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
            if number == at and way == 5:
                import warnings

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    written.writestr(name, _bytes(inside, dice))
    return out.getvalue()


def _shaped(inside: bytes, dice: random.Random) -> bytes:
    """An .npy whose header announces another shape or type."""
    if inside[:6] != b"\x93NUMPY":
        return _bytes(inside, dice)
    start = 10 if inside[6] == 1 else 12
    length = int.from_bytes(inside[8:start], "little")
    header = inside[start : start + length].decode("latin-1")
    shape = dice.choice(("(1000000000000,)", "(-1,)", "(0,)", "()", "(1000000, 1000000)", "(3,)", "(2, -2)", "(True,)", "('a',)", "(1" + "0" * 30 + ",)", "([],)", "(4294967296, 4294967296)"))  # fmt: skip
    kind = dice.choice(
        (
            "<f8",
            "|O",
            "<U1000000000",
            ">i2",
            "<f4",
            "|b1",
            "<c16",
            "|V8",
            "<M8[ns]",
            "<m8",
            "<U0",
            "|S5",
            "a",
            "",
            "<f2",
            "<u8",
        )
    )
    header = re.sub(r"'shape': [^)]*\)", f"'shape': {shape}", header) if dice.random() < 0.5 else re.sub(r"'descr': '[^']*'", f"'descr': '{kind}'", header)  # fmt: skip
    spoilt = header.encode("latin-1")
    return inside[:8] + len(spoilt).to_bytes(start - 8, "little") + spoilt + inside[start + length :]


def _tensors(content: bytes, dice: random.Random) -> bytes:
    """A safetensors file with another header."""
    length = int.from_bytes(content[:8], "little")
    header, body = content[8 : 8 + length], content[8 + length :]
    way = dice.randrange(6)
    if way == 0:
        return struct.pack("<Q", dice.choice(LENGTHS)) + header + body
    if way == 1:
        return content[: 8 + length] + _bytes(body, dice)
    if way == 2:
        spoilt = _json_raw(header, dice)
    elif way == 3:
        spoilt = _offsets(header, dice)
    else:
        value = changed(json.loads(header), dice)
        spoilt = _written(value)
    spoilt += b" " * (-len(spoilt) % 8)
    return struct.pack("<Q", len(spoilt)) + spoilt + body


def _offsets(header: bytes, dice: random.Random) -> bytes:
    value = json.loads(header)
    name = dice.choice([each for each in value if each != "__metadata__"])
    first, last = value[name]["data_offsets"]
    value[name]["data_offsets"] = dice.choice(([0, last], [last, first], [-1, last], [first, 2**63], [first, 2**64], [first, first], [first + 1, last + 1]))  # fmt: skip
    if dice.random() < 0.5:
        value[name]["shape"] = dice.choice(([2**32, 2**32], [], [0], [10**12], [-1], [value[name]["shape"]], [1] * 70))
    if dice.random() < 0.3:
        value[name]["dtype"] = dice.choice(("I8", "BF16", "F64", "U64", "BOOL", "F8_E4M3", "X", "C64", "F4"))
    return _written(value)


def _retyped(content: bytes, dice: random.Random) -> bytes:
    """The same bytes called another type of the same width."""
    return re.sub(rb'"F32"', dice.choice((b'"I32"', b'"U32"', b'"F16"', b'"F64"')), content, count=dice.choice((0, 1)))


def _gz(content: bytes, dice: random.Random) -> bytes:
    inside = gzip.decompress(content)
    way = dice.randrange(4)
    if way == 0:
        return gzip.compress(_cells(inside, dice))
    if way == 1:
        return gzip.compress(_bytes(inside, dice)) + dice.randbytes(dice.choice((0, 8)))
    if way == 2:
        return BOMBS[dice.randrange(len(BOMBS))](inside)
    return content + content


def _bomb(piece: bytes, size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(piece * (2**20 // len(piece))) for _ in range(size)]
    return b"".join([*parts, packer.flush()])


_made: dict[str, bytes] = {}


def _kept(name: str, piece: bytes, size: int) -> bytes:
    if name not in _made:
        _made[name] = _bomb(piece, size)
    return _made[name]


BOMBS: tuple[Callable[[bytes], bytes], ...] = (
    lambda inside: gzip.compress(inside) + _kept("one line", b"0", 200),
    lambda inside: gzip.compress(inside) + _kept("rows", b"1,2,3,a\n", 100),
    lambda inside: _kept("one line", b"0", 200),
    lambda inside: _kept("blank lines", b"\n", 100),
)


def _image(content: bytes, dice: random.Random) -> bytes:
    """A PNG or JPEG of other sides, chunks in another order, or text that expands."""
    if content[:4] == b"\x89PNG":
        chunks = _chunks(content)
        at = dice.randrange(len(chunks))
        way = dice.randrange(5)
        if way == 0:
            sides = [dice.choice((0, 1, 8, 60_000, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
            chunks[0] = (b"IHDR", struct.pack(">II", *sides) + chunks[0][1][8:])
        elif way == 1:
            kind = bytes(
                (
                    dice.choice((1, 2, 4, 8, 16, 3)),
                    dice.choice((0, 2, 3, 4, 6, 7)),
                    dice.choice((0, 1)),
                    0,
                    dice.choice((0, 1, 2)),
                )
            )
            chunks[0] = (b"IHDR", chunks[0][1][:8] + kind)
        elif way == 2:
            chunks.insert(1, (b"zTXt", b"k\0\0" + zlib.compress(b"0" * 10**8, 9)))
        elif way == 3:
            del chunks[at]
        else:
            chunks.insert(
                at,
                (
                    dice.choice(
                        (b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"gAMA", b"pHYs", b"iTXt", b"cHRM")
                    ),
                    dice.randbytes(dice.choice((0, 1, 9, 26))),
                ),
            )
        return content[:8] + b"".join(struct.pack(">I", len(each)) + name + each + struct.pack(">I", zlib.crc32(name + each)) for name, each in chunks)  # fmt: skip
    at = content.find(b"\xff\xc0")
    if at >= 0 and dice.random() < 0.6:
        sides = struct.pack(">HH", *[dice.choice((0, 1, 65_535, 65_500, 8)) for _ in range(2)])
        return content[: at + 5] + sides + content[at + 9 :]
    return dice.choice((b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", b"P6 99999999 99999999 255\n", b"GIF89a\xff\xff\xff\xff", b"BM" + b"\xff" * 60, b"II*\0" + b"\xff" * 40, b"P5 -1 8 255\n", b"RIFF\0\0\0\0WEBPVP8 "))  # fmt: skip


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _rows_of_text(content: bytes, dice: random.Random) -> bytes:
    return dice.choice((_lines, _whole, _token))(content, dice)


WAYS: dict[str, tuple[Callable[[bytes, random.Random], bytes], ...]] = {
    "text": (_rows_of_text,),
    "csv": (_cells, _cells, _rows_of_text),
    "json": (_json_part, _json_part, _json_raw, _whole),
    "jsonl": (_jsonl(_json_part), _jsonl(_json_part), _jsonl(_json_raw), _rows_of_text),
    "yaml": (_yaml_part, _yaml_part, _yaml_added, _rows_of_text),
    "zip": (_zipped,),
    "safetensors": (_tensors, _tensors, _tensors, _retyped),
    "gz": (_gz,),
    "image": (_image,),
}
