-- Customers $1 to $2, made up; the same in every run. Every third has a ticket.
with made_up as (
    select
        id,
        (array['Ada','Ben','Cleo','Dan','Eve','Finn','Gwen','Hugo','Iris','Jon','Kaya','Liam','Mona','Ned','Olga','Piet',
               'Quin','Rosa','Sam','Tara'])[1 + id % 20] as first,
        (array['Abbott','Baker','Castle','Dorn','Ellis','Fisher','Grant','Hale','Irving','Jensen','Keller','Lowe','Moore',
               'Nolan','Owens','Parker','Quist','Reed','Stone','Turner','Usher','Vance','Wells','York'])[1 + id / 20 % 24] as last
    from generate_series($1::bigint, $2::bigint) as id
), customer as (
    insert into customers (id, name, email, phone, language, city, since)
    select
        id,
        first || ' ' || last,
        lower(first || '.' || last || '.' || id || '@example.com'),
        '+1 555 ' || lpad(id::text, 7, '0'),
        'en',
        (array['Austin','Boston','Chicago','Denver','El Paso','Fresno'])[1 + id % 6],
        date '2016-01-01' + (id % 3000)::int
    from made_up
    returning id
), ticket as (
    insert into tickets (id, customer_id, subject, status, assignee, opened_at)
    select
        id / 3,
        id,
        (array['cannot log in','wrong amount on the invoice','change of address','cancel the trial'])[1 + id / 3 % 4],
        (array['open','waiting','closed'])[1 + id / 3 % 3],
        (array['alice','bob'])[1 + id / 3 % 2],
        timestamptz '2026-11-01 08:00+00' + id * interval '7 seconds'
    from customer
    where id % 3 = 0
    returning 1
)
insert into billing.cards (customer_id, number)
select id, '4000 0000 ' || lpad((id / 10000)::text, 4, '0') || ' ' || lpad((id % 10000)::text, 4, '0')
from customer
where id % 10 = 0
