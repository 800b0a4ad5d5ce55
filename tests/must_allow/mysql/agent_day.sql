-- A support agent's busy day: one customer after another, their tickets, lists of work, a few corrections.
-- `with:` gives parameters, one run for each group between bars.

select id, name, email, phone, language from customers where id = 4711 % 3000;

-- with: 14 | 15 | 16 | 17 | 18 | 19 | 20
select id, name, email, phone, language, vip, created_at from customers where id = ?;

-- with: customer22@example.org | customer23@example.org | nobody@example.org
select * from customers where email = ?;

-- with: CUSTOMER24@EXAMPLE.ORG
select id, name, email from customers where lower(email) = lower(?);

-- with: +49 30 0000031
select id, name from customers where phone = ?;

-- with: %0000032
select id, name, phone from customers where phone like ? limit 10;

-- with: Customer 12%, 10
select c.id, c.name, c.email from customers as c where c.name like ? order by c.name limit ?;

SELECT c.id AS customer_id, c.name, t.id AS ticket_id, t.subject, t.status FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE c.id = 14 ORDER BY t.opened_at DESC;

-- with: 40 | 41 | 42
select t.id, t.subject, t.body, t.status, t.details, c.name, c.email
from tickets t
join customers c on c.id = t.customer_id
where t.id = ?;

select id, subject, status from tickets where customer_id = 14 order by id;

select id, subject, opened_at from tickets where status = 'open' and agent = 'alice' order by opened_at limit 50;

select id, subject, opened_at from tickets where status = 'open' and agent is null order by opened_at, id limit 20 offset 20;

select status, count(*) from tickets group by status order by status;

select count(*) from customers;

select sum(vip) as vips, count(*) as everybody from customers;

select language, count(*), round(avg(balance), 2), min(created_at), max(created_at) from customers group by language order by language;

select exists (select 1 from customers where email = 'customer9@example.org');

select count(distinct customer_id) from tickets where status <> 'closed';

select date(opened_at) as day, count(*) from tickets group by 1 order by 1 desc limit 14;

select id, title from articles where title like '%how to 1%' order by id limit 20;

select * from article_titles where id between 10 and 15 order by id;

select id, subject, status, customer_name from open_tickets where id = 40;

select name, email from customer_directory where id = 52;

call find_customer(53);

select t.id, ticket_age(t.opened_at) from tickets t where t.id = 54;

select subject, json_extract(details, '$.priority') as priority from tickets where id < 6 order by id;

with mine as (select * from tickets where agent = 'alice' and status = 'open')
select m.id, m.subject, c.name from mine m join customers c on c.id = m.customer_id order by m.id limit 10;

select c.id, c.name, (select count(*) from tickets t where t.customer_id = c.id) as tickets from customers c where c.id in (60, 61, 62) order by c.id;

select id, subject, row_number() over (partition by status order by opened_at) as place from tickets where customer_id < 30 order by id;

select a.id, a.phone from contact_log a where a.customer_id = 77 order by at desc limit 5;

-- simple
begin;

insert into tickets (id, customer_id, subject, body, agent, opened_at) values (900201, 14, 'it''s broken -- again', 'wrote "why\\not"; then left', 'alice', '2026-01-01 10:00:00');

update tickets set status = 'pending', body = concat(body, '\nasked back') where id = 900201;

update customers set phone = '+49 30 0000015' where id = 15;

update tickets set agent = 'alice' where status = 'open' and agent is null order by opened_at limit 1;

insert into tickets (id, customer_id, subject, opened_at) select 900202, id, concat('follow-up of ', 7), '2026-01-01 10:00:00' from customers where id = 16;

delete from tickets where id = 900202;

-- simple
rollback;

select 'customers' as word, 'select email from customers' as text, "union all select phone" as more;

select id as customers, title as email from articles where id = 8 /* customers.email */;

select body from tickets where id = 9 and subject <> 'select * from customers; --';

set @customer = 63;

select name from customers where id = @customer;

select id, subject from tickets where id = 12;
