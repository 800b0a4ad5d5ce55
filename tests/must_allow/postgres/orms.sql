-- What object mappers and migration tools send (in the manner of Hibernate, Rails, Django, SQLAlchemy, Prisma,
-- Sequelize, TypeORM, Ecto, EF Core, GORM): their start-up, their look-ups, their units of work.

SET client_min_messages TO warning;

SET standard_conforming_strings = on;

SET SESSION timezone TO 'UTC';

SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput::text, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type AS t LEFT JOIN pg_range AS r ON t.oid = r.rngtypid WHERE t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'numeric', 'bool', 'timestamptz', 'text') ORDER BY t.oid;

SELECT ns.nspname, t.typname, t.oid, t.typtype, CASE WHEN proc.proname = 'array_recv' THEN t.typelem ELSE 0 END AS elemtypoid FROM pg_type AS t JOIN pg_namespace AS ns ON ns.oid = t.typnamespace JOIN pg_proc AS proc ON proc.oid = t.typreceive WHERE t.typtype IN ('b', 'r', 'm', 'e', 'd') AND ns.nspname = 'pg_catalog' AND t.typname LIKE '_int%' ORDER BY t.oid;

SHOW max_identifier_length;

SHOW transaction_isolation;

SELECT CAST('test plain returns' AS VARCHAR(60)) AS anon_1;

SELECT pg_try_advisory_lock(3141592653589793), pg_advisory_unlock(3141592653589793);

SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'schema_migrations' AND c.relkind IN ('r', 'p');

SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment, attidentity AS identity, attgenerated AS attgenerated FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '"customers"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

SELECT table_name, table_schema FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'pg_%' ORDER BY 1;

-- with: 90, 1 | 91, 1
SELECT "customers".* FROM "customers" WHERE "customers"."id" = $1 LIMIT $2;

-- with: customer92@example.org, 1
SELECT "customers"."id", "customers"."name", "customers"."email" FROM "customers" WHERE "customers"."email" = $1 ORDER BY "customers"."id" ASC LIMIT $2;

-- with: 14
SELECT "tickets".* FROM "tickets" WHERE "tickets"."customer_id" = $1 ORDER BY "tickets"."opened_at" DESC;

-- with: open
SELECT COUNT(*) FROM "tickets" WHERE "tickets"."status" = $1;

-- with: 93, 1
SELECT 1 AS one FROM "customers" WHERE "customers"."id" = $1 LIMIT $2;

-- with: 94, 95, 96
SELECT "customers".* FROM "customers" WHERE "customers"."id" IN ($1, $2, $3) ORDER BY "customers"."id";

-- with: 40, 0
SELECT "public"."tickets"."id", "public"."tickets"."subject", "public"."tickets"."customer_id" FROM "public"."tickets" WHERE ("public"."tickets"."id" = $1 AND 1=1) ORDER BY "public"."tickets"."id" OFFSET $2;

-- with: 97, 1, 0
SELECT "public"."customers"."id", "public"."customers"."name", "public"."customers"."email" FROM "public"."customers" WHERE ("public"."customers"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3;

-- with: 98
select c1_0.id,c1_0.balance,c1_0.email,c1_0.language,c1_0.name,c1_0.phone,c1_0.vip from customers c1_0 where c1_0.id=$1;

-- with: 27
select t1_0.customer_id,t1_0.id,t1_0.agent,t1_0.body,t1_0.status,t1_0.subject from tickets t1_0 where t1_0.customer_id=$1 order by t1_0.id;

-- with: 40
select t1_0.id,c1_0.id,c1_0.email,c1_0.name,t1_0.status,t1_0.subject from tickets t1_0 join customers c1_0 on c1_0.id=t1_0.customer_id where t1_0.id=$1;

-- with: open, 0, 10
select t1_0.id,t1_0.subject from tickets t1_0 where t1_0.status=$1 order by t1_0.opened_at desc, t1_0.id offset $2 rows fetch first $3 rows only;

select count(distinct c1_0.language) from customers c1_0;

SELECT tickets.id AS tickets_id, tickets.subject AS tickets_subject, anon_1.name AS anon_1_name FROM (SELECT customers.id AS id, customers.name AS name FROM customers WHERE customers.id = 99) AS anon_1 LEFT OUTER JOIN tickets ON tickets.customer_id = anon_1.id ORDER BY 1;

SELECT "customers"."id", "customers"."name", COUNT("tickets"."id") AS "n" FROM "customers" LEFT OUTER JOIN "tickets" ON ("customers"."id" = "tickets"."customer_id") WHERE "customers"."id" BETWEEN 100 AND 104 GROUP BY "customers"."id", "customers"."name" ORDER BY "customers"."id";

SELECT (1) AS "a" FROM "tickets" WHERE ("tickets"."status" = 'open' AND UPPER("tickets"."subject"::text) LIKE UPPER('%et 17%')) LIMIT 1;

SELECT "Ticket"."id", "Ticket"."subject", "customer"."id" AS "customer.id", "customer"."name" AS "customer.name" FROM "tickets" AS "Ticket" INNER JOIN "customers" AS "customer" ON "Ticket"."customer_id" = "customer"."id" WHERE "Ticket"."id" = 45;

SELECT t0."id", t0."name" FROM "customers" AS t0 WHERE (t0."id" = ANY('{105,106}'::int[])) ORDER BY t0."id";

SELECT c."Id", c."Name" FROM (SELECT id AS "Id", name AS "Name" FROM customers WHERE id = 107) AS c;

SELECT jsonb_build_object('id', id, 'subject', subject) FROM tickets WHERE id = 46;

START TRANSACTION;

SAVEPOINT active_record_1;

-- with: closed, 47
UPDATE "tickets" SET "status" = $1 WHERE "tickets"."id" = $2;

-- with: 900010, 14, from an object mapper, alice
INSERT INTO "tickets" ("id", "customer_id", "subject", "agent") VALUES ($1, $2, $3, $4) RETURNING "id";

INSERT INTO "tickets" ("id", "customer_id", "subject") VALUES (900011, 15, 'a'), (900012, 16, 'b'), (900013, 17, 'c') ON CONFLICT DO NOTHING;

SELECT "tickets"."id" FROM "tickets" WHERE "tickets"."id" = 47 LIMIT 1 FOR UPDATE OF "tickets" SKIP LOCKED;

UPDATE tickets SET agent = v.agent FROM (VALUES (900011, 'alice'), (900012, 'bob')) AS v (id, agent) WHERE tickets.id = v.id;

DELETE FROM "tickets" WHERE "tickets"."id" IN (900010, 900011, 900012, 900013);

RELEASE SAVEPOINT active_record_1;

ROLLBACK;

BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;

SELECT lock_timeout.setting FROM pg_settings lock_timeout WHERE name = 'lock_timeout';

SET LOCAL lock_timeout = '2s';

COMMIT;

DISCARD ALL;
