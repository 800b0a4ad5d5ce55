"""PostgreSQL: random expressions over every function and operator that the server says it has."""

import re

import psycopg

from runner.admin import CATALOG_ACCOUNT, PASSWORD, ROOT_PASSWORD

from .words import TWIN_OFFSET, Grammar

SCHEMA = """
create schema s;
create table s.customers(id int primary key, name text, email text, phone text, plan text, profile jsonb, tags text[],
    created date);
insert into s.customers select g, 'nm'||lpad((g+{off})::text,4,'0')||'zq', 'em'||lpad((g+{off})::text,4,'0')||'@mk.test',
    '+99'||lpad((g+{off})::text,8,'0'), 'plan'||g%3,
    jsonb_build_object('vip', g%2=0, 'ssn', 'jj'||lpad((g+{off})::text,4,'0')||'kk'),
    array['tg'||lpad((g+{off})::text,4,'0')||'xx','t'], date '2020-01-01'+g from generate_series(1,40) g;
create table s.orders(id int primary key, customer_id int references s.customers, note text);
insert into s.orders select g, 1+g%40, 'note'||g from generate_series(1,80) g;
create table s.products(id int primary key, name text);
insert into s.products select g, 'prod'||g from generate_series(1,20) g;
create view s.v_cust as select id, name as who, upper(email) as em from s.customers;
create function s.f_all() returns setof s.customers language plpgsql stable as
    $$begin return query select * from s.customers; end$$;
create function s.between_ids(int,int) returns text language sql as
    'select string_agg(email,'','') from s.customers where id between $1 and $2';
create operator s.<-|-> (leftarg=int, rightarg=int, function=s.between_ids);
create type s.pair as (a text, b text);
create function s.pair_of(text,text) returns s.pair language sql immutable as 'select row($1,$2)::s.pair';
create aggregate s.glue(text) (sfunc=textcat, stype=text);
create extension hstore; create extension citext; create extension ltree; create extension pg_trgm;
create extension intarray; create extension unaccent; create extension fuzzystrmatch;
grant all on schema s to agent; grant all on all tables in schema s to agent;
analyze;
"""

# Types that an argument can be made for.
MADE = {"text", "integer", "bigint", "smallint", "boolean", "jsonb", "json", "text[]", "date", "bytea", "name", "numeric",
        "character varying", "character", "double precision", "anyelement", "anyarray", '"any"', "anycompatible",
        "anycompatiblearray", "anynonarray", "record", "hstore", "citext", "xml", "tsvector", "tsquery", '"char"', "ltree",
        "timestamp without time zone", "interval", "uuid", "inet"}
# What waits, looks elsewhere, or answers differently each time; extensions' and the server's own plumbing.
LEFT_OUT = re.compile(r"sleep|advisory|terminate|cancel|backend|current|^now|timeofday|clock|random|uuid|txid|xact|snapshot|"
                      r"^pg_|replication|slot|^lo|setseed|gen_|age$|inet_|version|_io|nextval|setval|currval|lastval|notify|conf")
SENSITIVE = {"text": ["c.email", "c.name", "c.phone"], "jsonb": ["c.profile"], "text[]": ["c.tags"],
             "record": ["c", "(c.id, c.email)", "row(c.*)"]}
PLAIN = {"text": ["'x'", "c.plan", "'a'"], "integer": ["c.id", "1", "3"], "boolean": ["true", "c.id > 3"],
         "jsonb": ["'{\"a\": 1}'::jsonb"], "date": ["c.created"], "text[]": ["array['q']"], "numeric": ["1.5"],
         "bigint": ["5::bigint"], "smallint": ["1::smallint"], "double precision": ["2::float8"], "interval": ["interval '1 day'"],
         "timestamp without time zone": ["timestamp '2020-02-02'"]}
# How a text becomes something else.
FROM_TEXT = {"json": "to_json({})", "bytea": "convert_to({}, 'UTF8')", "tsvector": "to_tsvector('simple', {})", "xml":
             "xmlelement(name a, {})", "tsquery": "plainto_tsquery('simple', {})", "hstore": "hstore('k', {})", "uuid": "md5({})::uuid",
             "ltree": "regexp_replace({}, '[^a-z0-9]', '_', 'g')::ltree", "inet": "'1.2.3.4'::inet"}
FROM_TEXT |= {name: f"({{}})::{name}" for name in ("character varying", "name", "character", "citext", '"char"')}
SOURCES = ["customers c", "only customers c", "(select * from customers) c", "(table customers) c", "f_all() c",
           "customers c join orders o on o.customer_id = c.id", "customers c tablesample system (100)",
           "(select * from customers order by email limit 7) c", "lateral (select * from customers) c",
           "customers c(id, name, email, phone, plan, profile, tags, created)", "(values (1)) v(x) cross join customers c",
           "(select c0.* from products p, lateral (select * from customers c1 where c1.id = p.id) c0) c"]


class Postgres(Grammar):
    def __init__(self, random, server):
        super().__init__(random)
        self.server = server

    def prepare(self):
        """Two databases that differ in sensitive values only."""
        with self._root("postgres") as root:
            root.execute("create role agent login password '%s'" % PASSWORD)
            root.execute("create role %s login superuser password '%s'" % (CATALOG_ACCOUNT, PASSWORD))
            for name in ("one", "two"):
                root.execute(f"create database {name}")
                root.execute(f"alter database {name} set search_path = s, public")
        for name, offset in (("one", 0), ("two", TWIN_OFFSET)):
            with self._root(name) as root:
                root.execute(SCHEMA.replace("{off}", str(offset)))
        with self._root("one") as root:
            named = "select p.proname, p.prorettype::regtype::text, p.prokind, " \
                    "array(select t::regtype::text from unnest(p.proargtypes) t) from pg_proc p " \
                    "join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('pg_catalog', 'public') " \
                    "and p.prokind in ('f', 'a', 'w') and p.provolatile <> 'v' and not p.proretset order by p.oid"
            self.functions = {}
            for name, returns, kind, takes in root.execute(named).fetchall():
                if set(takes) <= MADE and 0 < len(takes) < 6 and not LEFT_OUT.search(name):
                    self.functions.setdefault(returns, []).append((name, kind, takes))
            operators = "select oprname, oprleft::regtype::text, oprright::regtype::text, oprresult::regtype::text " \
                        "from pg_operator where oprleft <> 0 and oprright <> 0 order by oid"
            found = root.execute(operators).fetchall()
            self.operators = [one for one in found if one[1] in MADE and one[2] in MADE]

    def _root(self, database):
        return psycopg.connect(host="127.0.0.1", port=self.server.address[1], dbname=database, user="postgres",
                               password=ROOT_PASSWORD, autocommit=True)

    def connect(self, port, database):
        connection = psycopg.connect(host="127.0.0.1", port=port, dbname=database, user="agent", password=PASSWORD, autocommit=True)
        connection.execute("set statement_timeout = '3s'")
        return connection

    def is_closed(self, connection):
        return connection.closed

    def answer(self, connection, statement):
        """Rows; or the error, and whether it is Weir's."""
        try:
            return connection.execute(statement).fetchall(), None, False
        except psycopg.Error as error:
            return None, str(error), "reference W-" in str(error)

    # Expressions

    def of_type(self, name, depth):
        if name in ("anyelement", '"any"', "anycompatible"):
            name = self.one("text", "text", "jsonb", "text[]", "record")
        elif name == "anynonarray":
            name = "text"
        elif name in ("anyarray", "anycompatiblearray"):
            name = "text[]"
        if name in FROM_TEXT:
            return FROM_TEXT[name].format(self.of_type("text", depth))
        sensitive = SENSITIVE.get(name)
        if depth > 0 and self.chance(.6):
            return self.made(name, depth - 1) or self.leaf(name)
        return self.one(*sensitive) if sensitive and self.chance(.8) else self.leaf(name)

    def leaf(self, name):
        return self.one(*PLAIN.get(name, SENSITIVE.get(name, ["null"])))

    def made(self, name, depth):
        return self.choose(
            depth,
            (10, lambda d: self.some_call(name, d)),
            (4, lambda d: self.some_operation(name, d)),
            (2, lambda d: f"case when {self.of_type('boolean', d)} then {self.of_type(name, d)} else {self.of_type(name, d)} end"),
            (1, lambda d: f"coalesce(null, {self.of_type(name, d)})"),
            (1, lambda d: f"(select {self.of_type(name, d)})"),
            (1, lambda d: f"(array[{self.of_type(name, d)}])[1]"),
            (1, lambda d: f"greatest({self.of_type(name, d)}, {self.of_type(name, d)})"),
        )

    def some_call(self, name, depth):
        return self.call(self.one(*self.functions[name]), depth) if name in self.functions else None

    def some_operation(self, name, depth):
        fitting = [operator for operator in self.operators if operator[3] == name]
        return self.operation(self.one(*fitting), depth) if fitting else None

    def operation(self, operator, depth):
        symbol, left, right, _ = operator
        return f"({self.of_type(left, depth)} {symbol} {self.of_type(right, depth)})"

    def call(self, function, depth):
        name, kind, takes = function
        called = f'"{name}"({", ".join(self.of_type(one, depth) for one in takes)})'
        if kind == "w":
            return f"{called} over (order by c.id)"
        if kind == "a" and self.chance(.4):
            return called + self.one(" over (partition by c.id)", " over ()", f" filter (where c.id < {self.random.randint(2, 9)})")
        return called

    def expression(self):
        depth = self.one(0, 1, 2, 2, 3)
        every = [name for name in self.functions if self.functions[name]]
        return self.choose(
            depth,
            (5, lambda d: self.some_call(self.one(*every), d)),
            (2, lambda d: self.operation(self.one(*self.operators), d)),
            (4, lambda d: self.of_type(self.one("text", "text", "jsonb", "text[]", "record", "boolean", "integer"), d)),
            (1, lambda d: f"({self.one('1', 'c.id')} <-|-> {self.one('3', 'c.id')})"),
        )

    def statement(self):
        value, source = self.expression(), self.one(*SOURCES)
        where = self.one("", "", " where c.id < 5", " where c.id = 3", f" where {self.of_type('boolean', 1)}")
        rows = f"from {source}{where}"
        return self.choose(
            0,
            (10, lambda _: f"select {value} as q {rows}"),
            (1, lambda _: f"select distinct {value} as q {rows}"),
            (1, lambda _: f"with w as materialized (select {value} as q {rows}) select q from w"),
            (1, lambda _: f"with w as (select {value} as q, 1 as one {rows}) select (w).q from w"),
            (1, lambda _: f"select x from (select {value} as q {rows}) x"),
            (1, lambda _: f"select max(q::text) from (select {value} as q {rows}) x"),
            (1, lambda _: f"select 'k' union all select ({value})::text {rows}"),
            (1, lambda _: f"select row_to_json(x) from (select {value} as q {rows}) x"),
            (1, lambda _: f"select string_agg(q::text, ',') over () from (select {value} as q {rows}) x"),
            (1, lambda _: f"select array(select ({value})::text {rows})"),
            (1, lambda _: f"select k.* from {source}, lateral (select {value} as q) k{where}"),
            (1, lambda _: f"select s.glue(({value})::text) {rows}"),
            (1, lambda _: f"select (pair_of(({value})::text, 'x')).a {rows}"),
            (1, lambda _: f"select exists(select {value} {rows})"),
            (1, lambda _: f"select 1 {rows} order by {value}"),
            (1, lambda _: f"select p.name from products p where p.name in (select ({value})::text {rows})"),
            (1, lambda _: f"select lead(({value})::text) over (order by c.id) {rows}"),
            (1, lambda _: f"select mode() within group (order by {value}) {rows}"),
            (1, lambda _: f"values ((select ({value})::text {rows} limit 1))"),
            (1, lambda _: f"with recursive r(q, n) as (select ({value})::text, 1 {rows} union all select q, n+1 from r where n < 2) "
                          "select q from r"),
            (1, lambda _: f"(select ({value})::text {rows}) except select 'x'"),
            (1, lambda _: f"select xmlforest({value} as a) {rows}"),
        )
