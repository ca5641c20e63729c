# pyright: basic, reportMissingImports=false
"""What the entry point `inspect_ai` names: importing it registers our tasks and our provider.

Inspect imports it whenever it looks for a name that it does not know, so nothing of surefoot is imported here that
takes time.
"""

from surefoot.inspect.extension.policies import SurefootModel, inspect_model
from surefoot.inspect.extension.tasks import NAMES

__all__ = ["NAMES", "SurefootModel", "inspect_model"]
