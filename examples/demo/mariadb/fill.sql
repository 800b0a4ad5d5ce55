-- Customers {first} to {last}, made up; the same in every run, and the same as under PostgreSQL. Every third has a ticket.
insert into customers (id, name, email, phone, language, city, since)
select
    id,
    concat(first, ' ', last),
    lower(concat(first, '.', last, '.', id, '@example.com')),
    concat('+1 555 ', lpad(id, 7, '0')),
    'en',
    elt(1 + id % 6, 'Austin','Boston','Chicago','Denver','El Paso','Fresno'),
    date '2016-01-01' + interval id % 3000 day
from (
    select
        seq as id,
        elt(1 + seq % 20, 'Ada','Ben','Cleo','Dan','Eve','Finn','Gwen','Hugo','Iris','Jon','Kaya','Liam','Mona','Ned',
            'Olga','Piet','Quin','Rosa','Sam','Tara') as first,
        elt(1 + seq div 20 % 24, 'Abbott','Baker','Castle','Dorn','Ellis','Fisher','Grant','Hale','Irving','Jensen',
            'Keller','Lowe','Moore','Nolan','Owens','Parker','Quist','Reed','Stone','Turner','Usher','Vance','Wells',
            'York') as last
    from seq_{first}_to_{last}
) as made_up;

insert into tickets (id, customer_id, subject, status, assignee, opened_at)
select
    id div 3,
    id,
    elt(1 + id div 3 % 4, 'cannot log in','wrong amount on the invoice','change of address','cancel the trial'),
    elt(1 + id div 3 % 3, 'open','waiting','closed'),
    elt(1 + id div 3 % 2, 'alice','bob'),
    timestamp '2026-11-01 08:00:00' + interval id * 7 second
from customers
where id % 3 = 0 and id between {first} and {last};

insert into billing.cards (customer_id, number)
select id, concat('4000 0000 ', lpad(id div 10000, 4, '0'), ' ', lpad(id % 10000, 4, '0'))
from customers
where id % 10 = 0 and id between {first} and {last};
