-- What dashboards ask (in the manner of Metabase, Superset, Tableau, Looker, Power BI): counts, sums and series, never a
-- person; and how they find out what there is.

-- Metabase:: userID: 7 queryType: MBQL queryHash: 5f3c
SELECT COUNT(*) AS `count` FROM `tickets`;

SELECT DATE(`tickets`.`opened_at`) AS `opened_at`, COUNT(*) AS `count` FROM `tickets` GROUP BY DATE(`tickets`.`opened_at`) ORDER BY DATE(`tickets`.`opened_at`) ASC LIMIT 30;

SELECT STR_TO_DATE(CONCAT(DATE_FORMAT(`source`.`opened_at`, '%Y-%m'), '-01'), '%Y-%m-%d') AS `month`, COUNT(*) AS `count` FROM (SELECT `tickets`.`opened_at` AS `opened_at` FROM `tickets`) `source` GROUP BY STR_TO_DATE(CONCAT(DATE_FORMAT(`source`.`opened_at`, '%Y-%m'), '-01'), '%Y-%m-%d') ORDER BY 1;

SELECT `customers`.`language` AS `language`, COUNT(*) AS `n`, ROUND(AVG(`customers`.`balance`), 2) AS `avg`, SUM(`customers`.`balance`) AS `sum` FROM `customers` GROUP BY `customers`.`language` ORDER BY `n` DESC, `language`;

SELECT language, vip, COUNT(*) AS n FROM customers GROUP BY language, vip WITH ROLLUP;

SELECT COUNT(DISTINCT customer_id) AS customers, COUNT(*) AS orders, SUM(quantity) AS pieces FROM orders WHERE ordered_at >= '2026-01-02';

SELECT p.id, p.name, SUM(o.quantity * p.cents) / 100 AS revenue FROM orders o JOIN products p ON p.id = o.product_id GROUP BY p.id, p.name ORDER BY revenue DESC, p.id LIMIT 10;

SELECT YEAR(o.ordered_at) AS y, QUARTER(o.ordered_at) AS q, WEEK(o.ordered_at, 3) AS w, COUNT(*) FROM orders o GROUP BY y, q, w ORDER BY y, q, w;

SELECT c.language, COUNT(DISTINCT o.id) AS orders FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.language HAVING orders > 10 ORDER BY c.language;

SELECT status, COUNT(*) / (SELECT COUNT(*) FROM tickets) AS share FROM tickets GROUP BY status ORDER BY status;

SELECT GROUP_CONCAT(DISTINCT status ORDER BY status SEPARATOR ', ') AS statuses FROM tickets;

SELECT JSON_ARRAYAGG(title) FROM articles WHERE id <= 3;

SELECT day, n, SUM(n) OVER (ORDER BY day) AS running, LAG(n) OVER (ORDER BY day) AS before_it FROM (SELECT DATE(opened_at) AS day, COUNT(*) AS n FROM tickets GROUP BY DATE(opened_at)) d ORDER BY day LIMIT 15;

SELECT agent, ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC, agent) AS place, COUNT(*) AS n FROM tickets WHERE agent IS NOT NULL GROUP BY agent;

SELECT SUM(CASE WHEN status = 'open' THEN 1 ELSE 0 END) AS open, SUM(IF(status = 'closed', 1, 0)) AS closed FROM tickets;

SELECT MIN(ordered_at), MAX(ordered_at), STDDEV_POP(quantity), VARIANCE(quantity), BIT_OR(quantity) FROM orders;

SELECT FLOOR(balance / 25) * 25 AS bucket, COUNT(*) FROM customers GROUP BY bucket ORDER BY bucket;

WITH monthly AS (SELECT DATE_FORMAT(ordered_at, '%Y-%m') AS m, COUNT(*) AS n FROM orders GROUP BY m) SELECT m, n, RANK() OVER (ORDER BY n DESC) FROM monthly ORDER BY m;

SELECT SUM(1) AS `cnt:ok`, 1 AS `x__alias__0` FROM `tickets` HAVING COUNT(1) > 0;

SELECT `t0`.`TABLE_SCHEMA`, `t0`.`TABLE_NAME` FROM `information_schema`.`TABLES` `t0` WHERE `t0`.`TABLE_SCHEMA` NOT IN ('mysql', 'performance_schema', 'sys', 'information_schema') AND `t0`.`TABLE_SCHEMA` = DATABASE() ORDER BY 2;

SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, IS_NULLABLE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('orders', 'tickets') ORDER BY TABLE_NAME, ORDINAL_POSITION;

SELECT * FROM (SELECT id, sku, cents FROM products) AS virtual_table ORDER BY id LIMIT 100;

SELECT 1 FROM tickets WHERE 1 <> 1 LIMIT 0;
