"""What a record of each published set means: which question, which candidates, which text, and what hangs together."""

from collections.abc import Sequence

from surefoot.errors import InputError
from surefoot.rows.published.items import Comparison, Item, Question, Statement
from surefoot.rows.published.records import Record

__all__ = [
    "DIGITS",
    "NONE_OF_THEM",
    "TRUTH",
    "read_amazon",
    "read_boolq",
    "read_cosmos",
    "read_hellaswag",
    "read_openbookqa",
    "read_openbookqa_of_hub",
    "read_paws",
    "read_piqa",
    "read_preference",
    "read_quartz",
    "read_quartz_of_hub",
    "read_sciq",
    "read_sentence",
    "read_social_i_qa",
    "read_wic",
]

NONE_OF_THEM = "None of the above choices ."
"""A candidate of `cosmos_qa` that means nothing where the others are not shown."""
TURN = "\n\nAssistant:"
"""What stands before an answer in a dialogue of `anthropic_hh`."""
TRUTH = ("false", "true")
DIGITS = ("0", "1")


def read_sciq(record: Record, *, support: bool) -> Item:
    """A question of science; its passage stands before it with `support`, where there is one.

    >>> values = {"question": "Hottest star?", "support": "", "correct_answer": "O", "distractor1": "B"}
    >>> read_sciq(Record({**values, "distractor2": "A", "distractor3": "F"}, "record 1"), support=True).before
    'Q: Hottest star? A: '
    """
    question, passage = record.text("question"), record.text("support")
    right = record.text("correct_answer")
    wrong = [record.text(f"distractor{number}") for number in (1, 2, 3)]
    shown = f"Passage: {passage}\n" if support and passage else ""
    about = (question, passage) if passage else (question,)
    return Question(question, f"{shown}Q: {question} A: ", (right, *wrong), 0, about)


def read_boolq(record: Record) -> Item:
    """A passage and a question about it whose answer is yes or no.

    >>> read_boolq(Record({"question": "is it wet", "passage": "It rained.", "answer": True}, "line 1"))
    Statement(text='Passage: It rained.\\nQuestion: is it wet', label=1, about=('is it wet', 'It rained.'))
    """
    question, passage = record.text("question"), record.text("passage")
    return Statement(f"Passage: {passage}\nQuestion: {question}", record.label("answer", TRUTH), (question, passage))


def read_amazon(record: Record, *, labels: Sequence[str]) -> Item:
    """A review with its title; `labels` are how negative and positive are written.

    >>> read_amazon(Record({"label": "2", "title": "Good", "content": "It works."}, "line 1"), labels=("1", "2"))
    Statement(text='Good It works.', label=1, about=())
    """
    return Statement(f"{record.text('title')} {record.text('content')}", record.label("label", labels), ())


def read_cosmos(record: Record) -> Item:
    """A question about a passage. Questions are asked of many passages: a passage alone is what rows share."""
    context, question = record.text("context"), record.text("question")
    candidates = tuple(record.text(f"answer{number}") for number in range(4))
    right = record.label("label", ("0", "1", "2", "3"))
    before = f"Context: {context}\nQuestion: {question}\nAnswer: "
    return Question(question, before, candidates, right, (context,), showable=NONE_OF_THEM not in candidates[right])


def read_preference(record: Record) -> Item:
    """Two dialogues with one opening, which is what their rows share: parts of a dialogue may be rows of their own.

    >>> pair = {"chosen": "\\n\\nHuman: Hi\\n\\nAssistant: Hello", "rejected": "\\n\\nHuman: Hi\\n\\nAssistant: What"}
    >>> read_preference(Record(pair, "line 1")).about
    ('\\n\\nHuman: Hi',)
    """
    chosen, rejected = record.text("chosen"), record.text("rejected")
    opening = chosen.partition(TURN)[0]
    return Comparison(chosen, rejected, (opening,) if opening else ())


def read_sentence(record: Record) -> Item:
    """A sentence and its label."""
    return Statement(record.text("sentence"), record.label("label", DIGITS), ())


def read_paws(record: Record) -> Item:
    """Two sentences of nearly the same words: do they mean the same? Rows that have one of them hang together."""
    one, other = record.text("sentence1"), record.text("sentence2")
    asked = "Are these sentences semantically equivalent?"
    return Statement(f"Sent 1: {one}\nSent 2: {other}\n\nQ: {asked}", record.label("label", DIGITS), (one, other))


def read_wic(record: Record, *, labels: Sequence[str]) -> Item:
    """A word in two sentences: does it mean the same in both? `labels` are how no and yes are written."""
    one, other = record.text("sentence1"), record.text("sentence2")
    asked = f'Does "{record.text("word")}" have the same meaning in the above sentences?'
    text = f"Sentence 1:\n{one}\n\nSentence 2:\n{other}\n\nQ: {asked}"
    return Statement(text, record.label("label", labels), (one, other))


def read_openbookqa(record: Record) -> Item:
    """A question with four candidates, as its authors wrote it."""
    asked = record.inner("question")
    return _by_key(record, asked.text("stem"), *_choices(asked))


def read_openbookqa_of_hub(record: Record) -> Item:
    """The same as the Hub has it: the texts of the candidates are a list, and their keys another."""
    return _by_key(record, record.text("question_stem"), *_choices_of_hub(record))


def read_quartz(record: Record) -> Item:
    """A question about a passage with two candidates, as its authors wrote it."""
    asked = record.inner("question")
    return _by_key(record, asked.text("stem"), *_choices(asked), passage=record.text("para"))


def read_quartz_of_hub(record: Record) -> Item:
    """The same as the Hub has it."""
    return _by_key(record, record.text("question"), *_choices_of_hub(record), passage=record.text("para"))


def read_piqa(record: Record) -> Item:
    """A goal, and two ways to reach it."""
    goal, candidates = record.text("goal"), (record.text("sol1"), record.text("sol2"))
    return Question(goal, f"Q: {goal} A: ", candidates, record.label("label", DIGITS), (goal,))


def read_hellaswag(record: Record) -> Item:
    """The beginning of a story with four endings; rows of one film or article hang together."""
    context, endings = record.text("ctx"), record.texts("endings")
    right = record.label("label", [str(number) for number in range(len(endings))])
    before = f"Context: {context}\nContinuation: "
    return Question(context, before, endings, right, (context, record.text("source_id")))


def read_social_i_qa(record: Record) -> Item:
    """A question about what somebody did, with three candidates that are counted from 1."""
    context, question = record.text("context"), record.text("question")
    candidates = tuple(record.text(f"answer{letter}") for letter in "ABC")
    before = f"Context: {context}\nQ: {question} A: "
    return Question(question, before, candidates, record.label("label", ("1", "2", "3")), (context,))


def _choices(asked: Record) -> tuple[list[str], list[str]]:
    """The words of each candidate, and its key."""
    choices = asked.inners("choices")
    return [each.text("text") for each in choices], [each.text("label") for each in choices]


def _choices_of_hub(record: Record) -> tuple[list[str], list[str]]:
    choices = record.inner("choices")
    texts, keys = choices.texts("text"), choices.texts("label")
    if len(texts) != len(keys):
        raise InputError(f"{len(texts)} texts and {len(keys)} labels are the {choices.where}; expected one for each.")
    return [*texts], [*keys]


def _by_key(record: Record, question: str, texts: Sequence[str], keys: Sequence[str], passage: str = "") -> Item:
    about = (question, passage) if passage else (question,)
    before = f"Passage: {passage}\nQ: {question} A: " if passage else f"Q: {question} A: "
    return Question(question, before, tuple(texts), record.label("answerKey", keys), about)
