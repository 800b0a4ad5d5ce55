"""SQLAlchemy as a support tool uses it: inspection, reflection, look-ups, relationships, a unit of work undone.

Prints a transcript that must be the same directly and through Weir. The connection comes from PG* variables, or from
DB_* variables for MySQL."""

import os
import warnings

import sqlalchemy as sa
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

warnings.simplefilter("ignore", sa.exc.SAWarning)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str]
    tickets: Mapped[list["Ticket"]] = relationship(order_by="Ticket.id")


class Ticket(Base):
    __tablename__ = "tickets"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    subject: Mapped[str]
    status: Mapped[str]
    agent: Mapped[str | None]


def connect():
    if "DB_HOST" not in os.environ:
        return sa.create_engine("postgresql+psycopg://", connect_args={"application_name": "sqlalchemy"})
    place = {"host": "DB_HOST", "username": "DB_USER", "password": "DB_PASSWORD", "database": "DB_NAME"}
    url = {name: os.environ[variable] for name, variable in place.items()}
    return sa.create_engine(sa.URL.create("mysql+pymysql", port=int(os.environ["DB_PORT"]), **url))


def main():
    engine = connect()
    inspector = sa.inspect(engine)
    print(sorted(inspector.get_table_names()), sorted(inspector.get_view_names()), inspector.get_schema_names())
    for table in ("customers", "tickets", "contact_log", "every_type"):
        print([(c["name"], str(c["nullable"])) for c in inspector.get_columns(table)])
        print(inspector.get_pk_constraint(table), inspector.get_foreign_keys(table))
        print(inspector.get_indexes(table), inspector.get_unique_constraints(table), inspector.get_check_constraints(table))
    print(inspector.get_view_definition("customer_directory"))
    if engine.dialect.name == "postgresql":
        print(inspector.get_sequence_names(), inspector.get_enums())
    metadata = sa.MetaData()
    metadata.reflect(engine)
    if engine.dialect.name == "postgresql":
        # SQLAlchemy asks MySQL with SHOW CREATE TABLE, which names a table that nobody here may touch.
        metadata.reflect(engine, schema="billing")
    print(sorted(metadata.tables))
    with Session(engine) as session:
        customer = session.get(Customer, 14)
        print(customer.name, [ticket.id for ticket in customer.tickets])
        print(session.scalars(select(Customer).where(Customer.email == "customer22@example.org")).one().id)
        several = select(Customer).options(selectinload(Customer.tickets)).where(Customer.id.in_([3, 4, 14])).order_by(Customer.id)
        print([(c.id, len(c.tickets)) for c in session.scalars(several)])
        joined = select(Customer).options(joinedload(Customer.tickets)).where(Customer.id == 27)
        print([len(c.tickets) for c in session.scalars(joined).unique()])
        print(session.scalar(select(func.count()).select_from(Ticket).where(Ticket.status == "open")))
        grouped = select(Ticket.status, func.count(Ticket.id)).group_by(Ticket.status).order_by(Ticket.status)
        print(session.execute(grouped).all())
        print(session.execute(select(Ticket.id, Ticket.subject).order_by(Ticket.id.desc()).limit(5).offset(40)).all())
        ticket = session.get(Ticket, 9)
        ticket.status = "pending"
        session.add_all([Ticket(id=910000 + n, customer_id=14, subject=f"new {n}", status="open") for n in range(3)])
        session.flush()
        print(session.scalar(select(func.count()).where(select(Ticket.id).where(Ticket.customer_id == Customer.id).exists())))
        session.rollback()
        print(session.get(Ticket, 910000))
    print("all of it")


main()
