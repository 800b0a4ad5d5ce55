"""Django as a support tool uses it: look-ups, relations, aggregates, transactions undone, introspection.

Prints a transcript that must be the same directly and through Weir. The connection comes from PG* variables, or from
DB_* variables for MySQL."""

import os

import django
from django.conf import settings

if "DB_HOST" in os.environ:
    import pymysql

    # Django asks for mysqlclient, of a version that a Debian may not have; PyMySQL answers to its name.
    pymysql.install_as_MySQLdb()
    pymysql.version_info = (2, 2, 1, "final", 0)
    engine, prefix, options = "mysql", "DB_", {}
    variables = {"NAME": "NAME", "USER": "USER", "PASSWORD": "PASSWORD", "HOST": "HOST", "PORT": "PORT"}
else:
    engine, prefix, options = "postgresql", "PG", {"application_name": "django"}
    variables = {"NAME": "DATABASE", "USER": "USER", "PASSWORD": "PASSWORD", "HOST": "HOST", "PORT": "PORT"}
place = {name: os.environ[prefix + variable] for name, variable in variables.items()}
settings.configure(
    DATABASES={"default": {"ENGINE": f"django.db.backends.{engine}", "OPTIONS": options, **place}},
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.db import connection, models, transaction  # noqa: E402  (only after setup)


class Customer(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    email = models.TextField()
    phone = models.TextField()
    vip = models.BooleanField()
    balance = models.DecimalField(max_digits=12, decimal_places=2)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "customers"
        managed = False
        app_label = "desk"


class Ticket(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="tickets")
    subject = models.TextField()
    body = models.TextField(null=True)
    status = models.TextField()
    agent = models.TextField(null=True)
    opened_at = models.DateTimeField()

    class Meta:
        db_table = "tickets"
        managed = False
        app_label = "desk"


def main():
    customer = Customer.objects.get(pk=31)
    print(customer.name, customer.balance, list(customer.tickets.values_list("id", flat=True)))
    print(Customer.objects.filter(email__iexact="Customer33@example.org").first().id)
    print([(t.id, t.customer.name) for t in Ticket.objects.select_related("customer").filter(customer_id=14).order_by("id")])
    print([t.customer.id for t in Ticket.objects.prefetch_related("customer").order_by("-opened_at")[:5]])
    print(Ticket.objects.filter(status="open").count(), Ticket.objects.filter(customer_id=14).exists())
    print(list(Ticket.objects.values("status").annotate(n=models.Count("id")).order_by("status")))
    print(Customer.objects.aggregate(models.Avg("balance"), models.Max("created_at")))
    print([t.subject for t in Ticket.objects.filter(subject__icontains="et 17").only("id", "subject").order_by("id")[:25]])
    print(sum(1 for _ in Ticket.objects.order_by("id").iterator(chunk_size=300)))
    with transaction.atomic():
        ticket = Ticket.objects.select_for_update().get(pk=12)
        ticket.status = "pending"
        ticket.save(update_fields=["status"])
        print(Ticket.objects.filter(pk=13).update(agent="alice"))
        with transaction.atomic():
            Ticket.objects.create(id=920000, customer_id=31, subject="s", status="open", opened_at="2026-01-01T00:00Z")
        Ticket.objects.bulk_create(
            [Ticket(id=920001 + n, customer_id=31, subject="s", status="open", opened_at="2026-01-01T00:00Z") for n in range(20)]
        )
        print(Ticket.objects.filter(id__gte=920000).count())
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        introspection = connection.introspection
        print(sorted(table.name for table in introspection.get_table_list(cursor)))
        for table in ("customers", "tickets"):
            print([column.name for column in introspection.get_table_description(cursor, table)])
            print(introspection.get_relations(cursor, table), introspection.get_primary_key_columns(cursor, table))
            print(sorted(introspection.get_constraints(cursor, table)), introspection.get_sequences(cursor, table))
    print("all of it")


main()
