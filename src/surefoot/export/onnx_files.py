"""Models as ONNX files: inputs in, logits, probabilities and the number of the largest logit out.

    inputs  float32 [rows, …]  →  logits, probabilities  float32 [rows, classes],  label  int64 [rows]

The names of the classes are the file's metadata, `classes`, as a JSON list in the order of the logits. A head is
written as a graph of a few nodes (opset 17, IR 8, which runtimes since 2022 read), a whole network by torch.
"""

import json
import logging
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.export.heads import check_classes
from surefoot.files import write_atomically
from surefoot.networks.network import Network, Parameters
from surefoot.robust.head import LinearHead

__all__ = ["HEAD_OPSET", "NETWORK_OPSET", "write_head_onnx", "write_network_onnx"]

HEAD_OPSET, HEAD_IR = 17, 8
NETWORK_OPSET = 18
OUTPUTS = ("logits", "probabilities", "label")
NEEDED = "pip install 'surefoot[onnx]'"


def write_head_onnx(head: LinearHead, classes: Sequence[str], path: Path) -> None:
    """A head as an ONNX file that reads features [rows, features].

    It computes in the head's own precision: a head of float64 is cast inside, so that what is fitted on features of
    tiny spread, where single precision would round the order of the logits away, is kept.
    Raises `InputError` when onnx is not installed.
    """
    check_classes(head, classes)
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        raise InputError(f"Writing ONNX needs the package onnx; install it: {NEEDED}.") from None
    double = head.weight.dtype == torch.float64
    count, width = head.weight.shape
    single = TensorProto.FLOAT
    entering, logits = ("wide", "wide_logits") if double else ("inputs", "logits")
    nodes = [
        helper.make_node("Gemm", [entering, "weight", "bias"], [logits], transB=1),
        helper.make_node("Softmax", [logits], ["wide_probabilities" if double else "probabilities"], axis=1),
        helper.make_node("ArgMax", [logits], ["label"], axis=1, keepdims=0),
    ]
    if double:
        nodes = [
            helper.make_node("Cast", ["inputs"], ["wide"], to=TensorProto.DOUBLE),
            *nodes,
            helper.make_node("Cast", ["wide_logits"], ["logits"], to=single),
            helper.make_node("Cast", ["wide_probabilities"], ["probabilities"], to=single),
        ]
    tensors = {"weight": head.weight, "bias": head.bias.to(head.weight.dtype)}
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("inputs", single, ["rows", width])],
        [
            helper.make_tensor_value_info("logits", single, ["rows", count]),
            helper.make_tensor_value_info("probabilities", single, ["rows", count]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
        ],
        [numpy_helper.from_array(tensor.contiguous().numpy(), name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", HEAD_OPSET)], ir_version=HEAD_IR)
    checker.check_model(model, full_check=True)
    _write(model, classes, path)


def write_network_onnx(
    network: Network, parameters: Parameters, classes: Sequence[str], input_shape: Sequence[int], path: Path
) -> None:
    """A whole network as an ONNX file that reads inputs [rows, …], by `torch.onnx` (opset 18).

    input_shape: of one input, without the axis of rows. Raises `InputError` when onnx or onnxscript is not installed,
    and for a network that torch cannot export, or not for every number of rows.
    """
    try:
        import onnx
        import onnxscript  # pyright: ignore[reportUnusedImport]  # torch.onnx needs it and says so late

        del onnxscript
    except ImportError:
        raise InputError(f"Writing a network as ONNX needs onnx and onnxscript; install them: {NEEDED}.") from None
    whole = _Answers(network.module)
    whole.load_state_dict({f"network.{name}": tensor for name, tensor in parameters.items()})
    # Two rows: torch would take an axis of one for a constant.
    example = torch.zeros(2, *input_shape)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it warns of every package that is not installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                whole.eval(),
                (example,),
                dynamo=True,
                input_names=["inputs"],
                output_names=list(OUTPUTS),
                dynamic_shapes={"inputs": {0: torch.export.Dim("rows")}},
                opset_version=NETWORK_OPSET,
                verbose=False,
            )
    except Exception as error:  # a user's network may be beyond the exporter in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"torch cannot write this network as ONNX ({reason}); export it as safetensors.") from error
    finally:
        quiet.setLevel(level)
    if made is None:
        raise InputError("torch wrote no ONNX model of this network; export it as safetensors.")
    model = made.model_proto
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise InputError(
            "torch made a graph of this network that reads two rows and no other number; ask for the number of rows "
            "with x.shape[0], which stays open, where its code has len(x)."
        )
    onnx.checker.check_model(model)
    _write(model, classes, path)


class _Answers(nn.Module):
    """A network with its three answers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.network(inputs)
        return logits, logits.softmax(dim=1), logits.argmax(dim=1)


def _write(model: Any, classes: Sequence[str], path: Path) -> None:
    """Put the names of the classes beside the graph and write the file, whole or not at all."""
    model.producer_name, model.producer_version = "surefoot", version("surefoot")
    entry = model.metadata_props.add()
    entry.key, entry.value = "classes", json.dumps(list(classes), ensure_ascii=False)
    content: bytes = model.SerializeToString()
    write_atomically(path, lambda temporary: _put(temporary, content))


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
