-- What a support desk works with. `fill.sql` puts the people in.
create table customers (
    id       bigint primary key,
    name     text not null,
    email    text not null unique,
    phone    text not null unique,
    language text not null,
    city     text not null,
    since    date not null
);

create table tickets (
    id          bigint primary key,
    customer_id bigint not null references customers,
    subject     text not null,
    status      text not null,
    assignee    text,
    note        text,
    opened_at   timestamptz not null
);
create index on tickets (customer_id);

create schema billing;
create table billing.cards (
    customer_id bigint primary key references customers,
    number      text not null
);

-- What an agent may do, as databases put it: the right to read one customer is the right to read all of them.
grant usage on schema public to support_agent;
grant select on customers to support_agent;
grant select, insert, update on tickets to support_agent;
