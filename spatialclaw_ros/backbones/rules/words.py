"""The words that questions are made of: colours, units, numbers, and the words that never belong to a thing's name."""

from __future__ import annotations

import re

COLOURS = frozenset(
    """
    red orange yellow green cyan blue purple pink violet magenta turquoise teal white black grey gray brown beige golden
    silver crimson scarlet maroon lime olive navy lilac tan
    """.split()
)

SHADES = frozenset("light dark bright pale deep".split())
"""Words that only belong to a name when a colour follows ("dark blue")."""

UNITS = {
    "m": ("m", 1.0),
    "metre": ("m", 1.0),
    "meter": ("m", 1.0),
    "cm": ("cm", 100.0),
    "centimetre": ("cm", 100.0),
    "centimeter": ("cm", 100.0),
    "mm": ("mm", 1000.0),
    "millimetre": ("mm", 1000.0),
    "millimeter": ("mm", 1000.0),
    "ft": ("ft", 1 / 0.3048),
    "foot": ("ft", 1 / 0.3048),
    "feet": ("ft", 1 / 0.3048),
    "inch": ("in", 1 / 0.0254),
    "inche": ("in", 1 / 0.0254),
}
"""Singular word → (unit, how many of them make a metre). 1 in = 25.4 mm exactly (1959 agreement)."""

NUMBERS = {word: number for number, word in enumerate("zero one two three four five six seven eight nine ten".split())}

DETERMINERS = frozenset("the a an any some this that these those each every all both our my your its no".split())

RECORDERS = frozenset("camera robot viewer observer lens sensor".split())
"""Who records: without a colour these words mean the camera, not a thing in the room."""

PRONOUNS = frozenset("me you us".split())

GROUNDS = frozenset("floor ground".split())

FUNCTION_WORDS = frozenset(
    """
    about above across after along also am an and any apart approximately are around as at away be been before
    behind being below beneath beside between beyond both but by can come compared compare comparing could did
    direct directly do does done down during either else end ends ended ending estimate exactly far farther farthest
    find finish finished for from front further furthest gap general give given going had has have having here high
    higher highest hold how i if imagine in inside into is it its itself just left lie lies located locate look
    looking looked looks low lower lowest many mean measure measured measuring me middle more most move moved moves
    moving much my near nearer nearest next no nor not now number of off on one only onto opposite or other out
    outside over overall per placed please point points position positions positioned relative respect right roughly
    same saw say see seen sees shortest shown shows show side since sit sits sitting situated smallest so someone
    stand standing stands start started starts state still straight suppose supposing surface surfaces such tell
    than that their them then there they this those through till to together toward towards travel travelled
    traveled turn turned under until up upon us versus via viewed visible vs was way we were what when where whether
    which while who whole whose will with within without would you your bird crow flies fly line centre centres
    center centers centroid midpoint edge edges closest close closer distance distances separation spacing space
    clearance length width height depth size extent dimension dimensions diameter breadth top bottom underside tip
    base rim tall wide long deep big large small broad thick widest longest largest tallest biggest hand metre
    metres meter meters centimetre centimetres centimeter centimeters millimetre millimetres millimeter millimeters
    cm mm feet foot inch inches horizontal horizontally vertical vertically total altogether sum count amount
    different separate distinct individual several two three four five six seven eight nine ten zero answer
    measurement displacement trajectory path track route perspective view viewpoint eyes ahead face faces facing
    faced rest rests resting reach reaches appear appears appeared contain contains exist exists present according
    judged judging use using terms value least minimum minimal maximum free course net meaning journey ride trip
    travelling traveling roll rolled rolls drive drove driven go goes went gone cover covered covers walk walked
    walks drift drifted shift shifted beginning initial initially final finally first last calculate compute
    determine report name whichever latter former item items object objects thing things
    """.split()
)

_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "mice": "mouse",
}
"""Plural → singular."""

NOT_THINGS = frozenset(
    """
    recording video clip sequence film footage run tour scene room frame frames picture pictures image images photo
    photos shot moment time times second seconds bag question bearing direction order part parts plane axis axes
    world map
    """.split()
)


def plural(phrase: str) -> str:
    """The phrase with its last word in the plural: 'green box' → 'green boxes', 'shelf' → 'shelves'."""
    head, _, last = phrase.rpartition(" ")
    return f"{head} {_plural_word(last)}".strip()


def singular(phrase: str) -> str:
    """The phrase with its last word in the singular: 'green boxes' → 'green box', 'shelves' → 'shelf'."""
    head, _, last = phrase.rpartition(" ")
    return f"{head} {_singular_word(last)}".strip()


def _plural_word(word: str) -> str:
    irregular = {one: many for many, one in _IRREGULAR.items()}
    if word in irregular:
        return irregular[word]
    if re.search(r"(?:sh|ch|x|s|z)$", word):
        return f"{word}es"
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    if re.search(r"(?:[lr]|ea|oa)f$", word):
        return f"{word[:-1]}ves"
    return f"{word}s"


def _singular_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if re.search(r"(?:sh|ch|x|ss|zz)es$", word):
        return word[:-2]
    if re.search(r"[^aeiou]ies$", word):
        return word[:-3] + "y"
    if re.search(r"(?:[lr]|ea|oa|she)ves$", word):
        return word[:-3] + "f"
    if word.endswith("s") and not re.search(r"(?:ss|us|is)$", word):
        return word[:-1]
    return word
