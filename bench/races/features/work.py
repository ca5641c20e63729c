"""The same rows for both sides: texts of mixed length, and images of noise."""

from typing import Any

import numpy as np

SENTENCES = (
    "the a bird flew over water land while people watched from far near old trees and then it rained for hours so "
    "nobody came back to see whether boats had left harbour before night fell on quiet streets of that small town"
)
WORDS = SENTENCES.split()


def texts(parameters: dict[str, Any]) -> list[str]:
    """Lengths in words are log-normal, median 20: most are short, a few run to hundreds. spread 0: all are 20."""
    generator = np.random.default_rng(parameters["seed"])
    lengths = np.clip(
        np.exp(generator.normal(np.log(20.5), parameters.get("spread", 0.8), parameters["rows"])).astype(int), 3, 240
    )
    return [" ".join(generator.choice(WORDS, length)) for length in lengths]


def images(parameters: dict[str, Any]) -> np.ndarray:
    """Prepared pixels, so that the race is about the network and not about decoding."""
    generator = np.random.default_rng(parameters["seed"])
    return generator.normal(size=(parameters["rows"], 3, 224, 224)).astype(np.float32)
