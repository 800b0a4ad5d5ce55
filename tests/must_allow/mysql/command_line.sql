-- What the command-line clients ask by themselves, what their users type, and what mysqldump and its kind read of a
-- table that nobody calls sensitive.

select @@version_comment limit 1;

select USER();

SELECT DATABASE();

show databases like 'support%';

show tables;

show full tables where Table_type = 'VIEW';

show tables like 'cust%';

show fields from articles;

explain articles;

desc tickets;

show columns from support_of_the_test.products like 's%';

show create view article_titles;

show create procedure find_customer;

show create function ticket_age;

show create database support_of_the_test;

-- shape
show table status like 'articles';

-- shape
show processlist;

show grants;

show grants for current_user();

show privileges;

show character set like 'utf8%';

-- shape
show engines;

-- shape
show plugins;

show errors;

show count(*) warnings;

show variables like 'max_allowed_packet';

show global variables like 'local_infile';

show triggers;

show events;

-- shape
show procedure status where Db = database();

-- shape
show function status like 'ticket%';

-- shape
show open tables;

help 'select';

checksum table articles;

check table products;

explain select * from articles where id = 5;

-- shape
explain format=json select count(*) from tickets where status = 'open';

-- only: mariadb
-- shape
analyze format=json select count(*) from tickets;

-- only: mysql9
-- shape
explain analyze select count(*) from tickets;

-- only: mysql9
table products order by id limit 3;

-- only: mysql9
values row(1, 2), row(3, 4);

SET SQL_QUOTE_SHOW_CREATE=1;

/*!40100 SET @@SQL_MODE='' */;

/*!40103 SET TIME_ZONE='+00:00' */;

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;

/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;

/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;

-- only: mariadb
/*M!100616 SET @OLD_NOTE_VERBOSITY=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */;

SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;

START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */;

-- only: mariadb
SELECT LOGFILE_GROUP_NAME, FILE_NAME FROM INFORMATION_SCHEMA.FILES WHERE FILE_TYPE = 'UNDO LOG' AND FILE_NAME IS NOT NULL AND LOGFILE_GROUP_NAME IS NOT NULL;

SHOW VARIABLES LIKE 'ndbinfo\_version';

SAVEPOINT sp;

show create table `articles`;

SET SESSION character_set_results = 'binary';

SELECT /*!40001 SQL_NO_CACHE */ * FROM `articles`;

SELECT /*!40001 SQL_NO_CACHE */ `id`, `sku`, `name`, `cents` FROM `products` ORDER BY `id`;

SET SESSION character_set_results = 'utf8mb4';

SHOW TRIGGERS LIKE 'articles';

ROLLBACK TO SAVEPOINT sp;

RELEASE SAVEPOINT sp;

LOCK TABLES `articles` READ /*!32311 LOCAL */, `products` READ;

SELECT COUNT(*) FROM products;

UNLOCK TABLES;

-- simple
handler articles open;

-- simple
handler articles read first limit 3;

-- simple
handler articles close;

-- simple
prepare p from 'select title from articles where id = ?';

-- simple
set @id = 5;

-- simple
execute p using @id;

-- simple
deallocate prepare p;

call two_results(2);

-- simple
use support_of_the_test;

optimize table products;

analyze table products;

-- shape
select table_name, table_rows, data_length + index_length from information_schema.tables where table_schema = database() order by 1;
