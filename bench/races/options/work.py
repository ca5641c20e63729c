"""The same questions for both sides: short scenes of invented people, a question, and three options in full text.

main      every item has a scene of its own: 60 to 92 tokens, options of 2 to 7
pairs     two questions of each scene, as BBQ asks them
letters   the options stand in the prompt and are chosen by letter: one token each
"""

import random
from typing import Any

NAMES = ("Ada", "Boris", "Clara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kavya", "Luca")
WORKS = (
    "gardener", "baker", "bus driver", "violin teacher", "carpenter", "librarian", "tailor", "night nurse", "painter",
    "fisherman", "bookbinder", "postal clerk",
)  # fmt: skip
PLACES = (
    "at the weekly market", "in front of the town hall", "on the last ferry", "in the waiting room of the dentist",
    "at the opening of the new library", "in the garden behind the school", "at a rehearsal of the choir",
)  # fmt: skip
SUBJECTS = (
    "plans for the summer party", "the repair of the old bridge", "a recipe for plum cake", "the timetable of trains",
    "the new rules of the allotment", "a concert that had been put off",
)  # fmt: skip
DETAILS = (
    "It had been raining since the early morning and the benches were still wet.",
    "Both of them carried heavy bags and neither was in a hurry.",
    "A dog was barking somewhere, so they had to speak up to be heard.",
    "They had not seen each other since the spring, and there was much to tell.",
    "One had brought a thermos of tea and the other a bag of walnuts, which they shared.",
)
DEEDS = (
    ("forgot to bring the key", "remembered to bring the key"), ("came half an hour late", "came in good time"),
    ("lost the list of names", "kept the list of names safe"), ("left the lamp on all night", "turned the lamp off"),
)  # fmt: skip
UNKNOWN = ("It cannot be known from this", "Not enough is said", "Nobody can tell from the text")


def items(parameters: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Contexts and the options of each; options begin with a space, as lm-eval's tasks put them."""
    draws = random.Random(parameters["seed"])
    contexts: list[str] = []
    options: list[list[str]] = []
    while len(contexts) < parameters["items"]:
        first, second = draws.sample(NAMES, 2)
        one, two = draws.sample(WORKS, 2)
        scene = (
            f"{first}, a {one} of {draws.randrange(21, 80)}, met {second}, a {two} of {draws.randrange(21, 80)}, "
            f"{draws.choice(PLACES)} to talk about {draws.choice(SUBJECTS)}. "
            + " ".join(draws.sample(DETAILS, draws.randrange(1, 3)))
        )
        asked = draws.choice(DEEDS)
        shown = [f"{first} the {one}", f"The {two}", draws.choice(UNKNOWN)]
        draws.shuffle(shown)
        for deed in asked if parameters["form"] == "pairs" else asked[:1]:
            question = f"{scene}\nQuestion: Who {deed}?\n"
            if parameters["form"] == "letters":
                listed = "\n".join(f"{letter}. {each}" for letter, each in zip("ABC", shown, strict=True))
                contexts.append(f"{question}{listed}\nAnswer:")
                options.append([" A", " B", " C"])
            else:
                contexts.append(f"{question}Answer:")
                options.append([f" {each}" for each in shown])
    return contexts, options
