-- A customer support's databases for MySQL 9 and MariaDB, with everything in them that can hide where rows come from.
-- A line of ;; ends a statement; one whose first line is @mysql or @mariadb is for that server only.
SET NAMES utf8mb4
;;
DROP DATABASE IF EXISTS support
;;
DROP DATABASE IF EXISTS archive
;;
DROP DATABASE IF EXISTS scratch
;;
CREATE DATABASE support CHARACTER SET utf8mb4
;;
CREATE DATABASE archive CHARACTER SET utf8mb4
;;
CREATE DATABASE scratch CHARACTER SET utf8mb4
;;
USE support
;;
SET SESSION sql_log_bin=0
;;
CREATE TABLE customers (
  id INT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(80) NOT NULL, phone VARCHAR(30), address VARCHAR(160), plan VARCHAR(20) NOT NULL,
  created_at DATETIME NOT NULL, profile JSON,
  email_domain VARCHAR(80) GENERATED ALWAYS AS (substring_index(email,'@',-1)) STORED,
  contact_line VARCHAR(200) GENERATED ALWAYS AS (concat(name,' <',email,'>')) VIRTUAL,
  KEY (email), KEY (phone), KEY (created_at, id)
)
;;
CREATE TABLE cards (id INT PRIMARY KEY, customer_id INT, pan VARCHAR(20), holder VARCHAR(80), exp VARCHAR(8), KEY (customer_id))
;;
CREATE TABLE payments (id INT PRIMARY KEY, card_id INT, customer_id INT, amount_cents INT, ref VARCHAR(40), paid_at DATETIME)
;;
CREATE TABLE employees (id INT PRIMARY KEY, name VARCHAR(80), email VARCHAR(80), salary INT, ssn VARCHAR(20), manager_id INT)
;;
CREATE TABLE tickets (id INT PRIMARY KEY, customer_id INT, subject VARCHAR(80), body TEXT, status VARCHAR(12), priority INT, agent_id INT, created_at DATETIME, KEY (customer_id))
;;
CREATE TABLE products (id INT PRIMARY KEY, sku VARCHAR(20), name VARCHAR(80), price_cents INT, stock INT)
;;
CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, product_id INT, qty INT, created_at DATETIME, KEY (customer_id))
;;
LOAD DATA LOCAL INFILE 'data/customers.tsv' INTO TABLE customers (id,name,email,phone,address,plan,created_at,profile)
;;
LOAD DATA LOCAL INFILE 'data/cards.tsv' INTO TABLE cards
;;
LOAD DATA LOCAL INFILE 'data/payments.tsv' INTO TABLE payments
;;
LOAD DATA LOCAL INFILE 'data/employees.tsv' INTO TABLE employees
;;
LOAD DATA LOCAL INFILE 'data/tickets.tsv' INTO TABLE tickets
;;
LOAD DATA LOCAL INFILE 'data/products.tsv' INTO TABLE products
;;
LOAD DATA LOCAL INFILE 'data/orders.tsv' INTO TABLE orders
;;
CREATE TABLE archive.customers AS SELECT id, plan, date_format(created_at,'%Y-%m-01') AS month FROM customers WHERE id % 20 = 0
;;
CREATE TABLE archive.crm_import_2023 AS SELECT id AS k, name AS a, email AS b, phone AS c FROM customers WHERE id <= 5000
;;
CREATE TABLE contacts (id INT, region CHAR(1), name VARCHAR(80), email VARCHAR(80), phone VARCHAR(30), PRIMARY KEY (id, region))
  PARTITION BY LIST COLUMNS (region) (PARTITION part_n VALUES IN ('n'), PARTITION part_s VALUES IN ('s'))
;;
INSERT INTO contacts SELECT id, IF(id % 2 = 0,'n','s'), name, email, phone FROM customers WHERE id <= 20000
;;
CREATE VIEW v_customers AS SELECT id, name, email, phone, plan FROM customers
;;
CREATE ALGORITHM=MERGE VIEW v_merge AS SELECT id AS c0, email AS c1 FROM customers
;;
CREATE ALGORITHM=TEMPTABLE VIEW v_temp AS SELECT id AS c0, email AS c1 FROM customers
;;
CREATE VIEW v_contacts AS SELECT v.id, v.name AS who, v.email AS mail FROM v_customers v
;;
CREATE VIEW v_dir AS SELECT id AS c0, who AS c1, mail AS c2 FROM v_contacts
;;
CREATE VIEW v_plan_counts AS SELECT plan, count(*) AS n, min(created_at) AS first_at FROM customers GROUP BY plan
;;
CREATE VIEW v_plan_people AS SELECT plan, group_concat(email) AS people FROM customers WHERE id <= 3000 GROUP BY plan
;;
CREATE VIEW v_union AS SELECT id, email FROM customers WHERE id <= 3000 UNION ALL SELECT id, sku FROM products
;;
CREATE VIEW v_masked AS SELECT id, concat(left(name,1),'***') AS name, concat(left(email,2),'***') AS email, plan FROM customers
;;
CREATE VIEW v_ticket_queue AS SELECT t.id, t.subject, t.status, t.priority, c.plan FROM tickets t JOIN customers c ON c.id = t.customer_id
;;
CREATE VIEW v_customer_cards AS SELECT c.name, c.email, k.pan FROM customers c JOIN cards k ON k.customer_id = c.id
;;
CREATE VIEW clients AS SELECT * FROM customers
;;
CREATE VIEW archive.products AS SELECT id, email AS sku, name, phone AS price_cents, 1 AS stock FROM support.customers
;;
CREATE PROCEDURE p_all() READS SQL DATA SELECT * FROM customers
;;
CREATE PROCEDURE p_range(IN lo INT, IN hi INT) READS SQL DATA BEGIN SET @q = concat('SELECT id, email FROM cust','omers WHERE id BETWEEN ? AND ?'); PREPARE s FROM @q; SET @a=lo, @b=hi; EXECUTE s USING @a,@b; DEALLOCATE PREPARE s; END
;;
CREATE PROCEDURE p_loop(IN n INT) READS SQL DATA BEGIN DECLARE i INT DEFAULT 1; WHILE i <= n DO SELECT email FROM customers WHERE id = i; SET i = i + 1; END WHILE; END
;;
CREATE PROCEDURE p_cursor(OUT res LONGTEXT) READS SQL DATA BEGIN DECLARE d INT DEFAULT 0; DECLARE e VARCHAR(80); DECLARE acc LONGTEXT DEFAULT '';
 DECLARE c CURSOR FOR SELECT phone FROM customers WHERE id <= 2000; DECLARE CONTINUE HANDLER FOR NOT FOUND SET d = 1;
 OPEN c; l: LOOP FETCH c INTO e; IF d THEN LEAVE l; END IF; SET acc = concat(acc, ',', e); END LOOP; CLOSE c; SET res = acc; END
;;
CREATE PROCEDURE p_signal(IN i INT) READS SQL DATA BEGIN DECLARE m VARCHAR(128); SELECT email INTO m FROM customers WHERE id = i; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = m; END
;;
CREATE PROCEDURE p_ticket_count(IN cid INT) READS SQL DATA SELECT count(*) AS n FROM tickets WHERE customer_id = cid
;;
CREATE FUNCTION f_mail(i INT) RETURNS VARCHAR(80) READS SQL DATA RETURN (SELECT email FROM customers WHERE id = i)
;;
CREATE FUNCTION f_blob(n INT) RETURNS LONGTEXT READS SQL DATA RETURN (SELECT json_arrayagg(email) FROM customers WHERE id <= n)
;;
CREATE DEFINER=root@localhost FUNCTION f_secdef_pan(i INT) RETURNS VARCHAR(20) READS SQL DATA SQL SECURITY DEFINER RETURN (SELECT pan FROM cards WHERE id = i)
;;
CREATE TABLE customers_audit (at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, old_row TEXT)
;;
CREATE TRIGGER tr_audit AFTER UPDATE ON customers FOR EACH ROW INSERT INTO customers_audit(old_row) VALUES (concat_ws(';', OLD.id, OLD.name, OLD.email, OLD.phone))
;;
CREATE TABLE report_request (id INT AUTO_INCREMENT PRIMARY KEY, lo INT, hi INT)
;;
CREATE TABLE report_lines (req INT, line VARCHAR(200))
;;
CREATE TRIGGER tr_report AFTER INSERT ON report_request FOR EACH ROW INSERT INTO report_lines SELECT NEW.id, concat(email,';',phone) FROM customers WHERE id BETWEEN NEW.lo AND NEW.hi
;;
CREATE TABLE agent_notes (id INT PRIMARY KEY, agent VARCHAR(20), note VARCHAR(80))
;;
INSERT INTO agent_notes SELECT id, concat('agent',id%5), concat('note ',id) FROM products WHERE id <= 1000
;;
CREATE TABLE scratch.sink (k INT, v TEXT)
;;
ANALYZE TABLE customers, cards, payments, tickets, products, orders, contacts
;;
SET SESSION sql_log_bin=1
;;
@mariadb
CREATE TABLE people_hist (id INT PRIMARY KEY, email VARCHAR(80), phone VARCHAR(30)) WITH SYSTEM VERSIONING
;;
@mariadb
INSERT INTO people_hist SELECT id, email, phone FROM customers WHERE id <= 4000
;;
@mariadb
DELETE FROM people_hist
;;
@mariadb
CREATE TABLE menu (id INT, name VARCHAR(80), email VARCHAR(80)) ENGINE=MyISAM
;;
@mariadb
INSERT INTO menu SELECT id, name, email FROM customers WHERE id <= 3000
;;
@mysql
ANALYZE TABLE customers UPDATE HISTOGRAM ON email, phone WITH 1024 BUCKETS
;;
