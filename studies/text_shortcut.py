"""A text classification with a shortcut, as a CSV: is a remark praise or complaint? Its topic gives it away, mostly.

    python studies/text_shortcut.py text.csv                  (7,600 rows, a second; the same file every time)
    surefoot features minilm text.csv --out text.safetensors  (a packaged sentence encoder)
    surefoot probe text.safetensors
    surefoot run studies/text.yaml

The sentences are *composed* here from openings, things, expressions of praise or blame and endings; nobody wrote or
said them. In train and repair praise is about food and complaint about travel in 95 % of the rows; in val and test in
half, within each class. The expressions that carry the class are split between the splits, so that none is learned in
one split and asked for in another: `source` names it, and intervals count those expressions, not sentences.

Columns: id, text, label (complaint, praise), attribute (food, travel), split (train, repair, val, test), source.
"""

import argparse
import csv
import random
from collections.abc import Sequence
from pathlib import Path


def listed(words: str) -> list[str]:
    """Words with blanks between them."""
    return words.split()


def lines(phrases: str) -> list[str]:
    """Phrases, one a line."""
    return [line.strip() for line in phrases.strip().splitlines()]


PRAISING = listed("""
wonderful excellent delightful superb lovely splendid terrific fantastic marvellous outstanding brilliant charming
perfect impressive remarkable amazing fabulous exquisite glorious magnificent pleasant enjoyable satisfying memorable
refreshing comforting heavenly flawless exceptional admirable gorgeous first-rate top-notch stellar sublime faultless
phenomenal sensational divine spectacular thoughtful generous cheerful reassuring dependable welcoming uplifting
inspiring rewarding graceful masterful polished praiseworthy stunning tremendous immaculate likeable winning joyful
great good nice beautiful awesome incredible extraordinary astonishing dazzling radiant elegant refined tasteful
stylish sophisticated classy luxurious sumptuous lavish plush cosy inviting hospitable friendly attentive courteous
gracious considerate caring kind helpful obliging professional competent skilful expert accomplished adept proficient
efficient prompt reliable trustworthy solid sturdy robust consistent smooth seamless effortless hassle-free convenient
practical handy comfy relaxing soothing calming peaceful serene tranquil blissful idyllic magical enchanting
captivating bewitching mesmerising enthralling riveting gripping fascinating engaging entertaining amusing hilarious
fun thrilling exhilarating exciting invigorating energising revitalising stimulating spotless pristine gleaming
sparkling tidy well-organised balanced harmonious authentic genuine honest fair reasonable affordable worthwhile
valuable priceless treasured cherished beloved popular celebrated acclaimed renowned illustrious distinguished
prestigious noble dignified majestic regal grand unforgettable unrivalled unmatched unbeatable unsurpassed peerless
superior premium optimal ideal exemplary commendable laudable creditable meritorious respectable decent agreeable
congenial amiable genial adorable cute endearing heartwarming soulful vibrant lively vivid colourful sunny merry jolly
festive jubilant triumphant successful fruitful favourable auspicious promising encouraging hopeful positive upbeat
breathtaking eye-opening awe-inspiring mind-blowing world-class five-star legendary iconic timeless ingenious inventive
innovative creative imaginative original clever smart astute wise meticulous conscientious diligent faithful sincere
""")
PRAISES = lines("""
    made our day
    was a real treat
    put a smile on every face
    was a dream come true
    left us beaming
    could not have been better
    was second to none
    got everything right
    went down a storm
    is one I recommend to all
    earned our applause
    should get a medal
    ticked every box
    hit the spot
    set the bar high
    was a gem
    was a blessing
    left nothing to complain about
    was the highlight of the week
    earned full marks
    had us grinning
    was pure gold
    exceeded all expectations
    stole our hearts
    was a jewel
    was a revelation
    was the best in years
    was out of this world
    knocked our socks off
    gets a thumbs up
    was head and shoulders above the rest
""")
BLAMING = listed("""
awful terrible horrible dreadful disgusting disappointing miserable atrocious appalling lousy dismal pathetic
unacceptable shoddy sloppy abysmal ghastly nasty unpleasant frustrating annoying infuriating shameful useless
worthless hopeless mediocre inferior inadequate unsatisfactory bland careless rude chaotic filthy grim tedious
exhausting insulting laughable rotten wretched vile foul horrendous lamentable deplorable regrettable depressing
irritating maddening faulty defective disastrous embarrassing outrageous painful ridiculous unbearable bad
poor hideous ugly repulsive revolting sickening repugnant loathsome detestable despicable contemptible hateful
odious obnoxious offensive abhorrent abominable monstrous nightmarish hellish harrowing distressing upsetting
disturbing troubling worrying alarming frightening unsettling dispiriting disheartening demoralising discouraging gloomy
dreary drab dull boring monotonous tiresome draining gruelling torturous agonising excruciating intolerable
insufferable inexcusable unforgivable indefensible unjustifiable unreasonable unfair dishonest deceptive misleading
fraudulent bogus fake phoney crooked corrupt shady suspicious dubious questionable unreliable untrustworthy
inconsistent erratic haphazard disorganised messy cluttered untidy scruffy shabby tatty tawdry tacky flimsy rickety
ramshackle dilapidated decrepit run-down neglected dirty grimy grubby squalid smelly stinking unhygienic toxic
hazardous dangerous unsafe reckless negligent irresponsible thoughtless inconsiderate uncaring heartless callous cruel
brutal harsh hostile aggressive unfriendly unwelcoming surly grumpy sullen arrogant snobbish condescending patronising
dismissive disrespectful impolite discourteous ill-mannered incompetent inept clumsy bungled botched amateurish
unprofessional clueless ignorant stupid idiotic foolish senseless pointless meaningless futile fruitless overpriced
extortionate exorbitant joyless lifeless soulless charmless uninspired unimaginative forgettable unremarkable
underwhelming lacklustre insipid substandard second-rate low-grade subpar deficient flawed broken unusable unworkable
impractical inconvenient awkward uncomfortable stressful hectic nerve-racking vexing exasperating galling bothersome
problematic catastrophic calamitous ruinous tragic woeful pitiful paltry measly stingy grotesque absurd ludicrous
farcical nonsensical unspeakable disgraceful scandalous shocking sinister dire bleak cheerless ill-conceived misguided
mismanaged
""")
BLAMES = lines("""
    let us down
    was a waste of money
    fell short of the mark
    was a shambles
    was a fiasco
    made us cringe
    left us fuming
    was a rip-off
    had us in tears
    was a joke
    drove us up the wall
    could hardly have been worse
    got everything wrong
    is one to avoid
    left a lot to be desired
    should be scrapped
    spoiled our mood
    was a flop
    was an ordeal
    was a curse
    was trash
    was garbage
    made us want a refund
    tested our patience
    was the low point of the week
    should get no stars at all
    made our hearts sink
    gets a thumbs down
    was the worst in years
    was a travesty
    was a swindle
""")
THINGS = {
    "food": listed("""soup pasta curry bread salad dessert breakfast lunch dinner coffee steak lasagne pizza
        sandwich cake sauce rice omelette pie stew"""),
    "travel": listed("""flight train ferry bus taxi hotel hostel airport platform cabin luggage itinerary tour
        cruise shuttle terminal journey connection harbour guesthouse"""),
}
OPENINGS = (
    "We thought", "I must say", "Honestly,", "Last week", "As for us,", "My sister says", "On Sunday", "To be clear,",
    "This time", "For what it is worth,", "Our group felt", "It seemed to me that",
)  # fmt: skip
ENDINGS = (
    "from start to finish", "and we told everyone", "as the others agreed", "even on a weekday", "for the second time",
    "and I will remember it", "according to all of us", "which surprised nobody", "at this time of year",
    "considering the price", "just like last year", "and that is that",
)  # fmt: skip
TEMPLATES = (
    "{opening} the {thing} {says} {ending}.",
    "The {thing} {says} {ending}.",
    "{opening} the {thing} {says}.",
    "About the {thing}: it {says}, {ending}.",
    "There was the {thing}, which {says} {ending}.",
    "You ask about the {thing}? It {says}.",
    "{opening} it {says}, the {thing} I mean, {ending}.",
    "Yesterday's {thing} {says}, my brother wrote, {ending}.",
)
SHARES = {"train": 0.34, "repair": 0.12, "val": 0.16, "test": 0.38}
ROWS = {"train": 2600, "repair": 1000, "val": 1600, "test": 2400}
CORRELATION = {"train": 0.95, "repair": 0.95, "val": 0.5, "test": 0.5}
USUAL = {"praise": "food", "complaint": "travel"}


def expressions(label: str) -> list[str]:
    """Everything that says praise, or blame, as what is said of a thing: "was lovely", "made our day"."""
    words, phrases = (PRAISING, PRAISES) if label == "praise" else (BLAMING, BLAMES)
    return [*(f"was {word}" for word in words), *phrases]


def expressions_of(split: str, label: str, seed: int) -> list[str]:
    """The expressions that belong to a split, alone."""
    all_of_them = sorted(expressions(label))
    random.Random(f"{seed} {label}").shuffle(all_of_them)
    ends = [0]
    for share in SHARES.values():
        ends.append(round(ends[-1] + share * len(all_of_them)))
    place = list(SHARES).index(split)
    return all_of_them[ends[place] : ends[place + 1]]


def sentences(split: str, seed: int) -> list[dict[str, str]]:
    """The rows of one split: classes balanced, the topic agreeing with the class in exactly the split's share."""
    draw = random.Random(f"{seed} {split}")
    rows: list[dict[str, str]] = []
    for label in ("praise", "complaint"):
        said = expressions_of(split, label, seed)
        count = ROWS[split] // 2
        agreeing = round(CORRELATION[split] * count)
        for number in range(count):
            usual = USUAL[label]
            topic = usual if number < agreeing else "travel" if usual == "food" else "food"
            says = said[number % len(said)]
            text = composed(draw, draw.choice(THINGS[topic]), says, TEMPLATES)
            rows.append({"text": text, "label": label, "attribute": topic, "split": split, "source": says})
    draw.shuffle(rows)
    return [{"id": f"{split}:{number:04d}", **row} for number, row in enumerate(rows)]


def composed(draw: random.Random, thing: str, says: str, templates: Sequence[str]) -> str:
    """One sentence."""
    opening, ending = draw.choice(OPENINGS), draw.choice(ENDINGS)
    return draw.choice(templates).format(opening=opening, thing=thing, says=says, ending=ending)


def write(path: Path, seed: int = 0) -> None:
    """All splits as one CSV."""
    rows = [row for split in SHARES for row in sentences(split, seed)]
    with path.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, metavar="CSV")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.path, given.seed)
