-- What drivers, poolers and monitors send before and between anybody's own statements.

SET client_encoding TO 'UTF8';

SET DateStyle TO 'ISO';

SET TIME ZONE 'Europe/Berlin';

RESET TIME ZONE;

SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE;

SELECT 1;

select 1 as "ping";

SELECT pg_is_in_recovery();

SHOW default_transaction_read_only;

SELECT pg_catalog.set_config('search_path', 'public', false);

SELECT pg_catalog.set_config('application_name', 'checker', false), current_setting('application_name');

SELECT current_setting('no.such.setting', true);

SHOW server_version;

SHOW ALL;

SELECT pg_backend_pid() > 0, pg_postmaster_start_time() < now();

SELECT inet_server_port() > 0;

SELECT txid_current_if_assigned() IS NULL;

SELECT oid, typname FROM pg_catalog.pg_type WHERE typname IN ('hstore', 'citext', 'geometry') ORDER BY 1;

SELECT typinput = 'pg_catalog.array_in'::regproc AS is_array, typtype, typname, pg_type.oid FROM pg_catalog.pg_type LEFT JOIN (SELECT ns.oid AS nspoid, ns.nspname, r.r FROM pg_namespace AS ns JOIN (SELECT s.r, (current_schemas(false))[s.r] AS nspname FROM generate_series(1, array_upper(current_schemas(false), 1)) AS s (r)) AS r USING (nspname)) AS sp ON sp.nspoid = typnamespace WHERE typname = 'int4' ORDER BY sp.r, pg_type.oid DESC;

SELECT unnest(array[1, 2, 3]) AS n;

SELECT $tag$dollar 'quoted' text$tag$, E'escaped\ttext', U&'\0041', B'101', X'1F', 1e3, .5;

SELECT 'two'
' parts';

SELECT interval '1 day', date '2024-02-29', timestamp '2024-02-29 12:00', time '12:00';

SELECT 1 /* nested /* comment */ here */ + 1 -- and there
AS two;

SELECT true AND NOT false OR NULL IS NULL, 5 BETWEEN 1 AND 10, 'a' LIKE '_', 'a' SIMILAR TO '[a-z]', 'a' ~ '^a';

SELECT greatest(1, 2), least(1, 2), nullif(1, 1), coalesce(NULL, 2);

SELECT (ARRAY[1, 2, 3])[2:3], ROW (1, 'x'), ROW (1, 2) < ROW (1, 3);

SELECT md5('x'), sha256('x'), encode('x', 'base64'), length('naïve ☃');

SELECT random() >= 0, gen_random_uuid() IS NOT NULL, clock_timestamp() > now();

SELECT generate_series(1, 3) AS n, 'x' AS x;

SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS t (n, i);

SELECT * FROM json_to_recordset('[{"a": 1, "b": "x"}]') AS x (a int, b text);

WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t;

SELECT DISTINCT ON (n % 2) n FROM generate_series(1, 6) n ORDER BY n % 2, n DESC;

(SELECT 1 UNION SELECT 2) INTERSECT SELECT 2 EXCEPT SELECT 3;

