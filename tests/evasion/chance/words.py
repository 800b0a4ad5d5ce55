"""What both dialects make statements of."""

import re

# Values of sensitive columns, whatever case a function has put them into.
MARK = re.compile(rb"em\d{4}@|nm\d{4}zq|\+99\d{8}|jj\d{4}kk|tg\d{4}xx", re.IGNORECASE)
# The same people with other values: how far their numbers are apart.
TWIN_OFFSET = 5000


class Grammar:
    """Draws by weight. `choose(d, (weight, make), ...)`: makes take what depth is left."""

    def __init__(self, random):
        self.random = random

    def one(self, *options):
        return self.random.choice(options)

    def choose(self, depth, *weighted):
        makes = [make for _, make in weighted]
        weights = [weight for weight, _ in weighted]
        return self.random.choices(makes, weights)[0](depth)

    def chance(self, share):
        return self.random.random() < share
