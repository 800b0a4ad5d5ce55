"""How sensitive values are spelled.

Every sensitive value of the population is one record's and nobody else's, so that whoever sees the value knows the
record. What it looks like is of no meaning: `Format(seed)` spells the same people in another way, and a product that
finds the one spelling and not the other looks at spellings instead of at statements.

Widths are fixed within a format: values that a client glued together can still be told apart.
"""

import hashlib
import random
import re

CUSTOMERS, CARDS, PAYMENTS, EMPLOYEES = 68_000, 40_000, 60_000, 240

# Syllables of invented names: 18 x 15 first and as many last names.
FIRST_HEADS = ["Ad", "Be", "Ca", "Da", "El", "Fi", "Ge", "Ha", "Is", "Jo", "Ka", "Li", "Ma", "Ne", "Or", "Pa", "Qui",
               "Ro"]
FIRST_TAILS = ["ra", "len", "mi", "don", "vi", "sa", "nor", "tea", "lo", "rick", "na", "bel", "dus", "gan", "ty"]
LAST_HEADS = ["Ash", "Bar", "Cor", "Dun", "Ever", "Fair", "Glen", "Hol", "Iver", "Kings", "Lan", "Mar", "Nor", "Oak",
              "Pem", "Rad", "Stan", "Thorn"]
LAST_TAILS = ["berg", "by", "dale", "field", "ford", "ham", "ley", "man", "sen", "son", "stone", "ton", "well", "wick",
              "wood"]

# A prime above the number of customers and below the number of names: multiples of anything else walk it whole.
NAMES_PRIME = 72_077
SEVEN_DIGITS_PRIME = 9_999_991
FIVE_DIGITS_PRIME = 99_991


def digest(text, length):
    return hashlib.md5(text.encode()).hexdigest()[:length]


class Format:
    """The original spelling: the one that recorded truth and cases are written in."""

    seed = None

    def __init__(self):
        self.first_names = [head + tail for head in FIRST_HEADS for tail in FIRST_TAILS]
        self.last_names = [head + tail for head in LAST_HEADS for tail in LAST_TAILS]

    # What a customer has.

    def name(self, customer):
        place = customer * 4001 % NAMES_PRIME
        return f"{self.first_names[place // 270]} {self.last_names[place % 270]}"

    def email(self, customer):
        return f"u{customer:05d}.{digest(f'weir{customer}', 6)}@mail.example"

    def phone(self, customer):
        return f"+1555{(customer * 7919 + 1234567) % SEVEN_DIGITS_PRIME:07d}"

    def post_code(self, customer):
        return f"ZP{customer * 7919 % FIVE_DIGITS_PRIME:05d}"

    # What else there is to steal.

    def card_number(self, card):
        return f"4{(card * 7919 + 17) % 999_983:06d}{card * 104_729 % 999_999_937:09d}"

    def payment(self, payment):
        return f"PAY-{digest(f'pay{payment}', 10)}"

    def social_number(self, employee):
        return f"9{employee % 97 + 1:02d}-{employee % 89 + 10:02d}-{1000 + employee * 7:04d}"

    def patterns(self):
        """(table, column, what values look like, bytes without which there is none or None), in bytes."""
        return [
            ("customers", "email", re.compile(rb"u\d{5}\.[0-9a-f]{6}@mail\.example"), b"@mail.example"),
            ("customers", "phone", re.compile(rb"\+1555\d{7}"), b"+1555"),
            ("customers", "address", re.compile(rb"ZP\d{5}"), b"ZP"),
            ("customers", "name", re.compile(rb"[A-Z][a-z]{2,} [A-Z][a-z]{3,}"), None),
            ("cards", "pan", re.compile(rb"4\d{15}"), None),
            ("payments", "ref", re.compile(rb"PAY-[0-9a-f]{10}"), b"PAY-"),
            ("employees", "ssn", re.compile(rb"9\d\d-\d\d-\d{4}"), b"-"),
        ]


class SeededFormat(Format):
    """Another spelling of the same people, drawn from a seed."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed
        draw = random.Random(seed)
        letters = "bcdfghkmnprstvw"
        draw.shuffle(self.first_names)
        draw.shuffle(self.last_names)
        self.step = draw.choice([2003, 3001, 5003, 7001, 9001])
        self.family_first = draw.random() < 0.5
        self.prefix = "".join(draw.choice(letters) for _ in range(draw.randint(2, 5)))
        self.mark = draw.choice(["_", "-", "+", "."])
        self.domain = "".join(draw.choice(letters + "aeiou") for _ in range(7)) + draw.choice([".test", ".invalid"])
        self.hash_first = draw.random() < 0.5
        self.hash_length = draw.randint(5, 9)
        self.country = draw.choice(["+49", "+31", "+353", "+4202", "+8190"])
        self.post = "".join(draw.choice("ABCDEFGHKLMN") for _ in range(3))
        self.card_head = draw.choice(["2", "3", "5", "6"])
        self.pay = draw.choice(["R", "TX.", "inv/", "Ref"])
        self.social = draw.choice([". ", "/", "x"])

    def name(self, customer):
        place = customer * self.step % NAMES_PRIME
        first, last = self.first_names[place // 270], self.last_names[place % 270]
        return f"{last}, {first}" if self.family_first else f"{first} {last}"

    def email(self, customer):
        number, mark = f"{customer * 7919 % FIVE_DIGITS_PRIME:05d}", digest(f"{self.seed}/{customer}", self.hash_length)
        halves = (mark, number) if self.hash_first else (number, mark)
        return f"{self.prefix}{halves[0]}{self.mark}{halves[1]}@{self.domain}"

    def phone(self, customer):
        return f"{self.country}{(customer * self.step + 7_654_321) % SEVEN_DIGITS_PRIME:07d}"

    def post_code(self, customer):
        return f"{self.post}-{customer * self.step % FIVE_DIGITS_PRIME:05d}"

    def card_number(self, card):
        return f"{self.card_head}{(card * 6007 + 23) % 999_983:06d}{card * 100_003 % 999_999_937:09d}"

    def payment(self, payment):
        return f"{self.pay}{digest(f'{self.seed}+{payment}', 11).upper()}"

    def social_number(self, employee):
        return f"{employee * 7 % 900 + 100:03d}{self.social}{employee * 37 % 9000 + 1000:04d}"

    def patterns(self):
        def of(text, *parts):
            return re.compile((text % tuple(re.escape(part) for part in parts)).encode())

        number, mark = r"\d{5}", r"[0-9a-f]{%d}" % self.hash_length
        halves = (mark, number) if self.hash_first else (number, mark)
        name = r"[A-Z][a-z]{3,}, [A-Z][a-z]{2,}" if self.family_first else r"[A-Z][a-z]{2,} [A-Z][a-z]{3,}"
        return [
            ("customers", "email", of(f"%s{halves[0]}%s{halves[1]}@%s", self.prefix, self.mark, self.domain),
             self.domain.encode()),
            ("customers", "phone", of(r"%s\d{7}", self.country), self.country.encode()),
            ("customers", "address", of(r"%s-\d{5}", self.post), self.post.encode()),
            ("customers", "name", re.compile(name.encode()), None),
            ("cards", "pan", of(r"%s\d{15}", self.card_head), None),
            ("payments", "ref", of(r"%s[0-9A-F]{11}", self.pay), self.pay.encode()),
            ("employees", "ssn", of(r"\d{3}%s\d{4}", self.social), self.social.encode()),
        ]


def choose(seed):
    return Format() if seed is None else SeededFormat(seed)
