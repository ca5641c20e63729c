"""surefoot: find where a trained model fails, repair it, and decide on evidence whether it may ship.

scikit-learn    `surefoot.sklearn`: repairs as classifiers, the worst group as metric and scorer, a card from arrays
files, tensors  `surefoot.rows`: rows, groups and roles; `surefoot.hub`: features of pretrained models
repairs         `surefoot.robust`: DFR, AFR, group DRO and the others; `surefoot.robust.methods` lists them
cards           `surefoot.card`: claims, verdicts and pages; `surefoot.findings`: the numbers with their intervals
studies         `surefoot.study`, and the command `surefoot`

What is wanted most is here by name (`dir(surefoot)`) and is imported when it is first asked for, so that
`import surefoot` stays instant. `docs/design.md` draws the whole house.

>>> from surefoot import worst_group_accuracy
>>> worst_group_accuracy(["cat", "cat", "dog"], ["cat", "dog", "dog"], groups=["in", "out", "in"])
0.0
"""

__version__ = "0.1.0"
__all__ = ["__version__"]

WHERE = {
    "AFRClassifier": "surefoot.sklearn",
    "DFRClassifier": "surefoot.sklearn",
    "GroupDROClassifier": "surefoot.sklearn",
    "card_of": "surefoot.sklearn",
    "worst_group_accuracy": "surefoot.sklearn",
    "worst_group_scorer": "surefoot.sklearn",
    "Card": "surefoot.card.card",
    "InputError": "surefoot.errors",
    "cross_groups": "surefoot.rows.rows",
    "make_rows": "surefoot.rows.rows",
}
ROOMS = ("card", "findings", "hub", "robust", "rows", "sklearn", "study")


def __getattr__(name: str):  # its type is inferred: importing typing would take longer than everything else here
    if name not in WHERE and name not in ROOMS:
        raise AttributeError(f"module 'surefoot' has no attribute {name!r}; it has {', '.join(__dir__())}")
    from importlib import import_module

    module = import_module(f"surefoot.{name}" if name in ROOMS else WHERE[name])
    return globals()[name] if name in ROOMS else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*__all__, *WHERE, *ROOMS])
