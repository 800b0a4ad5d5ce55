"""Clients that build every message by hand and see every byte that comes back."""


class Closed(Exception):
    """The other side ended the connection, or let nobody in."""
