"""The sets of questions and texts that research on weak supervisors uses, in the forms in which they were published.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4.1, who made two classes of every set: a question is
shown with one candidate, and is it the right one? Texts are those of the authors' program for sciq, boolq,
amazon_polarity and cosmos_qa. Other sets with candidates are shown as the paper says: what the question is about, the
question, and one candidate. (Programs that list all candidates beside it pose another question; one that shows the
letter of the right candidate and the words of a wrong one poses none.)

| set | authors |
|---|---|
| sciq | Welbl, Liu and Gardner (2017) |
| boolq | Clark et al. (2019) |
| amazon_polarity | Zhang, Zhao and LeCun (2015), after McAuley and Leskovec (2013) |
| cosmos_qa | Huang et al. (2019) |
| anthropic_hh | Bai et al. (2022) |
| sst2, cola | Socher et al. (2013), Warstadt et al. (2018), as in GLUE |
| paws | Zhang, Baldridge and He (2019) |
| wic | Pilehvar and Camacho-Collados (2019), as in SuperGLUE |
| openbookqa | Mihaylov et al. (2018) |
| piqa | Bisk et al. (2020) |
| hellaswag | Zellers et al. (2019) |
| social_i_qa | Sap et al. (2019) |
| quartz | Tafjord et al. (2019) |
"""

from collections.abc import Mapping
from functools import partial

from surefoot.rows.published.forms import Form, TextSet
from surefoot.rows.published.rows import Layout
from surefoot.rows.published.text_items import (
    DIGITS,
    NONE_OF_THEM,
    TRUTH,
    read_amazon,
    read_boolq,
    read_cosmos,
    read_hellaswag,
    read_openbookqa,
    read_openbookqa_of_hub,
    read_paws,
    read_piqa,
    read_preference,
    read_quartz,
    read_quartz_of_hub,
    read_sciq,
    read_sentence,
    read_social_i_qa,
    read_wic,
)

__all__ = ["TEXT_SETS"]

ANSWERS = ("incorrect", "correct")
ONE_CANDIDATE = "Each question is shown with one candidate: the right one with probability ½, else one of the others."
JSON_LINES = {"train": ("train.jsonl",), "val": ("dev.jsonl",), "test": ("test.jsonl",)}


def _sciq_set(layout: Layout, *, support: bool) -> TextSet:
    parse = partial(read_sciq, support=support)
    return TextSet(
        layout,
        ANSWERS,
        {"train": 11_679, "val": 1_000, "test": 1_000},
        (Form({"train": ("train.json",), "val": ("valid.json",), "test": ("test.json",)}, parse),),
        parse,
        (ONE_CANDIDATE,),
        places=("SciQ dataset-2 3",),
    )


def _from_glue(layout: Layout, classes: tuple[str, str], counts: Mapping[str, int], form: Form, *told: str) -> TextSet:
    place = {"sst2": "SST-2", "cola": "CoLA"}
    return TextSet(layout, classes, counts, (form,), read_sentence, told, (place[layout], layout), hidden=True)


TEXT_SETS: Mapping[Layout, TextSet] = {
    each.layout: each
    for each in (
        _sciq_set("sciq", support=False),
        _sciq_set("sciq_with_support", support=True),
        TextSet(
            "boolq",
            ("no", "yes"),
            {"train": 9_427, "test": 3_270},
            (Form({"train": ("train.jsonl",), "test": ("dev.jsonl",)}, read_boolq),),
            read_boolq,
            (),
            hidden=True,
        ),
        TextSet(
            "amazon_polarity",
            ("negative", "positive"),
            {"train": 3_600_000, "test": 400_000},
            (
                Form(
                    {"train": ("train.csv", "train.csv.gz"), "test": ("test.csv", "test.csv.gz")},
                    partial(read_amazon, labels=("1", "2")),
                    columns=("label", "title", "content"),
                ),
            ),
            partial(read_amazon, labels=DIGITS),
            (),
            places=("amazon_review_polarity_csv", "amazon_polarity"),
        ),
        TextSet(
            "cosmos_qa",
            ANSWERS,
            {"train": 25_262, "test": 2_985},
            (Form({"train": ("train.csv", "train.jsonl"), "test": ("valid.csv", "valid.jsonl")}, read_cosmos),),
            read_cosmos,
            (
                ONE_CANDIDATE,
                f'Where "{NONE_OF_THEM}" is right, a wrong one is shown always: fewer than half are correct.',
            ),
            hidden=True,
        ),
        TextSet(
            "anthropic_hh",
            ("first", "second"),
            {"train": 160_800, "test": 8_552},
            (Form({split: (f"{split}.jsonl", f"{split}.jsonl.gz") for split in ("train", "test")}, read_preference),),
            None,
            (
                "Each row is two dialogues in an order that is drawn; the class is the one that was preferred. (Where "
                "one of them is shown alone, preferred or not, published models stayed at chance.)",
            ),
            subsets=True,
        ),
        _from_glue(
            "sst2",
            ("negative", "positive"),
            {"train": 67_349, "test": 872},
            Form({"train": ("train.tsv",), "test": ("dev.tsv",)}, read_sentence),
            "Rows of train are phrases; which of them are of one sentence was not published.",
        ),
        _from_glue(
            "cola",
            ("unacceptable", "acceptable"),
            {"train": 8_551, "test": 1_043},
            Form(
                {"train": ("train.tsv",), "test": ("dev.tsv",)}, read_sentence, ("source", "label", "mark", "sentence")
            ),
        ),
        TextSet(
            "paws",
            ("different", "equivalent"),
            {"train": 49_401, "val": 8_000, "test": 8_000},
            (Form({"train": ("train.tsv",), "val": ("dev.tsv",), "test": ("test.tsv",)}, read_paws),),
            read_paws,
            (),
            places=("final", "labeled_final"),
        ),
        TextSet(
            "wic",
            ("different", "same"),
            {"train": 5_428, "test": 638},
            (Form({"train": ("train.jsonl",), "test": ("val.jsonl",)}, partial(read_wic, labels=TRUTH)),),
            partial(read_wic, labels=DIGITS),
            (),
            places=("WiC", "wic"),
            hidden=True,
        ),
        TextSet(
            "openbookqa",
            ANSWERS,
            {"train": 4_957, "val": 500, "test": 500},
            (Form(JSON_LINES, read_openbookqa),),
            read_openbookqa_of_hub,
            (ONE_CANDIDATE,),
            places=("Main", "Data/Main", "OpenBookQA-V1-Sep2018/Data/Main", "main"),
        ),
        TextSet(
            "piqa",
            ANSWERS,
            {"train": 16_113, "test": 1_838},
            (Form({"train": ("train.jsonl",), "test": ("dev.jsonl", "valid.jsonl")}, read_piqa, labels=True),),
            read_piqa,
            (ONE_CANDIDATE,),
            places=("physicaliqa-train-dev",),
            hidden=True,
        ),
        TextSet(
            "hellaswag",
            ANSWERS,
            {"train": 39_905, "test": 10_042},
            (Form({"train": ("hellaswag_train.jsonl",), "test": ("hellaswag_val.jsonl",)}, read_hellaswag),),
            read_hellaswag,
            (ONE_CANDIDATE,),
            hidden=True,
        ),
        TextSet(
            "social_i_qa",
            ANSWERS,
            {"train": 33_410, "test": 1_954},
            (Form({"train": ("train.jsonl",), "test": ("dev.jsonl",)}, read_social_i_qa, labels=True),),
            read_social_i_qa,
            (ONE_CANDIDATE,),
            places=("socialiqa-train-dev",),
            hidden=True,
        ),
        TextSet(
            "quartz",
            ANSWERS,
            {"train": 2_696, "val": 384, "test": 784},
            (Form(JSON_LINES, read_quartz),),
            read_quartz_of_hub,
            (ONE_CANDIDATE,),
            places=("quartz-dataset-v1-aug2019",),
        ),
    )
}
