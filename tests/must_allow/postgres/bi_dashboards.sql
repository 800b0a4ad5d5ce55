-- What dashboards ask (in the manner of Metabase, Superset, Grafana, Looker): aggregates, buckets, top lists,
-- metadata scans. No single person's data in the results.

SELECT count(*) AS "count" FROM "public"."tickets";

SELECT CAST("public"."tickets"."opened_at" AS date) AS "opened_at", COUNT(*) AS "count" FROM "public"."tickets" WHERE "public"."tickets"."opened_at" >= DATE_TRUNC('month', timestamp with time zone '2025-06-15 00:00+00') AND "public"."tickets"."opened_at" < timestamp with time zone '2025-07-01 00:00+00' GROUP BY CAST("public"."tickets"."opened_at" AS date) ORDER BY CAST("public"."tickets"."opened_at" AS date) ASC;

SELECT "source"."bucket" AS "bucket", count(*) AS "count" FROM (SELECT (FLOOR((("public"."customers"."balance" - 0.0) / 20.0)) * 20.0) + 0.0 AS "bucket" FROM "public"."customers") "source" GROUP BY "source"."bucket" ORDER BY "source"."bucket" ASC;

SELECT "public"."customers"."language" AS "language", count(*) AS "count", sum("public"."customers"."balance") AS "sum" FROM "public"."customers" GROUP BY "public"."customers"."language" ORDER BY "count" DESC, "public"."customers"."language" ASC LIMIT 50;

SELECT "Customers"."language" AS "Customers__language", count(distinct "public"."tickets"."customer_id") AS "count" FROM "public"."tickets" LEFT JOIN "public"."customers" "Customers" ON "public"."tickets"."customer_id" = "Customers"."id" GROUP BY "Customers"."language" ORDER BY "Customers"."language" ASC LIMIT 2000;

SELECT DATE_TRUNC('week', opened_at) AS __timestamp, status AS status, COUNT(*) AS "COUNT(*)" FROM public.tickets GROUP BY DATE_TRUNC('week', opened_at), status ORDER BY "COUNT(*)" DESC, 1, 2 LIMIT 10000;

SELECT floor(extract(epoch from opened_at)/86400)*86400 AS "time", count(id) AS "tickets" FROM tickets WHERE opened_at BETWEEN '2025-06-01T00:00:00Z' AND '2025-06-20T00:00:00Z' GROUP BY 1 ORDER BY 1;

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY balance) AS median, percentile_disc(0.95) WITHIN GROUP (ORDER BY balance) AS p95, stddev_samp(balance) FROM customers;

SELECT status, count(*) * 100.0 / sum(count(*)) OVER () AS share FROM tickets GROUP BY status ORDER BY status;

WITH months AS (SELECT generate_series(timestamp '2024-01-01', timestamp '2024-06-01', interval '1 month') AS month) SELECT m.month, count(c.id) AS new_customers FROM months m LEFT JOIN customers c ON date_trunc('month', c.created_at at time zone 'UTC') = m.month GROUP BY m.month ORDER BY m.month;

SELECT agent, avg(extract(epoch from timestamptz '2026-01-01 00:00+00' - opened_at))::numeric(12, 0) AS age FROM tickets WHERE status <> 'closed' GROUP BY agent HAVING count(*) > 10 ORDER BY agent NULLS FIRST;

SELECT width_bucket(balance, 0, 100, 5) AS bucket, count(*), bool_or(vip), bool_and(vip) FROM customers GROUP BY 1 ORDER BY 1;

SELECT language, vip, grouping(language, vip), count(*) FROM customers GROUP BY GROUPING SETS ((language, vip), (language), ()) ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3;

SELECT corr(balance, id), regr_slope(balance, id), var_pop(balance) FROM customers;

SELECT date_trunc('month', at) AS month, count(*) AS calls, count(DISTINCT customer_id) AS people FROM contact_log GROUP BY 1 ORDER BY 1;

SELECT * FROM language_stats ORDER BY language;

SELECT priority, n FROM (SELECT details ->> 'priority' AS priority, count(*) AS n FROM tickets GROUP BY 1) AS virtual_table ORDER BY n DESC, priority LIMIT 1000;

SELECT sum(CASE WHEN status = 'open' THEN 1 ELSE 0 END) AS open, sum(CASE WHEN status = 'closed' THEN 1 ELSE 0 END) AS closed FROM tickets;

SELECT t.day, sum(t.n) OVER (ORDER BY t.day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS moving FROM (SELECT opened_at::date AS day, count(*) AS n FROM tickets GROUP BY 1) t ORDER BY t.day;

SELECT lag(n) OVER w AS before, n, lead(n) OVER w AS after FROM (SELECT status, count(*) AS n FROM tickets GROUP BY 1) s WINDOW w AS (ORDER BY status) ORDER BY n;

SELECT string_agg(DISTINCT status, ', ' ORDER BY status) FROM tickets;

SELECT json_object_agg(status, n ORDER BY status) FROM (SELECT status, count(*) AS n FROM tickets GROUP BY status) s;

SELECT array_agg(DISTINCT tag ORDER BY tag) FROM tickets, unnest(tags) AS tag;

SELECT to_char(opened_at, 'YYYY-MM') AS month, count(*) FROM tickets GROUP BY 1 ORDER BY 1;

SELECT count(*) FROM (SELECT 1 FROM customers WHERE vip LIMIT 1001) x;

SELECT count(*) FROM customers TABLESAMPLE SYSTEM (100);

SELECT n.nspname, c.relname, c.reltuples::bigint >= 0, pg_catalog.obj_description(c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname IN ('public', 'billing') ORDER BY 1, 2;

SELECT table_schema, table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema NOT IN ('information_schema', 'pg_catalog') AND table_name IN ('customers', 'tickets') ORDER BY table_name, ordinal_position;

SELECT TRUE AS "_" FROM "public"."customers" WHERE 1 <> 1 LIMIT 0;

SELECT * FROM "public"."tickets" WHERE 1 = 0;
