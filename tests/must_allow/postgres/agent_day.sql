-- A support agent's busy day: one customer after another, their tickets, lists of work, a few corrections.
-- `with:` gives parameters, one run for each group between bars.

select id, name, email, phone, language from customers where id = 4711 % 3000;

-- with: 14 | 15 | 16 | 17 | 18 | 19 | 20
select id, name, email, phone, language, vip, created_at from customers where id = $1;

-- with: customer22@example.org | customer23@example.org | nobody@example.org
select * from customers where email = $1;

-- with: CUSTOMER24@EXAMPLE.ORG
select id, name, email from customers where lower(email) = lower($1);

-- with: +49 30 0000031
select id, name from customers where phone = $1;

-- with: %0000032
select id, name, phone from public.customers where phone like $1 limit 10;

-- with: Customer 12%, 10
select c.id, c.name, c.email from customers as c where c.name ilike $1 order by c.name limit $2;

SELECT c.id AS customer_id, c.name, t.id AS ticket_id, t.subject, t.status FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE c.id = 14 ORDER BY t.opened_at DESC;

-- with: 40 | 41 | 42
select t.id, t.subject, t.body, t.status, t.tags, t.details, c.name, c.email
from tickets t
join customers c on c.id = t.customer_id
where t.id = $1;

select id, subject, status from tickets where customer_id = 14 order by id;

select id, subject, opened_at from tickets where status = 'open' and agent = 'alice' order by opened_at limit 50;

select id, subject, opened_at from tickets where status = 'open' and agent is null order by opened_at, id offset 20 limit 20;

select status, count(*) from tickets group by status order by status;

select agent, status, count(*) as n from tickets group by rollup (agent, status) order by agent nulls last, status nulls last;

select count(*) from customers;

select count(*) filter (where vip) as vips, count(*) as everybody from customers;

select language, count(*), round(avg(balance), 2), min(created_at), max(created_at) from customers group by language order by language;

select exists (select 1 from customers where email = 'customer9@example.org');

select count(distinct customer_id) from tickets where status <> 'closed';

select date_trunc('day', opened_at) as day, count(*) from tickets group by 1 order by 1 desc limit 14;

select id, title from articles where title ilike '%how to 1%' order by id limit 20;

select id, title, ts_rank(to_tsvector('english', body), plainto_tsquery('english', 'word')) from articles where id < 20 order by id;

select * from article_titles where id between 10 and 15;

select id, subject, status, customer_name from open_tickets where id = 40;

select name, email from customer_directory where id = 52;

select * from find_customer(53);

select t.id, ticket_age(t.opened_at) from tickets t where t.id = 54;

select subject, details ->> 'priority' as priority, details @> '{"priority": 1}' as urgent from tickets where id < 6 order by id;

select id, unnest(tags) as tag from tickets where id < 6 order by id;

select * from tickets where 't3' = any (tags) and status = 'pending' order by id limit 5;

with mine as (select * from tickets where agent = 'alice' and status = 'open')
select m.id, m.subject, c.name from mine m join customers c on c.id = m.customer_id order by m.id limit 10;

select c.id, c.name, (select count(*) from tickets t where t.customer_id = c.id) as tickets from customers c where c.id in (60, 61, 62) order by c.id;

select c.id, c.name, x.subject
from customers c
cross join lateral (select subject from tickets t where t.customer_id = c.id order by opened_at desc limit 1) x
where c.id in (14, 27) order by c.id;

select id, subject, row_number() over (partition by status order by opened_at) from tickets where customer_id < 30 order by id;

select a.id, a.phone from contact_log a where a.customer_id = 77 order by at desc limit 5;

select at, phone from contact_log where customer_id = 78 and at >= '2024-06-01' order by at limit 3;

select name || ' <' || email || '>' as recipient from customers where id = 79;

select upper(name), substr(phone, 1, 6) || '…' as phone, case when vip then 'VIP' else '' end as flag from customers where id = 80;

select coalesce(nullif(trim(language), ''), 'en') from customers where id = 81;

select * from customers where id = any (array[82, 83]) order by id;

select id, name from customers where (id, language) = (84, 'de') or id = 85;

select id, name, email from customers where id > 2990 order by id fetch first 5 rows only;

select id, name from customers where created_at between '2024-01-05' and '2024-01-05 12:00' order by id;

select 'Dear ' || name || E',\n\nwe''ve looked into it.' from customers where id = 86;

/* ticket 40, opened from the tool */ select subject /* of it */ from tickets -- the one
where id = 40;

begin;

-- with: pending, 40
update tickets set status = $1 where id = $2;

select status from tickets where id = 40 for update;

insert into tickets (id, customer_id, subject, agent) values (900001, 14, 'Called back', 'alice');

insert into tickets (id, customer_id, subject, agent) values (900002, 14, 'Called again', 'alice') returning id, status;

insert into tickets (id, customer_id, subject) values (900001, 14, 'twice') on conflict (id) do update set subject = excluded.subject, agent = 'alice';

savepoint correction;

update customers set phone = '+49 30 9999999' where id = 14;

rollback to savepoint correction;

delete from tickets where id = 900002;

select id, subject, agent from tickets where customer_id = 14 order by id;

rollback;

-- simple
begin; update tickets set agent = 'alice' where id = -41; commit;

begin isolation level repeatable read read only;

select subject from tickets where id = 41;

select count(*) from tickets where agent = 'alice' and id = 41;

commit;

-- simple
prepare by_hand (int) as select subject from tickets where id = $1;

execute by_hand (44);

deallocate by_hand;

-- simple
begin; declare list no scroll cursor for select id, subject from tickets order by id;

fetch 10 from list;

move 5 in list;

fetch next from list;

-- simple
close list; commit;

copy (select status, count(*) from tickets group by status order by status) to stdout with (format csv, header);

explain (costs off) select * from customers where id = 5;

-- simple
select 1; select 2; select count(*) from tickets;

;

table article_titles;

values (1, 'one'), (2, 'two');

select current_date is not null, now() is not null, current_user, session_user;

listen tickets;

notify tickets, 'new';

unlisten *;

do $$ begin perform 1; end $$;
