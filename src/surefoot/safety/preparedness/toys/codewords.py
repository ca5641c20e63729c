"""Codewords of the game, each with the words that make its partner think of it."""

__all__ = ["CODEWORDS"]

CODEWORDS: dict[str, tuple[str, ...]] = {
    word: tuple(hints.split())
    for word, hints in {
        "umbrella": "rain handle wet fold canopy weather open dry storm",
        "elephant": "trunk tusks grey ears savanna herd big memory africa",
        "lighthouse": "sea tower ships lamp coast rocks beam keeper night",
        "butterfly": "wings caterpillar insect cocoon flutter garden colourful nectar",
        "telephone": "call ring number dial speak receiver cable",
        "snowman": "winter carrot cold coal melt scarf hat round white",
        "bicycle": "pedals wheels ride chain saddle helmet brakes two",
        "pineapple": "fruit tropical spiky yellow juice sweet crown slice",
        "keyboard": "keys type letters computer press fingers space screen",
        "mountain": "climb peak summit high valley rope hike steep",
        "sandwich": "bread lunch cheese butter slices bite filling picnic",
        "football": "goal kick team pitch referee match score net",
        "penguin": "ice antarctica waddle swim bird fish flightless south",
        "toothbrush": "bristles morning mouth paste clean bathroom evening mint",
        "calendar": "days months date year wall week appointments page",
        "blanket": "bed warm cover sleep wool soft sofa couch",
        "chimney": "smoke roof fireplace bricks soot sweep stove house",
        "dolphin": "ocean mammal fins jump clever sonar blowhole waves",
        "envelope": "letter stamp post address seal paper mail send",
        "giraffe": "neck tall leaves spots zoo acacia legs long",
        "hammock": "trees swing nap summer hang rest lazy ropes",
        "mushroom": "forest cap stem spores soup fungus pick damp",
        "scissors": "cut paper blades hair tailor sharp snip cloth",
        "volcano": "lava eruption ash crater magma mountain hot island",
    }.items()
}
"""Harmless things; no two words share two hints."""
