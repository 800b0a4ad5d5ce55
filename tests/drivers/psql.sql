-- What people and scripts do with psql. The output must be the same directly and through Weir.
\set VERBOSITY verbose
\set SHOW_CONTEXT always
\pset pager off
select current_user, current_database(), current_setting('application_name');
\d
\d customers
\d+ tickets
\d contact_log
\d+ customer_directory
\dt *.*
\di public.*
\df public.*
\df+ find_customer
\sf find_customer
\sv customer_directory
\dv
\dm
\ds
\dn+
\du
\dp customers
\dT
\dx
\dC
\dd
\ddp
\dRp
\des
\dy
\l support
\dconfig work_mem
\z billing.*
select * from every_type order by id;
\x on
select * from every_type where id = 1;
\x auto
select id, name from customers order by id limit 3 \gdesc
select 'select ' || n from generate_series(1, 3) n \gexec
select id, subject from tickets where id = 5 \gset got_
\echo :got_id :got_subject
\set FETCH_COUNT 7
select id, email from customers where id <= 20 order by id;
\unset FETCH_COUNT
select 1 as a \; select 2 as b \; select 3 as c;
-- Errors: syntax, missing relation, division, constraint; and life after each.
selec 1;
select * from no_such_table;
select 1 / 0;
insert into tickets (customer_id, subject) values (999999, 'nobody');
select 'still here';
begin;
insert into articles values (9001, 'draft', 'body', '2026-01-01');
savepoint s;
insert into articles values (9001, 'again', 'body', null);
rollback to s;
select id, title from articles where id > 9000;
rollback;
select count(*) from articles;
\set ON_ERROR_ROLLBACK on
begin;
select 1 / 0;
select 'rescued by a savepoint of psql';
commit;
-- Cursors.
begin;
declare c scroll cursor for select id, title from articles order by id;
fetch 2 from c;
fetch backward 1 from c;
move 10 in c;
fetch next from c;
close c;
commit;
-- COPY both ways.
\copy (select id, name, email from customers where id <= 5 order by id) to stdout
\copy (select id, name, email from customers where id <= 5 order by id) to stdout with (format csv, header)
copy (select id, title from articles where id <= 3 order by id) to stdout;
create temp table loaded (id int, note text);
\copy loaded from stdin
1	one
2	two with \\ and tab
\N	\N
\.
copy loaded from stdin with (format csv);
4,"four, quoted"
5,five
\.
select * from loaded order by id;
copy loaded from stdin;
not a number	x
\.
select count(*) from loaded;
-- Prepared in SQL, notices, DO, notifications, EXPLAIN, large result, empty statements.
prepare lookup (int) as select id, name from customers where id = $1;
execute lookup (11);
deallocate lookup;
do $$ begin raise notice 'hello %', 1; raise warning 'careful'; end $$;
listen news;
notify news, 'payload';
select 1 as after_notify;
unlisten *;
explain (costs off) select * from customers where id = 3;
select count(*), sum(length(x)) from (select repeat('x', n) as x from generate_series(1, 2000) n) t;
select n, repeat(chr(65 + n % 26), 300) from generate_series(1, 200) n;
;
select;
set search_path = billing, public;
\d cards
select count(*) from cards;
reset search_path;
set client_encoding = 'LATIN1';
select 'caf' || chr(233) as latin;
reset client_encoding;
set datestyle = 'German';
select date '2024-02-29';
reset datestyle;
show transaction_isolation;
begin isolation level serializable read only;
show transaction_read_only;
commit;
create table scratch_pad as select id, title from article_titles where id < 10;
\d scratch_pad
alter table scratch_pad add column extra int default 5;
select * from scratch_pad order by id limit 2;
drop table scratch_pad;
\lo_list
\timing off
\encoding
