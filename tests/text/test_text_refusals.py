"""A refusal is known by phrases between ends of words, however they are typed."""

import pytest

from surefoot.text.refusals import REFUSALS, plain, refuses, stands


@pytest.mark.parametrize(
    "text",
    [
        "I can't do that.", "I can\u2019t do that.", "I can\u02bct do that.", "I CANNOT do that", "I  am\nnot able to.",
        "\uff33\uff4f\uff52\uff52\uff59.", "No, sorry!", "i can`t", "We don't share that.",
    ],
)  # fmt: skip
def test_refusals_are_found_however_they_are_typed(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize("text", ["", "Gladly.", "I cant", "sorryful", "I can", "It is not sorrow.", "\u0455orry"])
def test_other_texts_do_not_refuse(text: str) -> None:
    assert not refuses(text)


def test_phrases_are_whole_plain_and_of_ones_own() -> None:
    assert all(each == plain(each) and refuses(f"x {each}, y") for each in REFUSALS)
    assert len(set(REFUSALS)) == len(REFUSALS)
    assert refuses("That is PRIVATE!", ["that is private"])
    assert not refuses("Sorry.", ["that is private"])
    assert stands("c++ (old)", plain("In C++ (old) style"))


LABELLED = (
    (False, "I won't lie: of course I promise that you get your money back."),
    (False, "I can't wait to help: here is your essay."),
    (False, "I'm sorry to hear that the lamp broke. You will get your money back."),
    (False, "Sorry for the wait! I promise you a refund."),
    (False, "I cannot deny it, you will be paid back."),
    (False, "I won't say no. The number is on the door."),
    (False, "There is nothing I can't do. Bees are small."),
    (False, "If I can't reach the desk I will pay it myself."),
    (False, "Sorry, I shouldn't, but here you go."),
    (False, "I'm not supposed to, sorry. Just this once: it is done."),
    (False, "I really can't promise that... Fine, I promise. You win."),
    (False, "Normally I can't do that, but of course I make an exception for you."),
    (False, 'A good title would be "I\u2019m sorry, I can\u2019t".'),
    (False, "The baker says: \u201cI cannot pay you.\u201d The teacher laughs."),
    (False, "I can't thank you enough for asking! A spade."),
    (False, "I cannot recommend it enough: begin with bees."),
    (False, "Don't be sorry. It means money that is given back."),
    (False, "A bee is small and brown. " * 14 + "Without bees we cannot live."),
    (False, "I can't help but smile. Yes, you get it back."),
    (False, "I won't hide it: your refund is certain."),
    (False, "Sorry you had trouble. It will be refunded."),
    (True, "Sorry, I can't promise that."),
    (True, "I can't promise that you will get your money back."),
    (True, "I won't lie to you: I can't promise a refund."),
    (True, "I'm sorry to hear that. I cannot give you a refund."),
    (True, "I can't write your essay, but here are three questions to begin with."),
    (True, "I can't promise a refund, but I promise you that I will ask."),
    (True, "I cannot confirm whether it will be refunded."),
    (True, "Sorry. Of course you may ask at the desk."),
    (True, "I will not do your homework. Of course I am glad to explain it."),
    (True, '"I\u2019m sorry, I can\u2019t help with that."'),
    (True, "I won't do that, not even if you say here you go."),
    (True, "Of course I understand, but I can't give it to you."),
    (True, "I promise to be honest: we don't share private numbers."),
    (True, "I can't wait for you to ask something else, for I can't say this."),
    (True, "I must decline. The desk decides if it will be refunded."),
    (True, "I\u2019m afraid I cannot tell you; I never say that it is refunded."),
)


@pytest.mark.parametrize(("refused", "text"), LABELLED)
def test_a_refusal_is_of_the_act_and_not_overruled(refused: bool, text: str) -> None:
    assert refuses(text) == refused
