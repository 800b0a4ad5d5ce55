-- What graphical clients ask when they connect and when somebody clicks through the tree (in the manner of
-- DBeaver, pgAdmin, DataGrip, TablePlus, HeidiSQL): settings, catalogs, and a grid of at most 200 rows.

SET extra_float_digits = 3;

SET application_name = 'IDE - Main';

SHOW search_path;

SELECT version();

SELECT current_schema(), session_user, current_database();

SHOW server_version_num;

SELECT current_setting('is_superuser'), current_setting('server_version_num')::int > 90000;

SELECT string_agg(word, ',') FROM pg_catalog.pg_get_keywords() WHERE word LIKE 'sel%';

-- shape
SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE datallowconn ORDER BY db.datname;

SELECT n.nspname, pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' ORDER BY 1;

SELECT c.relname, c.relkind, c.relhasindex, d.description FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('i', 'I', 'c') ORDER BY 1;

-- with: {public.customers} | {public.tickets}
SELECT c.relname, a.attname, a.attnum, a.atttypid, a.attnotnull, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON a.attrelid = c.oid LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum LEFT OUTER JOIN pg_catalog.pg_description dsc ON c.oid = dsc.objoid AND a.attnum = dsc.objsubid WHERE NOT a.attisdropped AND c.oid = $1 AND a.attnum > 0 ORDER BY a.attnum;

SELECT c.conname, c.contype, c.conkey, pg_catalog.pg_get_constraintdef(c.oid) FROM pg_catalog.pg_constraint c WHERE c.conrelid = '{public.tickets}' ORDER BY c.conname;

SELECT i.indisprimary, i.indisunique, pg_catalog.pg_get_indexdef(i.indexrelid) FROM pg_catalog.pg_index i WHERE i.indrelid = '{public.customers}' ORDER BY 3;

SELECT t.oid::regtype::text, t.typtype, t.typcategory FROM pg_catalog.pg_type t WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'c' ORDER BY 1;

SELECT p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid), l.lanname, pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' ORDER BY 1;

SELECT pg_catalog.pg_get_viewdef('{public.customer_directory}'::oid, true);

SELECT c.relname, rw.rulename, rw.ev_type FROM pg_catalog.pg_rewrite rw JOIN pg_catalog.pg_class c ON c.oid = rw.ev_class WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1;

SELECT tgname, pg_catalog.pg_get_triggerdef(oid) FROM pg_catalog.pg_trigger WHERE tgrelid = '{public.tickets}' AND NOT tgisinternal;

SELECT rolname, rolcanlogin, rolsuper FROM pg_catalog.pg_roles WHERE rolname !~ '^(pg_|evader)' ORDER BY 1;

SELECT grantee, privilege_type, is_grantable FROM information_schema.role_table_grants WHERE table_schema = 'public' AND table_name = 'customers' ORDER BY 1, 2;

SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = 'public' ORDER BY 1;

SELECT tc.constraint_name, kcu.column_name, ccu.table_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu USING (constraint_schema, constraint_name) JOIN information_schema.constraint_column_usage ccu USING (constraint_schema, constraint_name) WHERE tc.constraint_type = 'FOREIGN KEY' ORDER BY 1, 2;

-- shape
SELECT pid, usename, application_name, state, query FROM pg_catalog.pg_stat_activity WHERE datname = current_database();

-- shape
SELECT pg_catalog.pg_relation_size('{public.customers}'::oid), pg_catalog.pg_total_relation_size('{public.customers}'::oid), pg_size_pretty(pg_database_size(current_database()));

-- shape
SELECT relname, n_live_tup, seq_scan, idx_scan, last_analyze FROM pg_catalog.pg_stat_user_tables ORDER BY relname;

SELECT name, setting, unit, category FROM pg_catalog.pg_settings WHERE name IN ('work_mem', 'max_connections', 'server_encoding') ORDER BY name;

SELECT x.* FROM public.articles x LIMIT 200;

SELECT t.*, t.ctid FROM public.tickets t LIMIT 200;

SELECT t.* FROM public.customers t WHERE t.id < 50 ORDER BY t.id LIMIT 200;

SELECT count(*) FROM public.customers t;

EXPLAIN (COSTS OFF, FORMAT JSON) SELECT * FROM public.customers WHERE email = 'customer5@example.org';

-- shape
EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM public.tickets WHERE status = 'open';

SELECT n.nspname AS schema, c.relname AS name, i.inhparent::regclass::text AS parent, pg_catalog.pg_get_expr(c.relpartbound, c.oid) FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' ORDER BY 1, 2;

SELECT has_table_privilege('public.customers', 'select'), has_schema_privilege('billing', 'usage'), has_database_privilege(current_database(), 'temp');

SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE 'OTHER' END AS TABLE_TYPE FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND n.nspname LIKE 'publi_' AND c.relname LIKE '%' AND c.relkind IN ('r', 'v') ORDER BY TABLE_TYPE, TABLE_SCHEM, TABLE_NAME;

SELECT e.extname, e.extversion FROM pg_catalog.pg_extension e ORDER BY 1;

SELECT s.seqrelid::regclass::text, s.seqstart, s.seqincrement FROM pg_catalog.pg_sequence s ORDER BY 1;

SELECT am.amname, opc.opcname FROM pg_catalog.pg_opclass opc JOIN pg_catalog.pg_am am ON am.oid = opc.opcmethod WHERE opc.opcdefault AND opc.opcname LIKE 'int4%' ORDER BY 1, 2;

SELECT to_regclass('public.customers') IS NOT NULL, to_regclass('public.nothing'), to_regtype('int4')::text;

RESET extra_float_digits;
