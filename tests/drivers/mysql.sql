-- What somebody types into a client: several statements, delimiters, variables, errors, transactions, other databases.
select version() like '%.%' as version, connection_id() > 0 as connected;
select * from every_type order by id\G
select id, name, email from customers order by id limit 20;
show warnings;
select 1; select 2 as b; select 'three';
delimiter //
create procedure of_the_script(n int)
begin
    select n as given;
    if n > 0 then
        select id, title from articles where id <= n order by id;
    end if;
end//
call of_the_script(3)//
call of_the_script(0); select 'behind a procedure'//
drop procedure of_the_script//
delimiter ;
call of_the_script(1);
select * from no_such_table;
selec 1;
select 1 / 0;
show warnings;
set @wanted = 7;
prepare p from 'select id, name from customers where id = ?';
execute p using @wanted;
deallocate prepare p;
start transaction;
update articles set title = concat(title, '!') where id <= 3;
savepoint s;
delete from articles where id = 4;
rollback to s;
select id, title from articles where id <= 4 order by id;
rollback;
select id, title from articles where id <= 4 order by id;
create temporary table mine (n int primary key, t text);
insert into mine values (1, 'one'), (2, 'two') on duplicate key update t = 'again';
replace into mine values (2, 'zwei');
insert ignore into mine values (1, 'ignored');
select * from mine order by n;
select t.id, c.name from tickets t join customers c on c.id = t.customer_id where t.id < 6 order by t.id;
select status, count(*) from tickets group by status with rollup;
(select id from articles where id < 3) union all (select id from products where id < 3) order by id;
with recursive n as (select 1 as n union all select n + 1 from n where n < 5) select sum(n) from n;
explain select id from articles where id = 3;
show tables;
show create table products;
describe customers;
show full columns from tickets;
show index from customers;
use billing
select count(*) from cards;
show variables like 'autocommit';
set names latin1;
select 'é' = x'e9' or true as encoded;
set names utf8mb4;
select 'naïve ☃', _latin1 x'e9', n'national', b'1010', 0x41, "double", 'it''s', 'back\\slash', /* comment */ 1 -- comment
;
select /*!40101 1 + */ 1 as versioned; # another comment
select sql_no_cache high_priority 1 as hinted;
lock tables cards read;
select count(*) from cards;
unlock tables;
handler cards open;
handler cards read first limit 2;
handler cards close;
do sleep(0);
select repeat('long ', 20000) as long_one;
kill query 4294967000;
select 'all of it';
