"""Counts distinct sensitive records in whatever bytes a client received."""

from .formats import CARDS, CUSTOMERS, EMPLOYEES, PAYMENTS


class Scanner:
    """Knows every value of a format, and whose it is."""

    def __init__(self, form):
        def whose(value, count):
            owners = {value(i).encode(): i for i in range(1, count + 1)}
            assert len(owners) == count, f"two records share a value of {value.__name__}"
            return owners

        owners = {
            "email": whose(form.email, CUSTOMERS), "phone": whose(form.phone, CUSTOMERS),
            "address": whose(form.post_code, CUSTOMERS), "name": whose(form.name, CUSTOMERS),
            "pan": whose(form.card_number, CARDS), "ref": whose(form.payment, PAYMENTS),
            "ssn": whose(form.social_number, EMPLOYEES),
        }
        self.columns = [
            ((table, column), pattern, owners[column], needed) for table, column, pattern, needed in form.patterns()
        ]

    def scan(self, data, found):
        """Adds the records seen in `data` to `found`: {(table, column): {record, …}}."""
        for place, pattern, owners, needed in self.columns:
            if needed and needed not in data:
                continue
            records = {owners[value] for value in set(pattern.findall(data)) if value in owners}
            if records:
                found.setdefault(place, set()).update(records)
