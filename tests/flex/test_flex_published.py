"""Files in big_vision's layout, written here name by name, against the equations in numpy on the file's own arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.flex.published import read_published
from surefoot.networks.flexible import FlexibleViT, at_patch
from surefoot.networks.network import forward

WIDTH, HEADS, DEPTH, HIDDEN, CLASSES, SIDE, BUFFER = 12, 3, 2, 48, 5, 4, 8

Arrays = dict[str, np.ndarray]


def file_of(*, token: bool = True) -> Arrays:
    generator = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return generator.normal(0, 0.4, shape).astype(np.float32)

    arrays: Arrays = {
        "embedding/kernel": draw(BUFFER, BUFFER, 3, WIDTH),
        "embedding/bias": draw(WIDTH),
        "pos_embedding": draw(1, SIDE * SIDE, WIDTH),
        "Transformer/encoder_norm/scale": 1 + draw(WIDTH),
        "Transformer/encoder_norm/bias": draw(WIDTH),
        "head/kernel": draw(WIDTH, CLASSES),
        "head/bias": draw(CLASSES),
    }
    if token:
        arrays["cls"] = draw(1, 1, WIDTH)
    each = WIDTH // HEADS
    for block in range(DEPTH):
        place = f"Transformer/encoderblock_{block}"
        for norm in ("LayerNorm_0", "LayerNorm_1"):
            arrays[f"{place}/{norm}/scale"], arrays[f"{place}/{norm}/bias"] = 1 + draw(WIDTH), draw(WIDTH)
        for word in ("query", "key", "value"):
            arrays[f"{place}/MultiHeadDotProductAttention_0/{word}/kernel"] = draw(WIDTH, HEADS, each)
            arrays[f"{place}/MultiHeadDotProductAttention_0/{word}/bias"] = draw(HEADS, each)
        arrays[f"{place}/MultiHeadDotProductAttention_0/out/kernel"] = draw(HEADS, each, WIDTH)
        arrays[f"{place}/MultiHeadDotProductAttention_0/out/bias"] = draw(WIDTH)
        arrays[f"{place}/MlpBlock_0/Dense_0/kernel"] = draw(WIDTH, HIDDEN)
        arrays[f"{place}/MlpBlock_0/Dense_0/bias"] = draw(HIDDEN)
        arrays[f"{place}/MlpBlock_0/Dense_1/kernel"] = draw(HIDDEN, WIDTH)
        arrays[f"{place}/MlpBlock_0/Dense_1/bias"] = draw(WIDTH)
    return arrays


def written(folder: Path, arrays: Arrays, prefix: str = "") -> Path:
    path = folder / "model.npz"
    np.savez(path, **{f"{prefix}{name}": array for name, array in arrays.items()})  # type: ignore[arg-type]
    return path


def images(rows: int = 2) -> np.ndarray:
    """With channels last, as that code has them."""
    return np.random.default_rng(1).normal(size=(rows, SIDE * BUFFER, SIDE * BUFFER, 3)).astype(np.float32)


def by_equations(arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
    """Logits as the published code computes them at the file's own sizes, in float64."""
    held = {name: array.astype(np.float64) for name, array in arrays.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * held[f"{name}/scale"]
            + held[f"{name}/bias"]
        )

    pieces = inputs.astype(np.float64).reshape(len(inputs), SIDE, BUFFER, SIDE, BUFFER, 3)
    x = np.einsum("napbqc,pqcd->nabd", pieces, held["embedding/kernel"]).reshape(len(inputs), SIDE * SIDE, WIDTH)
    x = x + held["embedding/bias"] + held["pos_embedding"]
    if "cls" in held:
        x = np.concatenate([np.tile(held["cls"], (len(inputs), 1, 1)), x], axis=1)
    for block in range(DEPTH):
        place = f"Transformer/encoderblock_{block}"
        inside = f"{place}/MultiHeadDotProductAttention_0"
        y = norm(x, f"{place}/LayerNorm_0")
        query, key, value = (
            np.einsum("nld,dhk->nhlk", y, held[f"{inside}/{word}/kernel"])
            + held[f"{inside}/{word}/bias"][None, :, None]
            for word in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 1, 3, 2) / np.sqrt(query.shape[-1]))
        seen = scores / scores.sum(-1, keepdims=True) @ value
        x = x + np.einsum("nhlk,hkd->nld", seen, held[f"{inside}/out/kernel"]) + held[f"{inside}/out/bias"]
        y = norm(x, f"{place}/LayerNorm_1") @ held[f"{place}/MlpBlock_0/Dense_0/kernel"]
        y = y + held[f"{place}/MlpBlock_0/Dense_0/bias"]
        y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        x = x + y @ held[f"{place}/MlpBlock_0/Dense_1/kernel"] + held[f"{place}/MlpBlock_0/Dense_1/bias"]
    x = norm(x, "Transformer/encoder_norm")
    pooled = x[:, 0] if "cls" in held else x.mean(1)
    return pooled @ held["head/kernel"] + held["head/bias"]


@pytest.mark.parametrize("prefix", ["", "params/", "opt/target/"])
@pytest.mark.parametrize("token", [True, False])
def test_a_file_says_what_its_equations_say(tmp_path: Path, prefix: str, token: bool) -> None:
    arrays = file_of(token=token)
    read = read_published(written(tmp_path, arrays, prefix), (32, 32), (8, 8))
    inputs = torch.from_numpy(images()).permute(0, 3, 1, 2).contiguous()
    said = forward(read.network, read.parameters, inputs)
    torch.testing.assert_close(said, torch.from_numpy(by_equations(arrays, images())).float(), atol=2e-5, rtol=2e-5)
    module = read.network.module
    assert isinstance(module, FlexibleViT)
    assert (module.shape.buffer, module.shape.grid, module.shape.heads) == ((8, 8), (4, 4), 3)
    assert module.shape.pool == ("token" if token else "mean")
    torch.testing.assert_close(module(inputs), said)
    other = read_published(tmp_path / "model.npz", (32, 32), (16, 16))
    torch.testing.assert_close(other.network.module(inputs), at_patch(read.network, 16).module(inputs))


def test_older_files_say_the_same(tmp_path: Path) -> None:
    """With the class token's position as the first of the table, in either place that the table has had."""
    arrays = file_of()
    expected = torch.from_numpy(by_equations(arrays, images())).float()
    inputs = torch.from_numpy(images()).permute(0, 3, 1, 2).contiguous()
    shift = np.linspace(-1, 1, WIDTH).astype(np.float32)
    older = {name: array for name, array in arrays.items() if name != "pos_embedding"}
    older["cls"] = arrays["cls"] - shift
    table = np.concatenate([shift[None, None], arrays["pos_embedding"]], axis=1)
    for place in ("Transformer/posembed_input/pos_embedding", "Transformer/pos_embedding", "pos_embedding"):
        read = read_published(written(tmp_path, {**older, place: table}), (32, 32), (8, 8))
        torch.testing.assert_close(forward(read.network, read.parameters, inputs), expected, atol=2e-5, rtol=2e-5)


def test_stacked_blocks_say_the_same(tmp_path: Path) -> None:
    arrays = file_of()
    first = "Transformer/encoderblock_0"
    stacked = {name: array for name, array in arrays.items() if "encoderblock_" not in name}
    for name in arrays:
        if name.startswith(first):
            every = [arrays[name.replace("_0/", f"_{block}/", 1)] for block in range(DEPTH)]
            stacked[name.replace("encoderblock_0", "encoderblock")] = np.stack(every)
    read = read_published(written(tmp_path, stacked, "params/"), (32, 32), (8, 8))
    plain = read_published(written(tmp_path, arrays), (32, 32), (8, 8))
    assert all(torch.equal(tensor, plain.parameters[name]) for name, tensor in read.parameters.items())


def test_files_that_differ_say_where(tmp_path: Path) -> None:
    arrays = file_of()
    lacking = {name: array for name, array in arrays.items() if name != "Transformer/encoderblock_1/LayerNorm_1/scale"}
    with pytest.raises(InputError, match="it lacks Transformer/encoderblock_1/LayerNorm_1/scale"):
        read_published(written(tmp_path, lacking), (32, 32), (8, 8))
    with pytest.raises(InputError, match="it has MAPHead_0/probe, which such a transformer has not"):
        read_published(written(tmp_path, {**arrays, "MAPHead_0/probe": np.zeros((1, 1, 12))}), (32, 32), (8, 8))
    narrow = {**arrays, "Transformer/encoderblock_1/MlpBlock_0/Dense_0/kernel": np.zeros((WIDTH, 24), np.float32),
              "Transformer/encoderblock_1/MlpBlock_0/Dense_0/bias": np.zeros(24, np.float32)}  # fmt: skip
    with pytest.raises(InputError, match=r"blocks\.1\.expand\.weight \(24, 12\) in place of \(48, 12\)"):
        read_published(written(tmp_path, narrow), (32, 32), (8, 8))
    with pytest.raises(InputError, match="15 positions"):
        read_published(
            written(tmp_path, {**arrays, "pos_embedding": np.zeros((1, 15, 12), np.float32)}), (32, 32), (8, 8)
        )
    with pytest.raises(InputError, match="has no embedding/kernel"):
        read_published(written(tmp_path, {"weights": np.zeros(3)}), (32, 32), (8, 8))
    with pytest.raises(InputError, match="does not divide"):
        read_published(written(tmp_path, arrays), (32, 32), (7, 7))
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(InputError, match=r"text\.npz is not a readable npz file"):
        read_published(tmp_path / "text.npz", (32, 32), (8, 8))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, **{"embedding/kernel": np.array([{"a": 1}], dtype=object)}, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="pickled Python objects, which are never loaded"):
        read_published(path, (32, 32), (8, 8))
