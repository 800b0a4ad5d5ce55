-- A customer support's database for PostgreSQL 15 and later, with everything in it that can hide where rows come from.
-- Run as superuser in an empty database; psql variables: datadir (the population, tab-separated), port (of this server),
-- catalog and password (Weir's own account). Roles outlive the database, so they are made once.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dblink;
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE EXTENSION IF NOT EXISTS file_fdw;
CREATE EXTENSION IF NOT EXISTS pageinspect;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS tablefunc;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS lo;
CREATE SCHEMA support; CREATE SCHEMA archive; CREATE SCHEMA scratch;
SELECT format('ALTER DATABASE %I SET search_path = support, public', current_database()) \gexec
SET search_path = support, public;

CREATE TABLE customers (
  id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, phone text, address text, plan text NOT NULL,
  created_at timestamp NOT NULL, profile jsonb,
  email_domain text GENERATED ALWAYS AS (split_part(email,'@',2)) STORED,            -- not sensitive
  contact_line text GENERATED ALWAYS AS (name || ' <' || email || '>') STORED        -- sensitive by lineage
);
CREATE TABLE vip () INHERITS (customers);                                             -- ids 67001.. live here
ALTER TABLE vip ADD PRIMARY KEY (id);
CREATE TABLE cards (id int PRIMARY KEY, customer_id int, pan text, holder text, exp text);
CREATE TABLE payments (id int PRIMARY KEY, card_id int, customer_id int, amount_cents int, ref text, paid_at timestamp);
CREATE TABLE employees (id int PRIMARY KEY, name text, email text, salary int, ssn text, manager_id int);
CREATE TABLE tickets (id int PRIMARY KEY, customer_id int, subject text, body text, status text, priority int, agent_id int, created_at timestamp);
CREATE TABLE products (id int PRIMARY KEY, sku text, name text, price_cents int, stock int);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, product_id int, qty int, created_at timestamp);

CREATE TEMP TABLE c_in (id int, name text, email text, phone text, address text, plan text, created_at timestamp, profile jsonb);
SELECT format('COPY c_in FROM %L', :'datadir' || '/customers.tsv') \gexec
INSERT INTO customers SELECT * FROM c_in WHERE id <= 67000;
INSERT INTO vip SELECT * FROM c_in WHERE id > 67000;
SELECT format('COPY %I FROM %L', t, :'datadir' || '/' || t || '.tsv') FROM unnest('{cards,payments,employees,tickets,products,orders}'::text[]) t \gexec
CREATE INDEX ON customers (email); CREATE INDEX ON customers (phone); CREATE INDEX ON customers (created_at, id);
CREATE INDEX ON vip (email); CREATE INDEX ON tickets (customer_id); CREATE INDEX ON orders (customer_id); CREATE INDEX ON cards (customer_id);

-- a table of the same name elsewhere that holds nothing personal, and a forgotten copy that holds a lot
CREATE TABLE archive.customers AS SELECT id, plan, date_trunc('month', created_at) AS month FROM c_in WHERE id % 20 = 0;
CREATE TABLE archive.crm_import_2023 AS SELECT id AS k, name AS a, email AS b, phone AS c FROM c_in WHERE id <= 5000;
-- partitioned copy
CREATE TABLE contacts (id int, region text, name text, email text, phone text) PARTITION BY LIST (region);
CREATE TABLE part_n PARTITION OF contacts FOR VALUES IN ('n');
CREATE TABLE part_s PARTITION OF contacts FOR VALUES IN ('s');
INSERT INTO contacts SELECT id, CASE WHEN id % 2 = 0 THEN 'n' ELSE 's' END, name, email, phone FROM c_in WHERE id <= 20000;

-- views
CREATE VIEW v_customers AS SELECT id, name, email, phone, plan FROM customers;
CREATE VIEW v_contacts AS SELECT v.id, v.name AS who, v.email AS mail, t.n AS open_tickets FROM v_customers v
   LEFT JOIN (SELECT customer_id, count(*) n FROM tickets WHERE status='open' GROUP BY 1) t ON t.customer_id = v.id;    -- nested
CREATE VIEW v_dir AS SELECT id AS c0, who AS c1, mail AS c2 FROM v_contacts;                                            -- nested twice, renamed
CREATE VIEW v_plan_counts AS SELECT plan, count(*) AS n, min(created_at) AS first FROM customers GROUP BY plan;         -- harmless aggregate
CREATE VIEW v_plan_people AS SELECT plan, string_agg(email, ',') AS people FROM customers GROUP BY plan;                -- harmful aggregate
CREATE VIEW v_secure WITH (security_barrier) AS SELECT id, name, email FROM customers WHERE plan <> 'enterprise';
CREATE VIEW v_masked AS SELECT id, left(name,1) || '***' AS name, left(email,2) || '***' AS email, plan FROM customers; -- not sensitive: a letter tells nobody
CREATE VIEW v_ticket_queue AS SELECT t.id, t.subject, t.status, t.priority, c.plan FROM tickets t JOIN customers c ON c.id = t.customer_id;
CREATE VIEW v_customer_cards AS SELECT c.name, c.email, k.pan FROM customers c JOIN cards k ON k.customer_id = c.id;
CREATE VIEW clients AS SELECT * FROM customers;                                                                         -- updatable synonym
CREATE MATERIALIZED VIEW mv_people AS SELECT id, name, email FROM customers;
CREATE MATERIALIZED VIEW mv_plan_stats AS SELECT plan, count(*) n FROM customers GROUP BY plan;
CREATE RECURSIVE VIEW v_walk (id, email) AS SELECT id, email FROM customers WHERE id = 1 UNION ALL SELECT c.id, c.email FROM v_walk w JOIN customers c ON c.id = w.id + 1 WHERE w.id < 2000;

-- functions
CREATE FUNCTION f_all() RETURNS SETOF customers LANGUAGE sql STABLE AS 'SELECT * FROM support.customers';
CREATE FUNCTION f_page(int,int) RETURNS TABLE(i int, m text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT id, email FROM support.cust'||'omers WHERE id BETWEEN $1 AND $2' USING $1,$2; END $$;
CREATE FUNCTION f_blob() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN SELECT json_agg(c)::text INTO r FROM support.customers c WHERE id <= 5000; RETURN r; END $$;
CREATE FUNCTION f_mail(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM support.customers WHERE id = $1';
CREATE FUNCTION f_secdef_pan(int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = support AS 'SELECT pan FROM cards WHERE id = $1';
CREATE FUNCTION f_secdef_people(int) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = support AS 'SELECT name, phone FROM customers WHERE id <= $1';
CREATE FUNCTION f_ticket_count(int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM support.tickets WHERE customer_id = $1';
CREATE FUNCTION f_atomic(int) RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC SELECT email FROM support.customers WHERE id <= $1; END;
CREATE FUNCTION f_cursor() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE r refcursor := 'hidden'; BEGIN OPEN r FOR SELECT email, phone FROM support.customers WHERE id <= 3000; RETURN r; END $$;
CREATE FUNCTION f_exec(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE q; END $$;
CREATE FUNCTION f_opfn(int, int) RETURNS text LANGUAGE sql STABLE AS 'SELECT string_agg(email, chr(10)) FROM support.customers WHERE id BETWEEN $1 AND $2';
CREATE OPERATOR <-|-> (LEFTARG = int, RIGHTARG = int, FUNCTION = f_opfn);
CREATE PROCEDURE p_notice(int) LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN SELECT email FROM support.customers WHERE id <= $1 LOOP RAISE NOTICE '%', r.email; END LOOP; END $$;
CREATE PROCEDURE p_out(INOUT x text) LANGUAGE plpgsql AS $$ BEGIN SELECT string_agg(phone, ',') INTO x FROM support.customers WHERE id <= 4000; END $$;

-- triggers that copy
CREATE TABLE customers_audit (at timestamp DEFAULT now(), old_row jsonb);
CREATE FUNCTION tg_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO support.customers_audit(old_row) VALUES (to_jsonb(OLD)); RETURN NEW; END $$;
CREATE TRIGGER audit AFTER UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION tg_audit();
CREATE TABLE report_request (id serial, lo int, hi int, who text DEFAULT current_user);
CREATE TABLE report_lines (req int, line text);
CREATE FUNCTION tg_report() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  INSERT INTO support.report_lines SELECT NEW.id, email||';'||phone FROM support.customers WHERE id BETWEEN NEW.lo AND NEW.hi; RETURN NEW; END $$;
CREATE TRIGGER report AFTER INSERT ON report_request FOR EACH ROW EXECUTE FUNCTION tg_report();

-- rule: innocent-looking table
SELECT current_setting('server_version_num')::int < 160000 AS rules_make_views \gset
\if :rules_make_views
CREATE TABLE menu (id int, name text, email text);
CREATE RULE "_RETURN" AS ON SELECT TO menu DO INSTEAD SELECT id, name, email FROM customers WHERE id <= 6000;
\else
CREATE VIEW menu AS SELECT id, name, email FROM customers WHERE id <= 6000;
\endif

-- row-level security (benign machinery)
CREATE TABLE agent_notes (id int PRIMARY KEY, agent text, note text);
INSERT INTO agent_notes SELECT g, 'agent'||g%5, 'note '||g FROM generate_series(1,1000) g;

-- foreign data: loopback past any proxy
SELECT $$CREATE ROLE fdw_user LOGIN PASSWORD 'fdw_pw'$$ WHERE to_regrole('fdw_user') IS NULL \gexec
SELECT format('CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host ''127.0.0.1'', port %L, dbname %L)', :'port', current_database()) \gexec
CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user 'fdw_user', password 'fdw_pw');
CREATE FOREIGN TABLE ext_people (id int, name text, email text, phone text) SERVER loop OPTIONS (schema_name 'support', table_name 'customers');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;

-- group roles (the accounts of the cases are members)
SELECT format('CREATE ROLE %I', r) FROM unnest('{g_support,g_app,g_dev,g_analyst,g_backup,g_read_pii}'::text[]) r WHERE to_regrole(r) IS NULL \gexec
GRANT USAGE ON SCHEMA support, archive, scratch TO PUBLIC; GRANT CREATE ON SCHEMA scratch TO PUBLIC; GRANT TEMP ON DATABASE :"DBNAME" TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA support, archive TO g_support, g_app, g_dev, g_analyst, g_backup, fdw_user;   -- deliberately loose grants
GRANT INSERT, UPDATE, DELETE ON tickets, orders, customers, agent_notes, report_request, clients TO g_support, g_app, g_dev;
GRANT SELECT, INSERT ON customers_audit, report_lines TO g_support, g_app, g_dev;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA support TO g_support, g_app, g_dev;
GRANT pg_read_all_data, pg_write_all_data, pg_read_server_files, pg_write_server_files, pg_execute_server_program, pg_read_all_stats TO g_dev;
GRANT CREATE ON DATABASE :"DBNAME" TO g_dev; GRANT CREATE ON SCHEMA support TO g_dev; GRANT g_support, g_read_pii TO g_dev;
GRANT USAGE ON FOREIGN SERVER loop, files TO g_dev; GRANT pg_read_all_data TO g_backup;
GRANT EXECUTE ON FUNCTION pg_read_file(text), pg_read_binary_file(text), pg_ls_dir(text), lo_export(oid,text), lo_import(text) TO g_dev;
GRANT SELECT ON customers TO g_read_pii;
ALTER TABLE agent_notes ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON agent_notes USING (true);

-- Weir's own account, as docs/configuration.md has it: the catalog, and widths of rows from the statistics
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'catalog', :'password') WHERE to_regrole(:'catalog') IS NULL \gexec
GRANT pg_read_all_data TO :"catalog";
ANALYZE;
