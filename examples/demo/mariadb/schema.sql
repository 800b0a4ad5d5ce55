-- What a support desk works with: the same as under PostgreSQL. `fill.sql` puts the people in.
create table customers (
    id       bigint primary key,
    name     varchar(80) not null,
    email    varchar(120) not null unique,
    phone    varchar(40) not null unique,
    language varchar(8) not null,
    city     varchar(40) not null,
    since    date not null
);

create table tickets (
    id          bigint primary key,
    customer_id bigint not null,
    subject     varchar(120) not null,
    status      varchar(16) not null,
    assignee    varchar(40),
    note        text,
    opened_at   timestamp not null,
    index (customer_id),
    foreign key (customer_id) references customers (id)
);

create database billing;
create table billing.cards (
    customer_id bigint primary key,
    number      varchar(40) not null,
    foreign key (customer_id) references support.customers (id)
);

-- What an agent may do, as databases put it: the right to read one customer is the right to read all of them.
create role support_agent;
grant select on support.customers to support_agent;
grant select, insert, update on support.tickets to support_agent;
