//! Texts of about a megabyte that are meant to exhaust, and some that are meant to work: bulk inserts and long lists.

use std::fmt::Write;

use weir_policy::relation::Engine;

use crate::world::{DEEP, DOUBLING};

/// Size that a text is filled to, bytes.
const BYTES: usize = 1_000_000;

/// What must be said of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// Customers are read, or nothing is promised.
    Reads,
    /// All is understood, customers are written and none leaves.
    OnlyWrites,
    /// All is understood.
    Full,
    /// It is said that not all is understood.
    NotFull,
    /// Nothing but that it comes back.
    Anything,
}

/// A text.
pub(crate) struct Text {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) expect: Expect,
    pub(crate) make: Box<dyn Fn() -> Vec<u8> + Send>,
}

/// Every text, for both dialects.
pub(crate) fn all() -> Vec<Text> {
    let mut texts = Vec::new();
    for (engine, prefix) in [(Engine::Postgres, "pg"), (Engine::Mysql, "mysql")] {
        let mut list = List { engine, prefix, texts: &mut texts };
        list.nests();
        list.chains();
        list.bulks();
        list.lexical();
        list.catalog();
        match engine {
            Engine::Postgres => list.postgres(),
            Engine::Mysql => list.mysql(),
        }
    }
    texts
}

/// A part as often as a text has room for it.
fn filled(head: &str, part: &str, tail: &str) -> Vec<u8> {
    let times = (BYTES - head.len() - tail.len()) / part.len();
    [head, &part.repeat(times), tail].concat().into_bytes()
}

/// What opens and what closes, around a middle, as often as a text has room for both.
fn nested(head: &str, (open, middle, close): (&str, &str, &str), tail: &str) -> Vec<u8> {
    let times = (BYTES - head.len() - tail.len() - middle.len()) / (open.len() + close.len());
    [head, &open.repeat(times), middle, &close.repeat(times), tail].concat().into_bytes()
}

/// Numbered parts up to the size of a text.
fn numbered(head: &str, tail: &str, part: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = head.to_owned();
    for number in 0.. {
        let part = part(number);
        if text.len() + part.len() + tail.len() > BYTES {
            break;
        }
        text.push_str(&part);
    }
    text.push_str(tail);
    text.into_bytes()
}

struct List<'t> {
    engine: Engine,
    prefix: &'static str,
    texts: &'t mut Vec<Text>,
}

impl List<'_> {
    fn add(&mut self, name: &str, expect: Expect, make: impl Fn() -> Vec<u8> + Send + 'static) {
        let name = format!("{}: {name}", self.prefix);
        self.texts.push(Text { name, engine: self.engine, expect, make: Box::new(make) });
    }

    fn filled(&mut self, name: &str, expect: Expect, (head, part, tail): (&'static str, &'static str, &'static str)) {
        self.add(name, expect, move || filled(head, part, tail));
    }

    fn nested(
        &mut self,
        name: &str,
        (head, open, middle, close, tail): (&'static str, &'static str, &'static str, &'static str, &'static str),
    ) {
        self.add(name, Expect::Reads, move || nested(head, (open, middle, close), tail));
    }

    fn nests(&mut self) {
        let from = " from customers";
        let select = "select email from customers where ";
        self.nested("brackets", (select, "(", "1", ")", ""));
        self.filled("brackets that stay open", Expect::Reads, (select, "(", ""));
        self.nested("subqueries", ("select ", "(select ", "1", ")", from));
        self.nested("derived tables", ("select * from ", "(select * from ", "customers", ") a", ""));
        self.nested("exists", (select, "exists (select 1 where ", "true", ")", ""));
        self.nested("in subqueries", (select, "id in (select id from customers where ", "1=1", ")", ""));
        self.nested("calls", ("select ", "lower(", "email", ")", from));
        self.nested("coalesce", ("select ", "coalesce(1,", "email", ")", from));
        self.nested("casts", ("select ", "cast(", "email", " as char)", from));
        self.nested("CASE in CASE", ("select ", "case when true then ", "1", " end", from));
        self.nested("CASE of CASE", ("select ", "case ", "1", " when 1 then 1 end", from));
        self.nested("table brackets", ("select email from ", "(", "customers", ")", ""));
        self.nested("joins in brackets", ("select 1 from ", "(customers a join ", "customers", " on true)", ""));
        self.nested("rows", ("select ", "row(", "email", ")", from));
        self.nested("bracketed selects", ("", "(", "select email from customers", ")", ""));
        self.nested("WITH in WITH", ("", "with a as (", "select email from customers", ") select * from a", ""));
        self.filled("NOT", Expect::Reads, (select, "not ", "true"));
        self.filled("minus", Expect::Reads, ("select ", "- ", "1 from customers"));
        self.filled("tilde", Expect::Reads, ("select ", "~ ", "1 from customers"));
        self.filled("interval", Expect::Reads, ("select ", "interval ", "'1' from customers"));
        self.filled("EXPLAIN", Expect::Anything, ("", "explain ", "select email from customers"));
        self.filled("BEGIN", Expect::Reads, ("", "begin; ", "select email from customers"));
        self.filled("BEGIN without ;", Expect::Anything, ("", "begin ", "select email from customers"));
        self.nested("BEGIN and END", ("", "begin ", "select email from customers;", " end;", ""));
        self.nested("calls of braces", ("select ", "{fn lower(", "email", ")}", from));
    }

    fn chains(&mut self) {
        let select = "select email from customers where a=1";
        let from = " from customers";
        self.filled("UNION ALL", Expect::Reads, ("select email from customers", " UNION ALL SELECT 1", ""));
        self.filled("EXCEPT", Expect::Reads, ("select email from customers", " except select 1", ""));
        self.filled("UNION of brackets", Expect::Reads, ("(select email from customers)", " union (select 1)", ""));
        self.filled("AND", Expect::Reads, (select, " AND a=1", ""));
        self.filled("OR", Expect::Reads, (select, " OR id=1", ""));
        self.filled("AND and OR", Expect::Reads, (select, " AND a=1 OR b=2", ""));
        self.filled("OR of brackets", Expect::Reads, (select, " OR (id=1)", ""));
        self.add("OR, each another", Expect::Reads, move || numbered(select, "", |number| format!(" OR id={number}")));
        self.filled("sums", Expect::Reads, ("select 1", "+1", from));
        self.filled("concatenations", Expect::Reads, ("select email", "||email", from));
        self.filled("comparisons", Expect::Reads, (select, "=a", ""));
        self.filled("IS NULL", Expect::Reads, (select, " is null", ""));
        self.filled("LIKE", Expect::Reads, (select, " like 'x'", ""));
        self.filled("BETWEEN", Expect::Reads, (select, " between 1 and 2", ""));
        self.filled("COLLATE", Expect::Reads, ("select email", " collate x", from));
        self.filled("WHEN", Expect::Reads, ("select case", " when id=1 then email", " end from customers"));
        self.filled(
            "joins with USING",
            Expect::Reads,
            ("select email from customers", " join customers using (id)", ""),
        );
        self.filled("joins with ON", Expect::Reads, ("select 1 from customers", " left join customers on true", ""));
        self.filled("natural joins", Expect::Reads, ("select * from customers", " natural join customers", ""));
        self.filled("cross joins", Expect::Reads, ("select * from customers", " cross join customers", ""));
        self.filled("tables with commas", Expect::Reads, ("select * from customers", ", customers", ""));
        self.filled("columns", Expect::Reads, ("select email", ", email", from));
        self.filled("stars", Expect::Reads, ("select *", ", *", from));
        self.filled("stars of tables", Expect::Reads, ("select customers.*", ", customers.*", from));
        self.filled("scalar subqueries", Expect::Reads, ("select 1", ", (select email from customers)", ""));
        self.filled("dots", Expect::Reads, ("select a", ".a", from));
        self.filled("GROUP BY", Expect::Reads, ("select 1 from customers group by id", ", email", ""));
        self.filled("ORDER BY", Expect::Reads, ("select 1 from customers order by id", ", email", ""));
        self.filled("calls side by side", Expect::Reads, ("select 1", ", lower(email)", from));
        self.filled("windows", Expect::Reads, ("select 1", ", lag(email) over (order by id)", from));
        self.filled("FOR UPDATE", Expect::Reads, ("select email from customers", " for update", ""));
        self.add("CTEs side by side", Expect::Reads, || {
            numbered("with a as (select email from customers)", " select * from a", |number| {
                format!(", c{number} as (select email from customers)")
            })
        });
        self.add("CTEs on top of each other", Expect::Reads, || {
            let mut last = 0;
            let mut text = "with c0 as (select email from customers)".to_owned();
            while text.len() < BYTES - 100 {
                // Writing to a string cannot fail.
                let _ = write!(text, ", c{} as (select * from c{last})", last + 1);
                last += 1;
            }
            let _ = write!(text, " select * from c{last}");
            text.into_bytes()
        });
        self.add("CTEs that double", Expect::Reads, || {
            let mut text = "with c0 as (select * from customers)".to_owned();
            for level in 1..60 {
                let _ = write!(text, ", c{level} as (select a.*, b.* from c{} a, c{} b)", level - 1, level - 1);
            }
            text.push_str(" select * from c59");
            text.into_bytes()
        });
        self.add("aliases", Expect::Reads, || {
            numbered("select 1 from customers", "", |number| format!(", customers c{number}"))
        });
        self.add("columns of aliases", Expect::Reads, || {
            numbered("select email", " from customers", |number| format!(", email as e{number}"))
        });
        self.add("derived tables side by side", Expect::Reads, || {
            numbered("select * from customers", "", |number| format!(", (select email from customers) d{number}"))
        });
        self.add("unknown relations", Expect::Reads, || {
            numbered("select 1 from customers", "", |number| format!(", nobody_{number}"))
        });
        self.add("unknown functions", Expect::Reads, || {
            numbered("select 1", " from customers", |number| format!(", f_unknown_{number}(email)"))
        });
        self.filled("statements", Expect::Reads, ("", "select email from customers;", ""));
        self.filled(
            "short statements",
            Expect::Reads,
            ("select email from customers;", "select 1;", "select email from customers"),
        );
        self.filled("semicolons", Expect::Anything, ("", ";", ""));
        self.filled("semicolons before a read", Expect::Reads, ("", ";", "select email from customers"));
        self.filled("SET", Expect::Anything, ("", "set a = 1;", "select email from customers"));
        self.filled("transactions", Expect::Anything, ("", "begin;commit;", "select email from customers"));
    }

    fn bulks(&mut self) {
        use Expect::{Full, OnlyWrites};
        let into = "insert into customers values (0, 'x', 'x', 'x')";
        self.filled("bulk INSERT", OnlyWrites, (into, ", (12345, 'Jane O''Hara', 'jane@example.org', NULL)", ""));
        self.filled(
            "bulk INSERT, negative numbers",
            OnlyWrites,
            (into, ", (-12345, 'Jane', 'jane@example.org', -1.5)", ""),
        );
        self.filled("bulk INSERT, now()", OnlyWrites, (into, ", (12345, 'Jane', now(), CURRENT_TIMESTAMP)", ""));
        self.filled("bulk INSERT, booleans", OnlyWrites, (into, ", (12345, TRUE, false, DEFAULT)", ""));
        self.filled("bulk INSERT, short rows", Expect::Anything, ("insert into customers (id) values (0)", ",(1)", ""));
        self.filled(
            "bulk INSERT, columns named",
            OnlyWrites,
            (
                "insert into customers (id, name, email) values (0, 'x', 'x')",
                ",\n  (1, 'Jane', 'jane@example.org')",
                "",
            ),
        );
        self.add("bulk INSERT, one long string", OnlyWrites, || {
            format!("insert into customers values (1, '{}', 'x', 'x')", "a b ''c'' ".repeat(90_000)).into_bytes()
        });
        self.filled("VALUES", Full, ("values (1, 'x')", ", (1, 'x')", ""));
        self.filled("IN list of numbers", Full, ("select email from customers where id in (1", ", 1234567", ")"));
        self.filled("IN list of negative numbers", Full, ("select email from customers where id in (1", ", -123", ")"));
        self.filled(
            "IN list of strings",
            Full,
            ("select email from customers where name in ('x'", ", 'some name'", ")"),
        );
        self.filled(
            "IN list of rows",
            Full,
            ("select email from customers where (id, name) in ((1, 'x')", ", (1, 'x')", ")"),
        );
        self.filled("IN list of columns", Expect::Reads, ("select 1 from customers where 1 in (id", ", email", ")"));
        self.filled(
            "CASE of constants",
            Expect::Anything,
            ("update customers set name = case id", " when 12345 then 'Jane Doe'", " end where id in (1, 2)"),
        );
    }

    fn lexical(&mut self) {
        let from = " from customers";
        self.add("one long name", Expect::Reads, || filled("select email from customers where ", "a", " = 1"));
        self.add("one long quoted name", Expect::Reads, || filled("select \"", "a", "\" from customers"));
        self.add("one long number", Expect::Reads, || filled("select ", "1", " from customers"));
        self.filled("doubled quotes", Expect::Reads, ("select '", "''", "' from customers"));
        self.filled("strings", Expect::Reads, ("select 'x'", ", 'x'", from));
        self.filled("empty strings in a row", Expect::Reads, ("select '' ", "'' ", from));
        self.filled("strings on lines", Expect::Reads, ("select ''", "\n''", from));
        self.filled("backslashes", Expect::Reads, ("select '", "\\\\", "' from customers"));
        self.filled("comments", Expect::Reads, ("select email ", "/**/", from));
        self.filled("comments that stay open", Expect::NotFull, ("select email from customers ", "/*", ""));
        self.nested("comments in comments", ("select email ", "/*", "", "*/", from));
        self.filled("line comments", Expect::Reads, ("select email ", "-- x\n", from));
        self.filled(
            "a string that stays open",
            Expect::NotFull,
            ("select email from customers where name = '", "a", ""),
        );
        self.filled("a name that stays open", Expect::NotFull, ("select email from customers where \"", "a", ""));
        self.filled("a quote after each", Expect::Anything, ("select email from customers ", "' ", ""));
        self.filled("operators", Expect::Anything, ("select 1 from customers where a ", "@", " b"));
        self.filled("operators apart", Expect::Anything, ("select 1 from customers where a ", "@ ", " b"));
        self.filled("operators in a row", Expect::Anything, ("select a", "+-", "b from customers"));
        self.filled("dollars", Expect::Anything, ("select email from customers ", "$", ""));
        self.filled("colons", Expect::Anything, ("select email from customers ", ":", ""));
        self.filled("parameters", Expect::Reads, ("select $1", ", $1", from));
        self.filled("question marks", Expect::Anything, ("select ?", ", ?", from));
        self.add("zero bytes", Expect::NotFull, || {
            [b"select email from customers ".as_slice(), &vec![0; BYTES]].concat()
        });
        self.add("bytes that are no text", Expect::Anything, || {
            [b"select email from customers where a = ".as_slice(), &vec![0xff; BYTES]].concat()
        });
        self.add("bytes that are no text, in names", Expect::Anything, || {
            [b"select email from customers where \"".as_slice(), &vec![0xff; BYTES], b"\" = 1"].concat()
        });
        self.add("halves of characters", Expect::Anything, || {
            [b"select email from customers where ".as_slice(), &b"\xc3 \xe2\x82 ".repeat(BYTES / 5)].concat()
        });
        self.filled("words", Expect::Anything, ("select email from customers ", "a ", ""));
        self.filled("the same relation", Expect::Anything, ("select email from customers ", "customers ", ""));
        self.filled("quoted relations", Expect::Anything, ("select email from customers ", "\"customers\" ", ""));
        self.add("words, each another", Expect::Anything, || {
            numbered("select email from customers ", "", |number| format!("w{number} "))
        });
        self.add("names with dots, each another", Expect::Anything, || {
            numbered("select email from customers ", "", |number| format!("a{number}.customers.c{number} "))
        });
        self.filled("keywords", Expect::Anything, ("select email from customers ", "select from where ", ""));
        self.filled("WITH", Expect::Anything, ("", "with ", "select email from customers"));
        self.filled("FROM", Expect::Anything, ("select 1 ", "from ", "customers"));
        self.filled("DECLARE", Expect::Anything, ("", "declare a cursor for ", "select email from customers"));
        self.filled("PREPARE", Expect::Anything, ("", "prepare a as ", "select email from customers"));
        self.filled("CREATE VIEW", Expect::Anything, ("", "create view a as ", "select email from customers"));
        self.filled(
            "CREATE FUNCTION",
            Expect::Anything,
            ("", "create function a() begin ", "select email from customers"),
        );
        self.filled("GRANT", Expect::Anything, ("grant select on customers", ", customers", " to a"));
        self.filled("DROP TABLE", Expect::Anything, ("drop table customers", ", customers", ""));
        self.filled("CALL", Expect::Anything, ("call f_mail(1", ", 1", ")"));
        self.filled("INTO", Expect::Anything, ("select email from customers", " into a", ""));
        self.filled("UPDATE SET", Expect::Anything, ("update customers set name = 'x'", ", email = 'x'", ""));
        self.filled("RETURNING", Expect::Anything, ("delete from customers returning id", ", email", ""));
    }

    fn catalog(&mut self) {
        self.add("deep views", Expect::Reads, || format!("select * from deep_{}", DEEP - 1).into_bytes());
        self.add("views below the limit", Expect::Reads, || b"select * from deep_20".to_vec());
        self.add("deep views, many times", Expect::Reads, || filled("select 1 from customers", ", deep_63", ""));
        self.add("some deep views", Expect::Reads, || {
            format!("select 1 from customers{}", ", deep_20".repeat(100)).into_bytes()
        });
        self.add("views that double", Expect::Reads, || format!("select * from twice_{}", DOUBLING - 1).into_bytes());
        self.add("views that double a little", Expect::Reads, || b"select * from twice_11".to_vec());
        self.add("views that double, many times", Expect::Reads, || {
            filled("select 1 from customers", ", twice_39", "")
        });
        self.add("statements of a kilobyte", Expect::Reads, || {
            let columns = ", lower(email) || coalesce(name, 'x')".repeat(25);
            filled("", &format!("select id{columns} from customers where id = 7;"), "")
        });
        self.add("statements that write, of a kilobyte", Expect::Anything, || {
            let row = ", (1, 'Jane O''Hara', 'jane@example.org', '1')".repeat(20);
            filled("", &format!("insert into customers values (0, 'x', 'x', 'x'){row};"), "")
        });
        self.add("a program of short statements", Expect::Anything, || {
            filled("begin not atomic ", "select 1;", " end")
        });
        self.add("statements over views that double", Expect::Reads, || filled("", "select * from twice_39;", ""));
        self.add("statements over deep views", Expect::Reads, || filled("", "select * from deep_31;", ""));
        self.filled("partitions", Expect::Anything, ("select 1 from customers", ", parted", ""));
        self.add("partitions, some hundred times", Expect::Anything, || {
            format!(
                "select 1 from parted a{}",
                (0..500).map(|number| format!(", parted p{number}")).collect::<String>()
            )
            .into_bytes()
        });
        self.filled("a function", Expect::Reads, ("select 1", ", f_mail(1)", ""));
        self.filled("a function of itself", Expect::Reads, ("select 1", ", f_self(1)", ""));
        self.filled("functions of each other", Expect::Anything, ("select 1", ", f_ping(1)", ""));
        self.filled("functions that double", Expect::Reads, ("select 1", ", f_twice_39(1)", ""));
        self.add("statements of functions that double", Expect::Anything, || filled("", "select f_twice_39(1);", ""));
    }

    fn postgres(&mut self) {
        use Expect::{Anything, Full, OnlyWrites, Reads};
        let from = " from customers";
        self.add("bulk INSERT, parameters", OnlyWrites, || {
            let mut next = 0;
            let mut text = "insert into customers values ($1, $2, $3, $4)".to_owned();
            while text.len() < 65_000 * 9 {
                let _ = write!(text, ", (${}, ${}, ${}, ${})", next + 1, next + 2, next + 3, next + 4);
                next += 4;
            }
            text.into_bytes()
        });
        self.filled(
            "bulk INSERT, casts",
            OnlyWrites,
            (
                "insert into customers values (0, 'x', 'x', 'x')",
                ", (12::int8, 'Jane'::text, E'jane\\'s', '2026-11-24'::date)",
                "",
            ),
        );
        self.filled(
            "bulk INSERT, ON CONFLICT",
            OnlyWrites,
            (
                "insert into customers values (0, 'x', 'x', 'x')",
                ", (1, 'Jane', 'jane@example.org', '1')",
                " on conflict (id) do update set name = excluded.name",
            ),
        );
        self.filled("ANY of an array", Full, ("select email from customers where id = any(array[1", ", 1234567", "])"));
        self.filled("casts in a row", Reads, ("select email", "::text", from));
        self.filled("subscripts", Reads, ("select a", "[1]", from));
        self.nested("subscripts in subscripts", ("select ", "a[", "1", "]", from));
        self.nested("arrays", ("select ", "array[", "1", "]", from));
        self.filled("U&\"\"", Reads, ("select U&\"\\0063\"", ", U&\"\\0063\"", from));
        self.add("one long U&\"\"", Reads, || filled("select U&\"", "\\0063", "\" from customers"));
        self.filled("U&'' UESCAPE", Reads, ("select U&'!0063' uescape '!'", ", U&'!0063' uescape '!'", from));
        self.filled("U&'' and comments", Reads, ("select ", "U&''--\n", from));
        self.filled("E''", Reads, ("select E'", "\\x41", "' from customers"));
        self.filled("dollar quotes", Reads, ("select $a$x$a$", ", $a$x$a$", from));
        self.add("dollar quotes that stay open", Anything, || {
            numbered("select email from customers ", "", |number| format!("$a{number}$ "))
        });
        self.add("a dollar quote of dollars", Reads, || filled("select $a$", "$b", "$a$ from customers"));
        self.add("a dollar quote with a long tag", Reads, || {
            let tag = "a".repeat(BYTES / 3);
            format!("select ${tag}$ ${}$ ${tag}$ from customers", &tag[1..]).into_bytes()
        });
        self.add("dollar tags", Anything, || {
            let tag = "a".repeat(1000);
            filled("select email from customers $", &format!("{tag}$"), "")
        });
        self.filled(
            "query_to_xml",
            Reads,
            ("select 1", ", query_to_xml('select * from customers', true, true, '')", ""),
        );
        self.add("query_to_xml in itself", Anything, || {
            let mut inner = "select * from customers".to_owned();
            while inner.len() < BYTES / 3 {
                inner = format!("select query_to_xml('{}', true, true, '')", inner.replace('\'', "''"));
            }
            inner.into_bytes()
        });
        self.filled("set_config", Reads, ("select 1", ", set_config('a.b', $1, true)", from));
        self.filled("search_path", Anything, ("select email from customers; ", "set search_path = a, b;", ""));
        self.filled("DO", Anything, ("do $$ begin ", "perform f_mail(1); ", "end $$"));
        self.filled("DO with EXECUTE", Anything, ("do $$ begin ", "execute 'select email from customers'; ", "end $$"));
        self.filled(
            "function bodies",
            Anything,
            ("create function a() returns int language sql as $$ ", "select email from customers; ", "$$"),
        );
        self.nested("function bodies in bodies", ("", "do 'begin execute ", "'", "end'", ""));
        self.nested(
            "BEGIN ATOMIC",
            (
                "create function a() returns int begin atomic ",
                "begin atomic ",
                "select email from customers;",
                " end;",
                "end",
            ),
        );
        self.filled("COPY", Anything, ("copy customers (id", ", email", ") to stdout"));
        self.filled(
            "MERGE",
            Anything,
            ("merge into customers c using tickets t on true", " when matched then update set name = 'x'", ""),
        );
        self.filled(
            "GROUPING SETS",
            Anything,
            ("select 1 from customers group by grouping sets ((id)", ", (id, email)", ")"),
        );
        self.nested("grouping sets", ("select 1 from customers group by ", "grouping sets (", "id", ")", ""));
        self.filled("TABLE", Reads, ("table customers", " union all table customers", ""));
        self.filled("FROM ONLY", Reads, ("select 1 from only customers", ", only (customers)", ""));
        self.filled("LATERAL", Reads, ("select 1 from customers", ", lateral (select email from customers) a", ""));
        self.filled("whole rows", Reads, ("select (customers).*", ", (customers).*", from));
        self.filled("VARIADIC", Reads, ("select f_mail(1", ", variadic email", ") from customers"));
        self.filled("XMLELEMENT", Reads, ("select 1", ", xmlelement(name a, email)", from));
        self.filled("FILTER", Reads, ("select 1", ", string_agg(email, ',') filter (where true)", from));
        self.filled("JSON paths", Reads, ("select email", "->'a'", from));
    }

    fn mysql(&mut self) {
        use Expect::{Anything, OnlyWrites, Reads};
        let from = " from customers";
        self.filled(
            "bulk INSERT, parameters",
            OnlyWrites,
            ("insert into customers values (?, ?, ?, ?)", ", (?, ?, ?, ?)", ""),
        );
        self.filled(
            "bulk INSERT, mysqldump's",
            OnlyWrites,
            ("INSERT INTO `customers` VALUES (0,'x','x','x')", ",(-12,_binary 'ab\\'c',0x616263,NULL)", ""),
        );
        self.filled(
            "bulk INSERT, ON DUPLICATE KEY",
            OnlyWrites,
            (
                "insert into customers values (0, 'x', 'x', 'x')",
                ", (1, 'Jane', 'jane@example.org', '1')",
                " on duplicate key update name = values(name)",
            ),
        );
        self.filled(
            "bulk REPLACE",
            OnlyWrites,
            ("replace into customers values (0, 'x', 'x', 'x')", ", (1, 'Jane', 'jane@example.org', '1')", ""),
        );
        self.filled(
            "bulk INSERT, double quotes",
            OnlyWrites,
            (
                "insert into customers values (0, 'x', 'x', 'x')",
                ", (1, \"Jane \\\" O'Hara\", \"jane@example.org\", \"1\")",
                "",
            ),
        );
        self.filled("versioned comments", Reads, ("select email ", "/*!50000 */", from));
        self.filled("versioned comments with words", Anything, ("select email from customers ", "/*!50000 a*/ ", ""));
        self.filled("versioned comments that stay open", Anything, ("select email from customers ", "/*!50000 ", ""));
        self.nested("versioned comments in each other", ("select email ", "/*!50000 ", "", "*/", from));
        self.nested("versioned comments of the future", ("select email ", "/*!999999 ", "", "*/", from));
        self.filled("conditional comments", Reads, ("select email ", "/*! */", from));
        self.filled("MariaDB's comments", Reads, ("select email ", "/*M! */", from));
        self.filled("hints", Anything, ("select ", "/*+ NO_MERGE(a) */ ", "email from customers"));
        self.filled("backticks", Reads, ("select `email`", ", `email`", from));
        self.add("one long name in backticks", Reads, || filled("select `", "``", "` from customers"));
        self.filled("hashes", Reads, ("select email ", "#\n", from));
        self.filled("character sets", Reads, ("select _utf8'x'", ", _utf8'x'", from));
        self.filled("character sets in a row", Anything, ("select ", "_utf8 ", "'x' from customers"));
        self.filled("hexadecimal", Reads, ("select 0x41", ", 0x41", from));
        self.filled("variables", Reads, ("select @a := email", ", @a := email", from));
        self.filled("long variables", Reads, ("select @`", "a", "` from customers"));
        self.filled("system variables", Anything, ("select @@a", ", @@global.sql_mode", from));
        self.filled("SET of many", Anything, ("set @a = (select email from customers)", ", @a = 1", ""));
        self.filled("PREPARE FROM", Anything, ("", "prepare a from 'select email from customers';", ""));
        self.filled("EXECUTE IMMEDIATE", Anything, ("", "execute immediate 'select email from customers';", ""));
        self.filled("labels", Anything, ("", "a: begin ", "select email from customers"));
        self.filled("IF", Anything, ("begin not atomic ", "if 1 then ", "select email from customers"));
        self.nested("blocks", ("begin not atomic ", "begin ", "select email from customers;", "end;", " end"));
        self.filled(
            "procedure bodies",
            Anything,
            ("create procedure a() begin ", "select email from customers; ", "end"),
        );
        self.filled("procedures that stay open", Anything, ("", "create procedure p() begin ", "select 1"));
        self.filled(
            "CASE statements",
            Anything,
            ("begin not atomic ", "case 1 when 1 then ", "select email from customers"),
        );
        self.filled("DECLARE", Anything, ("begin not atomic ", "declare a int; ", "select email from customers; end"));
        self.filled("LIMIT", Reads, ("select email from customers", " limit 1, 2", ""));
        self.filled("index hints", Reads, ("select email from customers", " use index (a)", ""));
        self.filled("INTO @", Reads, ("select email from customers", " into @a", ""));
        self.filled("INTERVAL", Reads, ("select now()", " + interval 1 day", from));
        self.nested("CONVERT", ("select ", "convert(", "email", ", char)", from));
        self.filled("BINARY", Reads, ("select ", "binary ", "email from customers"));
        self.filled("bangs", Reads, ("select ", "!", "1 from customers"));
        self.filled("MATCH", Reads, ("select match(email) ", "against (1 in boolean mode) ", from));
        self.filled("DIV", Reads, ("select 1", " div 1", from));
        self.filled("XOR", Reads, ("select email from customers where a", " xor a", ""));
        self.filled("HANDLER", Anything, ("", "handler customers open; handler customers read first;", ""));
        self.filled("multi-table UPDATE", Anything, ("update customers", ", customers", " set email = 1"));
        self.filled("multi-table DELETE", Anything, ("delete customers", ", customers", " from customers"));
        self.filled("LOAD DATA", Anything, ("load data infile 'x' into table customers (id", ", @a", ")"));
        self.filled("GROUP_CONCAT", Reads, ("select 1", ", group_concat(email order by id separator ',')", from));
        self.filled("ODBC braces", Anything, ("select ", "{d ", "'2026-11-24' from customers"));
        self.filled("DELIMITER", Anything, ("", "delimiter //\n", "select email from customers"));
        self.filled("SET STATEMENT", Anything, ("", "set statement a=1 for ", "select email from customers"));
    }
}
