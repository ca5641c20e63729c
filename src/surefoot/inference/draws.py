"""What inference returns: parameter samples (a trained point is one draw), diagnostics, and the rows seen."""

from dataclasses import dataclass

from surefoot.findings.finding import Finding
from surefoot.networks.network import Parameters

__all__ = ["Draws"]


@dataclass(frozen=True)
class Draws:
    """Samples of the parameters, each tensor with a leading draw axis.

    seen: the sources of every row that shaped these draws; a card refuses to judge on them.
    """

    parameters: Parameters
    diagnostics: tuple[Finding, ...]
    seen: frozenset[str]

    def point(self, draw: int = 0) -> Parameters:
        """One draw's parameters, without the draw axis."""
        return {name: tensor[draw] for name, tensor in self.parameters.items()}
