"""Light and colour of images of one channel (grey) or three (red, green, blue)."""

from jaxtyping import Float
from torch import Tensor

__all__ = ["grey", "painted"]

LUMA = (0.299, 0.587, 0.114)
"""How much of the light of a colour is red, green and blue (ITU-R BT.601)."""


def grey(images: Float[Tensor, "rows channels height width"]) -> Float[Tensor, "rows 1 height width"]:
    """The light of each pixel, 0.299 R + 0.587 G + 0.114 B; a grey image itself."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]


def painted(
    amount: Float[Tensor, "rows 1 height width"], channels: int, colour: tuple[float, float, float], dull: float
) -> Float[Tensor, "rows channels height width"]:
    """`amount` of a colour for images of three channels, and of the grey `dull` for those of one."""
    if channels == 1:
        return amount * dull
    return amount * amount.new_tensor(colour)[:, None, None]
