"""Evidences of the peer on a network without training: what tests/evidence/laplace compares with.

OMP_NUM_THREADS=1 bench/.venv-laplace/bin/python bench/races/laplace/constants.py
"""

import json

import torch
from laplace import Laplace
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.set_default_dtype(torch.float64)
    inputs = torch.arange(40.0).mul(0.7).sin().reshape(10, 4)
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    with torch.no_grad():
        for place, tensor in enumerate(module.parameters()):
            tensor.copy_((torch.arange(tensor.numel()) + place).mul(1.3).sin().reshape(tensor.shape))
    told = {}
    for task, targets in {
        "classification": torch.arange(10) % 3,
        "regression": torch.arange(30.0).mul(0.9).cos().reshape(10, 3),
    }.items():
        loader = DataLoader(TensorDataset(inputs, targets), batch_size=4)
        for part in ("all", "last_layer"):
            for structure in ("full", "kron", "diag"):
                fitted = Laplace(module, task, subset_of_weights=part, hessian_structure=structure)
                fitted.fit(loader)
                noise = {"sigma_noise": torch.tensor(0.5)} if task == "regression" else {}
                value = fitted.log_marginal_likelihood(torch.tensor([2.0]), **noise)
                told[f"{task} {part} {structure}"] = value.item()
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
