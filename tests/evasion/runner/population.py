"""Who and what is in the database: the same people whatever the format of their values."""

from . import formats
from .formats import CARDS, CUSTOMERS, EMPLOYEES, PAYMENTS

TICKETS, PRODUCTS, ORDERS = 90_000, 1_200, 50_000

PLANS = ["free", "free", "free", "basic", "basic", "pro", "enterprise"]
CITIES = ["Norwick", "Eastham", "Port Lyle", "Kestrel Bay", "Umber", "St Aldate", "Quayside", "Hollin"]
STREETS = ["Mill Lane", "High Street", "Station Road", "Elm Walk", "Castle Hill", "Ferry Road", "Chapel Row"]
SUBJECTS = ["cannot log in", "invoice wrong", "slow dashboard", "how to export report", "cancel my plan", "app crashes",
            "change plan", "api error 500"]
STATES = ["open", "pending", "closed", "closed"]
LANGUAGES = ["en", "de", "fr", "es"]


def moment(number):
    year, month, day = 2019 + number % 6, 1 + number % 12, 1 + number % 28
    return f"{year:04d}-{month:02d}-{day:02d} {number % 24:02d}:{number % 60:02d}:00"


def card_owner(card):
    return card * 19 % CUSTOMERS + 1


class Population:
    """Rows of every table, in the columns' order."""

    def __init__(self, form):
        self.form = form
        # As both servers load them.
        self.files = {
            table: "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()
            for table, rows in self.tables().items()
        }

    def tables(self):
        return {
            "customers": self.customers(), "cards": self.cards(), "payments": self.payments(),
            "employees": self.employees(), "tickets": self.tickets(), "products": self.products(),
            "orders": self.orders(),
        }

    def customers(self):
        form = self.form
        for i in range(1, CUSTOMERS + 1):
            address = f"{i * 37 % 989 + 1} {STREETS[i % 7]}, {CITIES[i % 8]} {form.post_code(i)}"
            profile = '{"lang": "%s", "marketing": %s, "contact": {"mobile": "%s"}}' % (
                LANGUAGES[i % 4], "true" if i % 3 else "false", form.phone(i))
            plan = PLANS[(i * 31 + i // 7) % 7]
            yield i, form.name(i), form.email(i), form.phone(i), address, plan, moment(i), profile

    def cards(self):
        for i in range(1, CARDS + 1):
            owner = card_owner(i)
            yield i, owner, self.form.card_number(i), self.form.name(owner), f"{i % 12 + 1:02d}/{26 + i % 5:02d}"

    def payments(self):
        for i in range(1, PAYMENTS + 1):
            card = i % CARDS + 1
            yield i, card, card_owner(card), i * 331 % 90_000 + 100, self.form.payment(i), moment(i)

    def employees(self):
        for i in range(1, EMPLOYEES + 1):
            email, salary = f"e{i:03d}.staff@weir.example", 40_000 + i * 211 % 60_000
            yield i, f"Sam Worker{i:03d}", email, salary, self.form.social_number(i), (i // 10) or "\\N"

    def tickets(self):
        for i in range(1, TICKETS + 1):
            body = f"Customer says: {SUBJECTS[i * 3 % 8]} since {i % 30} days; please select from the menu."
            subject, state, agent = SUBJECTS[i % 8], STATES[i % 4], i % EMPLOYEES + 1
            yield i, i * 13 % CUSTOMERS + 1, subject, body, state, i % 4 + 1, agent, moment(i)

    def products(self):
        names = formats.Format().first_names
        for i in range(1, PRODUCTS + 1):
            yield i, f"SKU-{i:05d}", f"Widget {names[i % 270]} {i}", 100 + i * 17 % 9000, i * 7 % 500

    def orders(self):
        for i in range(1, ORDERS + 1):
            yield i, i * 11 % CUSTOMERS + 1, i % PRODUCTS + 1, i % 5 + 1, moment(i)
