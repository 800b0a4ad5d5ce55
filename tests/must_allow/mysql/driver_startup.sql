-- What drivers, poolers and monitors of MySQL send before and between anybody's own statements.

SET NAMES utf8mb4;

SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci';

SET character_set_results = NULL;

SET autocommit=1;

SET sql_mode='STRICT_TRANS_TABLES';

SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;

set session transaction read write;

SET sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'), time_zone = '+00:00';

SET @@session.wait_timeout = 28800, @@session.net_write_timeout = 600;

SET CHARACTER SET utf8mb4;

select 1;

/* ping */ SELECT 1;

SELECT @@version;

select @@version_comment limit 1;

SELECT VERSION() AS version, DATABASE() AS db;

SELECT @@max_allowed_packet,@@wait_timeout;

select @@session.autocommit, @@session.time_zone, @@system_time_zone, @@auto_increment_increment, @@lower_case_table_names, @@sql_mode, @@character_set_client, @@collation_connection;

/* connector-java (a revision) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@wait_timeout AS wait_timeout;

SHOW VARIABLES WHERE Variable_name IN ('max_allowed_packet','system_time_zone','time_zone','auto_increment_increment');

-- only: mariadb
SHOW VARIABLES WHERE Variable_name ='language' OR Variable_name = 'net_write_timeout' OR Variable_name = 'interactive_timeout' OR Variable_name = 'wait_timeout' OR Variable_name = 'character_set_client' OR Variable_name = 'tx_isolation';

-- only: mariadb
SELECT @@tx_isolation;

-- only: mysql9
SELECT @@session.transaction_isolation;

-- only: mysql9
SELECT @@session.transaction_read_only;

SHOW COLLATION WHERE Collation = 'utf8mb4_general_ci';

SHOW WARNINGS;

-- shape
SHOW GLOBAL STATUS LIKE 'Uptime';

-- shape
SHOW SESSION STATUS LIKE 'Ssl_version';

-- shape
SELECT CONNECTION_ID(), NOW(), UTC_TIMESTAMP(6), UUID(), RAND() >= 0;

SELECT USER(), CURRENT_USER() AS me, SCHEMA();

SET @OLD = @@sql_mode, @n := 3;

SELECT @n, @n + 1 AS next, @undefined_so_far;

SELECT 'naïve ☃', _utf8mb4 x'c3a9', N'national', b'1010', 0x41, X'4142', "double", 'it''s', 'back\\slash\n', "mixed 'quotes'";

SELECT 'two' ' parts', 1.5e3, .5, -7 DIV 2, 7 % 3, 1 <=> NULL, NOT 0, !1, ~1 & 0xFF, 1 << 3, 5 | 2, 6 ^ 3, 1 XOR 1;

SELECT 1 /* comment */ + 1 -- and there
AS two # and here
;

SELECT /*!40101 SQL_NO_CACHE */ 1 AS versioned;

SELECT /*! STRAIGHT_JOIN */ 1 AS hinted;

SELECT SQL_NO_CACHE HIGH_PRIORITY 1 AS old_words;

SELECT DATE '2024-02-29', TIME '12:00:00', TIMESTAMP '2024-02-29 12:00:00', DATE_ADD('2024-02-29', INTERVAL 1 YEAR), INTERVAL(3, 1, 2, 5);

SELECT GREATEST(1, 2), LEAST(1, 2), NULLIF(1, 1), IFNULL(NULL, 2), COALESCE(NULL, 3), IF(1, 'y', 'n'), CASE WHEN 1 THEN 2 ELSE 3 END;

SELECT SHA2('x', 256), HEX('x'), LENGTH('naïve ☃'), CHAR_LENGTH('naïve ☃'), CONCAT_WS('-', 'a', NULL, 'b'), ELT(2, 'a', 'b'), FIELD('b', 'a', 'b'), FIND_IN_SET('b', 'a,b');

SELECT 'a' LIKE '_', 'a' NOT LIKE 'b%' ESCAPE '|', 'abc' REGEXP '^a', 'abc' RLIKE 'c$', BINARY 'a' = 'A', CAST('12' AS UNSIGNED), CONVERT('x' USING utf8mb4), 'a' COLLATE utf8mb4_bin;

SELECT JSON_EXTRACT('{"a": [1, 2]}', '$.a[0]'), JSON_OBJECT('k', 1), JSON_ARRAY(1, 'x'), JSON_VALID('{}');

WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT SUM(n) FROM t;

(SELECT 1 AS n UNION SELECT 2) UNION ALL SELECT 2 ORDER BY n DESC LIMIT 2;

SELECT * FROM (SELECT 1 AS a, 'x' AS b) AS t WHERE a IN (1, 2);

SELECT a.n, b.n FROM (SELECT 1 n UNION SELECT 2) a LEFT JOIN (SELECT 2 n) b USING (n) ORDER BY 1;

SELECT 1 FROM DUAL WHERE EXISTS (SELECT NULL);

DO SLEEP(0);

-- simple
BEGIN;

-- simple
COMMIT AND NO CHAIN;

START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;

SELECT COUNT(*) FROM articles;

ROLLBACK;

SELECT LAST_INSERT_ID(), ROW_COUNT(), FOUND_ROWS();

SELECT GET_LOCK('weir-corpus', 1), IS_FREE_LOCK('weir-other'), RELEASE_LOCK('weir-corpus');

SELECT CURRENT_USER, CURRENT_DATE IS NOT NULL, LOCALTIME IS NOT NULL;
