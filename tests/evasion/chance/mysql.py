"""MySQL and MariaDB: random expressions over the functions that Weir knows of, and those that the server tells."""

import os
import re

import pymysql

from runner.admin import CATALOG_ACCOUNT, PASSWORD, ROOT_PASSWORD
from runner.servers import REPOSITORY

from .words import TWIN_OFFSET, Grammar

SCHEMA = """
create table customers(id int primary key, name varchar(60), email varchar(80), phone varchar(30), plan varchar(20), profile json,
    created date)
;;
insert into customers with recursive n(i) as (select 1 union all select i + 1 from n where i < 40)
    select i, concat('nm', lpad(i + {off}, 4, '0'), 'zq'), concat('em', lpad(i + {off}, 4, '0'), '@mk.test'),
    concat('+99', lpad(i + {off}, 8, '0')), concat('plan', i % 3),
    json_object('vip', i % 2, 'ssn', concat('jj', lpad(i + {off}, 4, '0'), 'kk')), date('2020-01-01') + interval i day from n
;;
create table orders(id int primary key, customer_id int, note varchar(100))
;;
insert into orders select id, id, concat('note', id) from customers
;;
create table products(id int primary key, name varchar(50))
;;
insert into products select id, concat('prod', id) from customers where id <= 20
;;
create view v_cust as select id, name as who, upper(email) as em from customers
;;
create function of_id(i int) returns varchar(80) reads sql data return (select email from customers where id = i)
;;
create function same(x varchar(500)) returns varchar(500) deterministic return x
;;
create procedure below(i int) begin select email from customers where id <= i; end
;;
create procedure highest(out o varchar(80)) begin select max(email) into o from customers; end
"""

BUILT_IN = os.path.join(REPOSITORY, "policy", "src", "analysis", "builtins_mysql.txt")
# What waits, locks, looks elsewhere, or answers differently each time.
LEFT_OUT = re.compile(r"sleep|benchmark|lock|uuid|guid|rand|^now|sysdate|curdate|curtime|current|localtime|utc_|wait|load_file|encrypt|"
                      r"random|connection_id|last_insert_id|row_count|found_rows|unix_timestamp|user|nextval|lastval|setval|wsrep|"
                      r"gtid|kdf|schema|database|failover|group_replication|version")
AGGREGATES = ["max", "min", "group_concat", "json_arrayagg", "sum", "avg", "count", "bit_and", "bit_or", "bit_xor", "std"]
SENSITIVE = ["c.email", "c.name", "c.phone", "c.profile"]
PLAIN = ["'x'", "c.plan", "c.id", "1", "3", "2.5", "'$.ssn'", "'a'", "null", "c.created", "'em'"]
OPERATORS = ["=", "<", ">", "<=>", "<>", "like", "regexp", "+", "-", "*", "/", "%", "div", "&", "|", "^", "<<", ">>", "||", "&&", "xor",
             "sounds like", "not like", "mod"]
SOURCES = ["customers c", "customers as c", "(select * from customers) c", "(select * from customers limit 5) c",
           "customers c join orders o on o.customer_id = c.id", "orders o left join customers c on c.id = o.customer_id",
           "customers c straight_join products p on p.id = c.id", "one.customers c", "`customers` `c`", "(customers c, products p)",
           "customers c use index (primary)", "{oj customers c left join products p on p.id = c.id}",
           "(select id, who name, em email, em phone, em plan, em profile, now() created from v_cust) c"]


class MySql(Grammar):
    def __init__(self, random, server):
        super().__init__(random)
        self.server = server

    def prepare(self):
        with self._root().cursor() as root:
            for name, offset in (("one", 0), ("two", TWIN_OFFSET)):
                root.execute(f"create database {name}")
                root.execute(f"use {name}")
                root.execute("set global log_bin_trust_function_creators = 1")
                for part in SCHEMA.replace("{off}", str(offset)).replace("one.", f"{name}.").split("\n;;\n"):
                    root.execute(part)
            root.execute("create user agent@'%%' identified by '%s'" % PASSWORD)
            root.execute("grant all on *.* to agent@'%'")
            root.execute(f"grant all on *.* to {CATALOG_ACCOUNT}@'127.0.0.1'")
            with open(BUILT_IN, encoding="utf-8") as file:
                names = {line.strip() for line in file if not line.startswith("#")}
            if self.server.name == "mariadb":
                root.execute("select lower(function) from information_schema.sql_functions")
                names |= {name for (name,) in root.fetchall()}
        self.functions = sorted(name for name in names if re.fullmatch(r"[a-z_0-9]+", name) and not LEFT_OUT.search(name))

    def _root(self):
        return pymysql.connect(host="127.0.0.1", port=self.server.address[1], user="root", password=ROOT_PASSWORD, autocommit=True)

    def connect(self, port, database):
        connection = pymysql.connect(host="127.0.0.1", port=port, user="agent", password=PASSWORD, database=database, autocommit=True,
                                     charset="utf8mb4")
        limit = "max_statement_time = 2" if self.server.name == "mariadb" else "max_execution_time = 2000"
        connection.cursor().execute(f"set {limit}")
        return connection

    def is_closed(self, connection):
        return not connection.open

    def answer(self, connection, statement):
        """Rows of each statement; or the error, and whether it is Weir's."""
        rows = []
        try:
            with connection.cursor() as cursor:
                for one in statement.split(" ;; "):
                    cursor.execute(one)
                    rows += cursor.fetchall()
            return rows, None, False
        except pymysql.err.Error as error:
            return None, str(error), "reference W-" in str(error)

    # Expressions

    def expression(self, depth):
        if depth <= 0 or self.chance(.25):
            return self.one(*SENSITIVE) if self.chance(.7) else self.one(*PLAIN)
        again = lambda: self.expression(depth - 1)
        return self.choose(
            depth,
            (14, lambda _: f"{self.one(*self.functions)}({', '.join(again() for _ in range(self.one(1, 1, 2, 2, 3)))})"),
            (5, lambda _: f"({again()} {self.one(*OPERATORS)} {again()})"),
            (1, lambda _: f"({again()} in ({again()}, {again()}))"),
            (2, lambda _: f"case when {again()} then {again()} else {again()} end"),
            (1, lambda _: f"case {again()} when {again()} then {again()} end"),
            (1, lambda _: f"(select {again()})"),
            (1, lambda _: f"cast({again()} as {self.one('char', 'char(5)', 'binary', 'signed', 'decimal(20, 2)', 'date')})"),
            (1, lambda _: f"convert({again()} using {self.one('utf8mb4', 'latin1', 'binary')})"),
            (1, lambda _: f"if({again()}, {again()}, {again()})"),
            (1, lambda _: f"(select max(c2.email) from customers c2 where c2.id = c.id)"),
            (1, lambda _: f"{self.one('same', 'of_id')}({again()})"),
            (1, lambda _: f"{self.one('binary ', '-', '~', 'not ')}{again()}"),
            (1, lambda _: f"({again()} between {again()} and {again()})"),
            (1, lambda _: f"{{x {again()}}}"),
            (1, lambda _: f"substring({again()} from 2 for 3)"),
            (1, lambda _: f"trim(both 'x' from {again()})"),
            (1, lambda _: f"position({again()} in {again()})"),
        )

    def aggregate(self):
        value = self.expression(1)
        if self.chance(.2):
            return f"group_concat(distinct {value} order by {self.expression(1)} separator '|')"
        return f"{self.one(*AGGREGATES)}({value})"

    def statement(self):
        value, source = self.expression(self.one(0, 1, 2, 2, 3)), self.one(*SOURCES)
        rows = f"from {source}" + self.one("", " where c.id < 5", " where c.id = 3", f" where {self.expression(1)}")
        text = value.replace('"', "'")
        return self.choose(
            0,
            (10, lambda _: f"select {value} q {rows}"),
            (2, lambda _: f"select distinct {value} q {rows}"),
            (2, lambda _: f"select {self.aggregate()} q {rows}"),
            (2, lambda _: f"select {self.aggregate()} q {rows} group by c.id"),
            (1, lambda _: f"select {self.aggregate()} q {rows} group by c.plan with rollup"),
            (1, lambda _: f"with w as (select {value} q {rows}) select q from w"),
            (1, lambda _: f"select 'k' q union all select {value} {rows}"),
            (1, lambda _: f"select {self.one('lead', 'lag', 'first_value')}({value}) over (order by c.id) {rows}"),
            (1, lambda _: f"set @a = (select {value} {rows} limit 1) ;; select @a"),
            (1, lambda _: f"select {value} into @a {rows} limit 1 ;; select @a"),
            (1, lambda _: f"select @a := {value} {rows} ;; select @a"),
            (1, lambda _: f"prepare p from \"select {text} {rows}\" ;; execute p"),
            (1, lambda _: f"set @s = \"select {text} {rows}\" ;; prepare p from @s ;; execute p"),
            (1, lambda _: f"create temporary table if not exists t1 as select {value} q {rows} ;; select * from t1 ;; drop table t1"),
            (1, lambda _: f"select 1 {rows} order by {value}"),
            (1, lambda _: f"select p.name from products p where p.name in (select {value} {rows})"),
            (1, lambda _: f"select last_insert_id({value}) is null {rows} ;; select last_insert_id()"),
            (1, lambda _: f"select json_arrayagg(json_object('a', {value})) {rows}"),
            (1, lambda _: "call below(3)"),
            (1, lambda _: "call highest(@o) ;; select @o"),
            (1, lambda _: f"select {value} {rows} having {self.expression(1)}"),
            (1, lambda _: "handler customers open as h ;; handler h read first ;; handler h close"),
        )
