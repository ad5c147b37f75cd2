"""The vocabulary of the shop: what it sells, who buys it, and what they say about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Category:
    """One shelf: a title is a style and a noun, and there are at least 125 such pairs."""

    code: str
    styles: tuple[str, ...]
    nouns: tuple[str, ...]
    purpose: str
    cheapest_minor: int
    dearest_minor: int


CATEGORIES = (
    Category(
        "KITCHEN",
        ("Enamel", "Cast Iron", "Copper", "Beechwood", "Stoneware", "Steel", "Ceramic", "Glass", "Slate", "Olivewood"),
        (
            "Kettle", "Saucepan", "Mixing Bowl", "Casserole", "Pepper Mill", "Salt Jar", "Serving Dish", "Colander",
            "Ladle", "Mortar", "Milk Jug", "Cake Stand", "Storage Jar",
        ),
        "everyday cooking and a table that looks good doing it",
        690,
        12900,
    ),
    Category(
        "GARDEN",
        ("Terracotta", "Galvanised", "Cedar", "Woven", "Forged", "Weathered", "Hazel", "Zinc", "Oak", "Compact"),
        (
            "Planter", "Watering Can", "Trowel", "Trellis", "Seed Tray", "Bird Feeder", "Hand Fork", "Hanging Basket",
            "Compost Bin", "Hoe", "Rain Gauge", "Cold Frame", "Herb Pot",
        ),
        "balconies, beds and borders",
        490,
        14900,
    ),
    Category(
        "OUTDOOR",
        ("Alpine", "Coastal", "Summit", "Trail", "Nordic", "Featherlight", "Storm", "Meadow", "Ridge", "Canyon"),
        (
            "Tent", "Sleeping Bag", "Rucksack", "Camp Stove", "Water Bottle", "Hammock", "Walking Pole", "Dry Bag",
            "Camp Chair", "Compass", "Picnic Blanket", "Cool Box", "Bivouac",
        ),
        "long walks and short nights",
        890,
        39900,
    ),
    Category(
        "OFFICE",
        ("Walnut", "Linen", "Brass", "Cork", "Recycled", "Felt", "Bamboo", "Matte", "Upright", "Folding"),
        (
            "Notebook", "Desk Tray", "Pen Holder", "Document Box", "Monitor Stand", "Desk Mat", "Bookend",
            "Letter Tray", "Planner", "Card File", "Cable Box", "Footrest", "Pinboard",
        ),
        "a desk with room to think",
        350,
        8900,
    ),
    Category(
        "LIGHTING",
        ("Opal", "Brushed", "Paper", "Rattan", "Smoked", "Industrial", "Dimmable", "Arched", "Ribbed", "Pleated"),
        (
            "Table Lamp", "Floor Lamp", "Pendant", "Wall Light", "Reading Lamp", "Lantern", "Night Light", "Spotlight",
            "Chandelier", "Desk Lamp", "Candle Holder", "Lampshade", "Light Chain",
        ),
        "warm evenings",
        990,
        29900,
    ),
    Category(
        "TEXTILES",
        ("Washed", "Merino", "Organic", "Quilted", "Striped", "Waffle", "Herringbone", "Velvet", "Flannel", "Jacquard"),
        (
            "Cushion", "Throw", "Tablecloth", "Bath Towel", "Duvet Cover", "Pillowcase", "Curtain", "Tea Towel", "Rug",
            "Bathrobe", "Napkin Set", "Bedspread", "Door Mat",
        ),
        "soft rooms in every season",
        590,
        18900,
    ),
    Category(
        "TOYS",
        ("Wooden", "Painted", "Magnetic", "Pocket", "Giant", "Classic", "Rainbow", "Travel", "Musical", "Stacking"),
        (
            "Puzzle", "Train", "Building Blocks", "Memory Game", "Kite", "Marble Run", "Doll House", "Spinning Top",
            "Domino Set", "Xylophone", "Castle", "Abacus", "Animal Set",
        ),
        "rainy afternoons",
        450,
        9900,
    ),
    Category(
        "TOOLS",
        ("Cordless", "Heavy", "Precision", "Insulated", "Ratchet", "Telescopic", "Hardened", "Slim", "Handy", "Twin"),
        (
            "Screwdriver", "Hammer", "Spirit Level", "Pliers", "Hand Saw", "Chisel", "Tape Measure", "Clamp", "Drill",
            "Wrench", "Tool Box", "Work Light", "Plane",
        ),
        "repairs that last",
        690,
        24900,
    ),
)  # fmt: skip

PROMISES = (
    "Made in small batches and meant to be repaired.",
    "Tested for years of daily use.",
    "Arrives ready to use, in packaging without plastic.",
    "Every part can be replaced.",
    "Designed to grow better looking with age.",
    "Comes with a ten year guarantee.",
)

GIVEN_NAMES = (
    "Ada", "Amir", "Anneke", "Beatriz", "Bruno", "Camille", "Chidi", "Clara", "Daan", "Elif", "Emeka", "Esther",
    "Farah", "Felix", "Freya", "Gustav", "Hana", "Hugo", "Ines", "Ivo", "Jana", "Jonas", "Kaito", "Leila", "Liam",
    "Lucia", "Maeve", "Malik", "Marta", "Mina", "Nadia", "Nils", "Noor", "Olga", "Oskar", "Paula", "Priya", "Rafael",
    "Rosa", "Samir", "Selma", "Sofia", "Tariq", "Tessa", "Tomas", "Ursula", "Vera", "Wim", "Yara", "Zofia",
)  # fmt: skip

FAMILY_NAMES = (
    "Abara", "Andersen", "Bakker", "Bianchi", "Brandt", "Carvalho", "Demir", "Dubois", "Eriksen", "Falk", "Fischer",
    "Garcia", "Haddad", "Hofer", "Ibrahim", "Jansen", "Kaya", "Keller", "Kowalski", "Laurent", "Lindgren", "Lopez",
    "Marino", "Moreau", "Nakamura", "Novak", "Okafor", "Oliveira", "Petrov", "Quinn", "Rossi", "Sato", "Schmid",
    "Silva", "Sorensen", "Tanaka", "Varga", "Visser", "Weber", "Zeman",
)  # fmt: skip

REVIEW_TEXTS = {
    1: ("Broke within a week.", "Not what the picture shows.", "Went straight back.", "A part was missing."),
    2: ("Looks better than it works.", "Too flimsy for the price.", "Scratched on arrival.", "I expected more."),
    3: ("Does the job, no more.", "Fine, though smaller than I thought.", "Good idea, average finish.", "It is fine."),
    4: ("Solid, and easy to clean.", "Very good, slow delivery.", "Almost perfect.", "Would buy it again."),
    5: (
        "Exactly what I was looking for.", "Beautifully made.", "A present that was much admired.",
        "The best one I have owned.", "I use it every day.",
    ),
}  # fmt: skip

WAREHOUSES = ("BER-1", "LYS-2", "GDN-1", "OPO-3")
CARRIERS = ("HERON", "PALLAS", "SWIFT")
CANCEL_REASONS = ("changed my mind", "ordered twice", "found it elsewhere", "delivery takes too long")
