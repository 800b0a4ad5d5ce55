-- What content systems and shops send (in the manner of WordPress, WooCommerce, Magento, Drupal, Joomla).

SELECT @@SESSION.sql_mode;

SET SESSION sql_mode='NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO';

SHOW FULL COLUMNS FROM `articles`;

SELECT SQL_CALC_FOUND_ROWS articles.id FROM articles WHERE 1=1 AND articles.title LIKE '%How%' ORDER BY articles.updated_at DESC LIMIT 0, 10;

SELECT FOUND_ROWS();

SELECT title, body FROM articles WHERE id IN (1,2,3,4,5,6,7,8,9,10);

SELECT t.*, p.name FROM orders AS t INNER JOIN products AS p ON t.product_id = p.id WHERE t.customer_id IN (18) ORDER BY t.id ASC;

SELECT YEAR(updated_at) AS `year`, MONTH(updated_at) AS `month`, count(id) as posts FROM articles WHERE updated_at IS NOT NULL GROUP BY YEAR(updated_at), MONTH(updated_at) ORDER BY updated_at DESC LIMIT 12;

-- simple
START TRANSACTION;

INSERT INTO `articles` (`id`, `title`, `body`) VALUES (900100, '_transient_feed', 'a:2:{s:1:"x";i:1;}');

UPDATE `articles` SET `body` = 'O:8:\"stdClass\":0:{}' WHERE `title` = '_transient_feed';

DELETE a, b FROM articles a, articles b WHERE a.title LIKE '\_transient\_%' AND a.id > 900000 AND b.title = CONCAT( '_transient_', SUBSTRING( a.title, 12 ) ) AND b.id > 900000;

ROLLBACK;

SELECT e.id, IF(e.cents > 1000, 'dear', 'cheap') AS price, COALESCE(NULLIF(e.name, ''), e.sku) AS label FROM products AS e WHERE (e.id % 50 = 0) AND ((e.cents IS NULL) OR (e.cents >= '100')) ORDER BY e.id;

SELECT p.id, (SELECT COUNT(*) FROM orders o WHERE o.product_id = p.id) AS sold FROM products p WHERE p.id < 6 ORDER BY p.id;

SELECT customer_id, SUM(quantity) AS total FROM orders WHERE customer_id = 18 GROUP BY customer_id;

SELECT id, name, email FROM customers WHERE id = 18;

SELECT 'a' AS setting UNION SELECT 'b';

SET SESSION sql_mode=DEFAULT;

-- shape
SHOW STATUS LIKE 'Threads_connected';
