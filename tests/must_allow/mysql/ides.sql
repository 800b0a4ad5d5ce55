-- What graphical clients ask when they connect and when somebody clicks through the tree (in the manner of DBeaver,
-- Workbench, DataGrip, HeidiSQL, phpMyAdmin, TablePlus): settings, information_schema, and a grid of at most 200 rows.

/* ApplicationName=DBeaver - Main */ SET autocommit=1;

/* ApplicationName=DBeaver - Metadata */ SELECT DATABASE();

/* ApplicationName=DBeaver - Metadata */ SHOW PLUGINS;

/* ApplicationName=DBeaver - Main */ SET SQL_SELECT_LIMIT=DEFAULT;

SET SQL_SELECT_LIMIT=200;

SELECT x.* FROM articles x;

SET SQL_SELECT_LIMIT=DEFAULT;

-- shape
SHOW FULL PROCESSLIST;

SHOW DATABASES WHERE `Database` IN ('support', 'billing', 'information_schema');

SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'support_of_the_test';

-- shape
SHOW TABLE STATUS FROM `support_of_the_test`;

SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='support_of_the_test' AND TABLE_NAME='articles' ORDER BY ORDINAL_POSITION;

-- shape
SELECT * FROM information_schema.STATISTICS WHERE TABLE_SCHEMA='support_of_the_test' AND TABLE_NAME='tickets' ORDER BY INDEX_NAME, SEQ_IN_INDEX;

SELECT cc.CONSTRAINT_NAME, cc.CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS cc WHERE cc.CONSTRAINT_SCHEMA='support_of_the_test' ORDER BY 1;

SELECT kcu.CONSTRAINT_NAME, kcu.TABLE_SCHEMA, kcu.TABLE_NAME, kcu.COLUMN_NAME, kcu.REFERENCED_TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE kcu WHERE kcu.REFERENCED_TABLE_SCHEMA='support_of_the_test' AND kcu.REFERENCED_TABLE_NAME='customers' ORDER BY 1, 3;

SELECT r.CONSTRAINT_NAME, r.UPDATE_RULE, r.DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS r WHERE r.CONSTRAINT_SCHEMA='support_of_the_test' ORDER BY 1;

SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, SECURITY_TYPE FROM information_schema.VIEWS WHERE TABLE_SCHEMA='support_of_the_test' ORDER BY TABLE_NAME;

SELECT ROUTINE_NAME, ROUTINE_TYPE, DTD_IDENTIFIER, ROUTINE_BODY, IS_DETERMINISTIC, SQL_DATA_ACCESS FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='support_of_the_test' ORDER BY ROUTINE_TYPE, ROUTINE_NAME;

SELECT SPECIFIC_NAME, ORDINAL_POSITION, PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA='support_of_the_test' ORDER BY SPECIFIC_NAME, ORDINAL_POSITION;

SELECT TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='support_of_the_test';

SELECT PARTITION_NAME, PARTITION_METHOD, PARTITION_EXPRESSION, PARTITION_DESCRIPTION FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA='support_of_the_test' AND TABLE_NAME='contact_log' ORDER BY PARTITION_ORDINAL_POSITION;

SELECT GRANTEE, PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.SCHEMA_PRIVILEGES WHERE TABLE_SCHEMA='billing' ORDER BY 1, 2;

SELECT CHARACTER_SET_NAME, DESCRIPTION, MAXLEN FROM information_schema.CHARACTER_SETS ORDER BY 1;

SELECT COLLATION_NAME, IS_DEFAULT FROM information_schema.COLLATIONS WHERE CHARACTER_SET_NAME = 'latin1' ORDER BY 1;

SELECT ENGINE, SUPPORT FROM information_schema.ENGINES WHERE ENGINE = 'InnoDB';

-- shape
SHOW GLOBAL STATUS;

-- shape
SHOW SESSION VARIABLES;

-- shape
SELECT * FROM information_schema.PROCESSLIST;

SELECT t.* FROM tickets t LIMIT 200;

SELECT t.* FROM `support_of_the_test`.`customers` t WHERE t.id < 50 ORDER BY t.id LIMIT 0, 200;

SELECT COUNT(*) FROM `support_of_the_test`.`customers`;

EXPLAIN SELECT * FROM customers WHERE email = 'customer5@example.org';

EXPLAIN FORMAT=TRADITIONAL SELECT c.name, t.subject FROM customers c, tickets t WHERE t.customer_id = c.id AND c.id = 5;

SHOW CREATE VIEW `support_of_the_test`.`customer_directory`;

SHOW INDEXES FROM `customers` FROM `support_of_the_test` WHERE Key_name = 'PRIMARY' AND 1 = 0;

SHOW FULL COLUMNS FROM `support_of_the_test`.`open_tickets`;

SELECT 'FUNCTION' AS kind, name FROM (SELECT 'a' AS name) x UNION ALL SELECT 'PROCEDURE', 'b' ORDER BY 1;

SELECT TABLE_NAME AS "name", CASE TABLE_TYPE WHEN 'BASE TABLE' THEN 'T' WHEN 'VIEW' THEN 'V' ELSE TABLE_TYPE END AS kind FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'support\_of\_the\_test' ORDER BY kind, name;
