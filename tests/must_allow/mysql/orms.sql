-- In the manner of object mappers: Django, SQLAlchemy, Hibernate, Sequelize, TypeORM, Prisma, Active Record, Eloquent.

-- with: 31 | 32 | 33
SELECT `customers`.`id`, `customers`.`name`, `customers`.`email`, `customers`.`phone`, `customers`.`vip`, `customers`.`balance`, `customers`.`created_at` FROM `customers` WHERE `customers`.`id` = ? LIMIT 21;

SELECT `tickets`.`id`, `tickets`.`subject`, `customers`.`id`, `customers`.`name` FROM `tickets` INNER JOIN `customers` ON (`tickets`.`customer_id` = `customers`.`id`) WHERE `tickets`.`customer_id` = 14 ORDER BY `tickets`.`id` ASC;

SELECT COUNT(*) AS `__count` FROM `tickets` WHERE `tickets`.`status` = 'open';

SELECT 1 AS `a` FROM `tickets` WHERE `tickets`.`customer_id` = 14 LIMIT 1;

SELECT `tickets`.`status`, COUNT(`tickets`.`id`) AS `n` FROM `tickets` GROUP BY `tickets`.`status` ORDER BY `tickets`.`status` ASC;

SELECT `tickets`.`id`, `tickets`.`subject` FROM `tickets` WHERE `tickets`.`subject` LIKE BINARY '%et 17%' ORDER BY `tickets`.`id` LIMIT 25;

SELECT (1) AS `a` FROM `customers` WHERE `customers`.`email` = 'customer33@example.org' LIMIT 1;

SHOW FULL TABLES;

SELECT table_name, table_type, table_comment FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name;

SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, extra, column_default, CASE WHEN collation_name = 'utf8mb4_general_ci' THEN NULL ELSE collation_name END AS collation_name FROM information_schema.columns WHERE table_name = 'customers' AND table_schema = DATABASE() ORDER BY ordinal_position;

SELECT kc.`constraint_name`, kc.`column_name`, kc.`referenced_table_name`, kc.`referenced_column_name`, c.`constraint_type` FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS c WHERE kc.table_schema = DATABASE() AND (kc.referenced_table_schema = DATABASE() OR kc.referenced_table_schema IS NULL) AND c.table_schema = kc.table_schema AND c.constraint_name = kc.constraint_name AND c.constraint_type != 'CHECK' AND kc.table_name = 'tickets' AND c.table_name = 'tickets' ORDER BY 1, 2;

-- shape
SHOW INDEX FROM `tickets`;

SELECT engine FROM information_schema.engines WHERE support = 'DEFAULT';

SELECT @@sql_auto_is_null;

SET SQL_AUTO_IS_NULL = 0;

SHOW CREATE TABLE `products`;

SHOW CREATE TABLE `tickets`;

SHOW FULL COLUMNS FROM `customers`;

SHOW FULL TABLES FROM `support_of_the_test`;

DESCRIBE `support_of_the_test`.`tickets`;

SELECT customers.id AS customers_id, customers.name AS customers_name, customers.email AS customers_email FROM customers WHERE customers.id IN (3, 4, 14) ORDER BY customers.id;

-- with: 3 | 14
SELECT tickets.customer_id AS tickets_customer_id, tickets.id AS tickets_id, tickets.subject AS tickets_subject FROM tickets WHERE tickets.customer_id IN (?) ORDER BY tickets.id;

SELECT anon_1.customers_id, anon_1.customers_name, tickets_1.id AS tickets_1_id FROM (SELECT customers.id AS customers_id, customers.name AS customers_name FROM customers WHERE customers.id = 27 LIMIT 1) AS anon_1 LEFT OUTER JOIN tickets AS tickets_1 ON anon_1.customers_id = tickets_1.customer_id ORDER BY tickets_1.id;

select c1_0.id,c1_0.balance,c1_0.created_at,c1_0.email,c1_0.language,c1_0.name,c1_0.phone,c1_0.vip from customers c1_0 where c1_0.id=41;

select t1_0.id,c1_0.id,c1_0.name,t1_0.subject from tickets t1_0 left join customers c1_0 on c1_0.id=t1_0.customer_id where t1_0.status='open' and t1_0.agent is null limit 10;

-- with: 5, 3
select t1_0.id,t1_0.status,t1_0.subject from tickets t1_0 order by t1_0.opened_at desc,t1_0.id limit ?,?;

select count(distinct t1_0.customer_id) from tickets t1_0 where t1_0.status<>'closed';

SELECT `Customer`.`id`, `Customer`.`name`, `Tickets`.`id` AS `Tickets.id`, `Tickets`.`subject` AS `Tickets.subject` FROM `customers` AS `Customer` LEFT OUTER JOIN `tickets` AS `Tickets` ON `Customer`.`id` = `Tickets`.`customer_id` WHERE `Customer`.`id` = '14' ORDER BY `Tickets`.`id`;

SELECT count(*) AS `count` FROM `articles` AS `Article` WHERE `Article`.`title` LIKE '%How%';

SELECT `c`.`id` AS `c_id`, `c`.`name` AS `c_name` FROM `customers` `c` WHERE ((`c`.`id` = 51)) LIMIT 1;

SELECT * FROM `INFORMATION_SCHEMA`.`COLUMNS` WHERE `TABLE_SCHEMA` = 'support_of_the_test' AND `TABLE_NAME` = 'products' ORDER BY ORDINAL_POSITION;

SELECT `main.products`.`id`, `main.products`.`sku` FROM `products` AS `main.products` JOIN (SELECT 1) AS x WHERE 1 = 0 OR FALSE;

SELECT `products`.* FROM `products` WHERE `products`.`sku` = 'SKU-7' LIMIT 1;

SELECT `products`.`id` FROM `products` WHERE `products`.`cents` BETWEEN 100 AND 200 AND `products`.`id` NOT IN (15, 16) ORDER BY `products`.`id` LIMIT 20 OFFSET 0;

select exists(select * from `tickets` where `customer_id` = 14) as `exists`;

select `name`, `email` from `customers` where `id` = 52 limit 1;

select * from `articles` where `articles`.`id` in (1, 2, 3) and `title` is not null order by `id`;

-- simple
START TRANSACTION;

-- with: 14, new ticket of a mapper
INSERT INTO `tickets` (`id`, `customer_id`, `subject`, `status`, `opened_at`) VALUES (900001, ?, ?, 'open', '2026-01-01 00:00:00');

INSERT INTO tickets (id, customer_id, subject, status, opened_at) VALUES (900002, 14, 'a', 'open', '2026-01-01'), (900003, 14, 'b', 'open', '2026-01-01');

UPDATE `tickets` SET `status` = 'pending', `agent` = 'alice' WHERE `tickets`.`id` = 900001;

SELECT `tickets`.`id`, `tickets`.`status` FROM `tickets` WHERE `tickets`.`id` = 900001 FOR UPDATE;

select id from tickets where id = 900002 lock in share mode;

-- only: mysql9
select id from tickets where id = 900002 for share;

SELECT id FROM tickets WHERE id = 900003 FOR UPDATE NOWAIT;

SAVEPOINT `s140_x1`;

DELETE FROM `tickets` WHERE `tickets`.`id` IN (900001, 900002);

ROLLBACK TO SAVEPOINT `s140_x1`;

RELEASE SAVEPOINT `s140_x1`;

UPDATE customers SET language='en' WHERE customers.id = 53;

INSERT INTO `products` (`id`,`sku`,`name`,`cents`) VALUES (900001,'SKU-9','x',1) ON DUPLICATE KEY UPDATE `name`=VALUES(`name`);

REPLACE INTO products (id, sku, name, cents) VALUES (9, 'SKU-9', 'again', 2);

INSERT IGNORE INTO products (id, sku, name, cents) VALUES (9, 'SKU-9', 'ignored', 3);

UPDATE tickets t JOIN customers c ON c.id = t.customer_id SET t.agent = 'bob' WHERE c.id = 14 AND t.status = 'closed';

DELETE t FROM tickets t INNER JOIN products p ON p.id = t.id WHERE p.sku = 'no such';

ROLLBACK;

CREATE TEMPORARY TABLE migrated (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, note VARCHAR(20) DEFAULT 'x', KEY (note)) ENGINE=InnoDB;

INSERT INTO migrated (note) SELECT title FROM articles WHERE id < 4 AND CHAR_LENGTH(title) < 20;

ALTER TABLE migrated ADD COLUMN more INT NULL AFTER note;

SELECT * FROM migrated ORDER BY id;

DROP TEMPORARY TABLE migrated;

CREATE TABLE IF NOT EXISTS `schema_migrations` (`version` VARCHAR(255) NOT NULL PRIMARY KEY);

INSERT INTO `schema_migrations` (`version`) VALUES ('20260101000000');

SELECT `schema_migrations`.`version` FROM `schema_migrations` ORDER BY `schema_migrations`.`version` ASC;

DROP TABLE `schema_migrations`;
