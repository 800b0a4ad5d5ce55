//! Where the corpus comes from: conversations, packets and statements that a person can read.
//!
//! `weir-fuzz --write-seeds` writes them to `corpus/`; a test holds that what is committed is what stands here. What a
//! run finds is added to `corpus/` under a name of its own, and stays.

use crate::conversation::Script;

type Named<T> = Vec<(String, T)>;

fn named<T>(entries: Vec<(&str, T)>) -> Named<T> {
    entries.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect()
}

/// What clients say.
pub fn client() -> Named<Script> {
    let s = Script::new;
    named(vec![
        ("query", s().query("select 1").query("").client(b'X', b"")),
        ("extended", s().parse("", "select $1").bind("", "", &["42"]).describe(b'P', "").execute("", 0).sync()),
        (
            "named",
            s().parse("a", "select $1")
                .describe(b'S', "a")
                .bind("p", "a", &["x"])
                .execute("p", 5)
                .execute("p", 5)
                .client(b'C', b"Pp\0")
                .client(b'C', b"Sa\0")
                .sync(),
        ),
        ("refused", s().query("refuse this one").parse("n", "never prepare this").sync().query("select 2")),
        (
            "refused-in-a-pipeline",
            s().parse("a", "refuse what is bound")
                .bind("", "a", &[])
                .execute("", 0)
                .parse("b", "update t")
                .bind("", "b", &[])
                .execute("", 0)
                .sync(),
        ),
        (
            "held",
            s().parse("", "select secret")
                .bind("", "", &[])
                .execute("", 0)
                .client(b'H', b"")
                .parse("u", "update t")
                .sync(),
        ),
        (
            "values",
            s().parse("", "select secret where id = $1").bind("", "", &["1", "22", "333"]).execute("", 0).sync(),
        ),
        (
            "shape-asked-for",
            s().parse("", "select shape").bind("", "", &[]).execute("", 0).sync().execute("unknown", 0).sync(),
        ),
        (
            "copy",
            s().query("copy t from stdin")
                .client(b'd', b"1\tx\n")
                .client(b'd', &[b'y'; 300])
                .client(b'c', b"")
                .client(b'f', b"no\0")
                .sync(),
        ),
        (
            "functions",
            s().client(b'F', &[&7_u32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat())
                .client(b'F', &[&8_u32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat()),
        ),
        (
            "many-in-a-pipeline",
            (0..14).fold(s(), |script, _| script.parse("", "select 1").bind("", "", &[]).execute("", 0)).sync(),
        ),
        ("many-names", (0..14).fold(s(), |script, n| script.parse(&format!("s{n}"), "select 1").sync())),
        // Each of these was found by a run.
        ("more-executions-than-fit", (0..14).fold(s(), |script, _| script.execute("unknown", 0))),
        ("unknown-behind-held", s().query("select secret").client(b'z', b"whole").sync()),
        ("login-again", s().client(b'p', b"password\0").query("select 1")),
    ])
}

/// What both sides say.
pub fn sessions() -> Named<Script> {
    let s = Script::new;
    let page = |script: Script| script.parse("", "select secret").bind("", "", &[]).describe(b'P', "").execute("", 0);
    named(vec![
        ("rows", s().query("select 1").described().rows(3).complete("SELECT 3").ready(b'I')),
        (
            "extended",
            s().parse("a", "select 1")
                .bind("", "a", &["1"])
                .describe(b'P', "")
                .execute("", 2)
                .sync()
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .described()
                .rows(2)
                .upstream(b's', b"")
                .ready(b'T'),
        ),
        (
            "statement-described",
            s().parse("a", "select shape")
                .describe(b'S', "a")
                .sync()
                .upstream(b'1', b"")
                .upstream(b't', b"\0\0")
                .described()
                .ready(b'I')
                .bind("", "a", &[])
                .execute("", 0)
                .sync()
                .upstream(b'2', b"")
                .rows(1)
                .complete("SELECT 1")
                .ready(b'I'),
        ),
        (
            "refused",
            s().query("refuse me")
                .error("26000")
                .ready(b'I')
                .query("select 2")
                .described()
                .complete("SELECT 0")
                .ready(b'I'),
        ),
        (
            "refused-in-a-pipeline",
            s().parse("a", "select 1")
                .bind("", "a", &[])
                .execute("", 0)
                .parse("b", "refuse it")
                .bind("", "b", &[])
                .execute("", 0)
                .parse("c", "update t")
                .bind("", "c", &[])
                .execute("", 0)
                .sync()
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .rows(1)
                .complete("SELECT 1")
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .error("34000")
                .ready(b'E'),
        ),
        ("refused-to-prepare", s().parse("", "never").sync().error("34000").ready(b'I')),
        (
            "cut",
            s().query("select secret")
                .described()
                .rows(4)
                .upstream(b'N', b"SNOTICE\0\0")
                .rows(2)
                .error("57014")
                .ready(b'E'),
        ),
        (
            "cut-too-late",
            s().query("select secret").described().rows(3).complete("SELECT 3").ready(b'T').error("42601").ready(b'E'),
        ),
        (
            "cut-portal",
            page(s())
                .parse("u", "update t")
                .bind("", "u", &[])
                .execute("", 0)
                .sync()
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .described()
                .rows(3)
                .complete("SELECT 3")
                .error("34000")
                .ready(b'I'),
        ),
        (
            "cut-portal-in-time",
            page(s())
                .sync()
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .described()
                .rows(9)
                .error("57014")
                .ready(b'I')
                .query("select 2")
                .described()
                .ready(b'I'),
        ),
        (
            "held-and-done",
            page(s())
                .sync()
                .query("select 1")
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .described()
                .rows(1)
                .complete("SELECT 1")
                .ready(b'I')
                .described()
                .rows(1)
                .complete("SELECT 1")
                .ready(b'I'),
        ),
        (
            "shape-asked-for",
            s().parse("", "select shape")
                .bind("", "", &[])
                .execute("", 0)
                .sync()
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .described()
                .rows(1)
                .complete("SELECT 1")
                .ready(b'I'),
        ),
        ("shape-of-the-unknown", s().execute("elsewhere", 0).sync().upstream(b'n', b"").complete("SET").ready(b'I')),
        (
            "several-results",
            s().query("select 1; select 2")
                .described()
                .rows(1)
                .complete("SELECT 1")
                .described()
                .rows(2)
                .complete("SELECT 2")
                .upstream(b'S', b"TimeZone\0UTC\0")
                .ready(b'I'),
        ),
        (
            "error-skips",
            s().parse("", "select 1")
                .bind("", "", &[])
                .execute("", 0)
                .execute("", 0)
                .sync()
                .upstream(b'1', b"")
                .error("22012")
                .ready(b'E')
                .query("rollback")
                .complete("ROLLBACK")
                .ready(b'I'),
        ),
        (
            "copy-out",
            s().query("copy t to stdout")
                .upstream(b'H', b"\0\0\x01\0\0")
                .upstream(b'd', b"1\n")
                .upstream(b'd', b"2\n")
                .upstream(b'c', b"")
                .complete("COPY 2")
                .ready(b'I'),
        ),
        (
            "copy-out-secret",
            s().query("copy secret to stdout")
                .upstream(b'H', b"\0\0\x01\0\0")
                .upstream(b'd', b"1\n")
                .upstream(b'd', b"2\n")
                .upstream(b'd', b"3\n")
                .error("57014")
                .ready(b'I'),
        ),
        (
            "copy-in",
            s().query("copy t from stdin")
                .upstream(b'G', b"\0\0\0")
                .client(b'd', b"1\n")
                .client(b'c', b"")
                .complete("COPY 1")
                .ready(b'I'),
        ),
        (
            "copy-in-extended",
            s().parse("", "copy t from stdin")
                .bind("", "", &[])
                .execute("", 0)
                .sync()
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .upstream(b'G', b"\0\0\0")
                .client(b'd', b"1\n")
                .sync()
                .client(b'c', b"")
                .sync()
                .complete("COPY 1")
                .ready(b'I'),
        ),
        (
            "copy-in-early",
            s().parse("", "copy t from stdin")
                .bind("", "", &[])
                .execute("", 0)
                .client(b'd', b"1\n")
                .client(b'c', b"")
                .sync()
                .upstream(b'1', b"")
                .upstream(b'2', b"")
                .upstream(b'G', b"\0\0\0")
                .complete("COPY 1")
                .ready(b'I'),
        ),
        (
            "function",
            s().client(b'F', &[&7_u32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat())
                .upstream(b'V', b"\0\0\0\x01a")
                .ready(b'I'),
        ),
        ("empty", s().query("").upstream(b'I', b"").ready(b'I')),
        (
            "asynchronous",
            s().upstream(b'A', b"\0\0\0\x01c\0\0")
                .upstream(b'N', b"SNOTICE\0\0")
                .upstream(b'S', b"a\0b\0")
                .query("listen c")
                .complete("LISTEN")
                .ready(b'I'),
        ),
        ("farewell", s().query("select 1").upstream(b'E', b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0")),
        ("rows-unasked", s().described().rows(1)),
        ("rows-behind-the-end", s().query("select 1").described().complete("SELECT 0").rows(1).ready(b'I')),
        ("empty-row-behind-rows", s().query("select 1").described().rows(2).upstream(b'D', b"")),
        ("bad-length-behind-rows", s().query("select secret").described().rows(2).upstream_raw(b"D\xff\xff\xff\xff")),
        ("giant-row", s().query("select 1").described().upstream_raw(b"D\x7f\xff\xff\xff\0\x01")),
        ("row-in-two", s().query("select 1").described().upstream_raw(b"D\0\0\x01\0half of it")),
    ])
}

fn packet(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap_or(0);
    [&len.to_be_bytes()[..], body].concat()
}

fn startup(minor: u8, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, minor];
    for (name, value) in pairs {
        body.extend([name.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
    }
    body.push(0);
    [vec![0], packet(&body)].concat()
}

/// First packets and exchanges of credentials; see [`crate::wire_startup`] for the first byte.
pub fn startups() -> Named<Vec<u8>> {
    let server = |script: Script| {
        let upstream = crate::conversation::turns(&script.done()).into_iter().flat_map(|turn| turn.bytes);
        [1].into_iter().chain(upstream).collect::<Vec<u8>>()
    };
    let s = Script::new;
    named(vec![
        (
            "psql",
            startup(
                0,
                &[
                    ("user", "alice"),
                    ("database", "support"),
                    ("application_name", "psql"),
                    ("client_encoding", "UTF8"),
                ],
            ),
        ),
        ("user-only", startup(2, &[("user", "alice")])),
        ("user-twice", startup(0, &[("user", "alice"), ("USER", "postgres")])),
        ("options", startup(0, &[("user", "a"), ("options", "-c search_path=public\\ x --geqo=off -cwork_mem=4MB")])),
        ("options-empty", startup(0, &[("user", "a"), ("options", "-c=")])),
        ("replication", startup(0, &[("user", "a"), ("replication", "database")])),
        ("extension", startup(9, &[("user", "a"), ("_pq_.command", "on")])),
        ("unknown-parameter", startup(0, &[("user", "a"), ("session_authorization", "b")])),
        ("protocol-2", [vec![0], packet(b"\0\x02\0\0alice")].concat()),
        ("tls", [vec![0], packet(&80_877_103_u32.to_be_bytes())].concat()),
        ("tls-stuffed", [vec![0], packet(&80_877_103_u32.to_be_bytes()), startup(0, &[("user", "a")])].concat()),
        ("tls-direct", b"\0\x16\x03\x01\x02\0".to_vec()),
        ("gss", [vec![0], packet(&80_877_104_u32.to_be_bytes())].concat()),
        ("cancel", [vec![0], packet(b"\x04\xd2\x16\x2e\0\0\0\x07keys")].concat()),
        ("giant", b"\0\x7f\xff\xff\xff\0\x03\0\0".to_vec()),
        (
            "trust",
            server(
                s().upstream(b'R', b"\0\0\0\0")
                    .upstream(b'S', b"server_version\x0015\0")
                    .upstream(b'K', b"\0\0\0\x07key!")
                    .ready(b'I'),
            ),
        ),
        (
            "scram",
            server(
                s().upstream(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
                    .upstream(b'R', b"\0\0\0\x0br=x,s=y,i=4096")
                    .upstream(b'R', b"\0\0\0\x0cv=z")
                    .upstream(b'R', b"\0\0\0\0"),
            ),
        ),
        ("clear-text", server(s().upstream(b'R', b"\0\0\0\x03"))),
        ("md5", server(s().upstream(b'R', b"\0\0\0\x05salt"))),
        ("gssapi", server(s().upstream(b'R', b"\0\0\0\x07"))),
        ("failed", server(s().upstream(b'E', b"SFATAL\0VFATAL\0C28P01\0Mno\0\0"))),
        ("failed-without-a-code", server(s().upstream(b'E', b"Mno\0\0"))),
        ("rows-before-login", server(s().rows(1))),
        ("password", [vec![2], s().client(b'p', b"secret\0").client(b'p', b"again\0").client_bytes()].concat()),
        ("second-startup", [vec![2], packet(b"\0\x03\0\0user\0postgres\0\0")].concat()),
        ("query-before-login", [vec![2], s().query("select 1").client_bytes()].concat()),
    ])
}

/// Statements; the first byte says how strings are read.
pub fn statements() -> Named<Vec<u8>> {
    STATEMENTS
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            let name = words.take(4).collect::<Vec<_>>().join("-").to_ascii_lowercase();
            // Every fifth in a session that reads backslashes.
            let flag = if index % 5 == 4 { b'0' } else { b'1' };
            (format!("{index:02}-{name}"), [&[flag], text.as_bytes()].concat())
        })
        .collect()
}

const STATEMENTS: &[&str] = &[
    "select id, name, email from customers where id = 42 and phone like '+44%' order by name limit 20",
    "select * from customers c join tickets t on t.customer_id = c.id where t.status in ('open', 'waiting')",
    "select c.email from public.customers as c where c.id = $1::int",
    "with late as (select customer_id, count(*) as n from tickets group by 1 having count(*) > 3) select email from customers join late on id = customer_id",
    "select E'it\\'s', 'it''s', U&'d\\0061t!+000061' uescape '!', $tag$ it's $tag$, B'101', x'ff', N'n' from notes",
    "select/*a/*b*/c*/email--x\n/**/from\"customers\"where\"id\"<=2000",
    "SELECT U&\"\\0065mail\" FROM U&\"\\0063ustomers\"",
    "select string_agg(email, ',' order by id) filter (where id > 10) from only customers",
    "select json_agg(c) from customers c",
    "select to_jsonb(c)->>'email' from (select * from customers limit 5) c",
    "select email from customers union all select holder from billing.cards except table notes",
    "copy (select email from customers) to stdout with (format csv, header)",
    "copy billing.cards to '/tmp/x'",
    "copy notes from stdin",
    "insert into notes (note) select email from customers on conflict do nothing returning note",
    "update customers set email = 'x' from tickets where tickets.customer_id = customers.id returning customers.*",
    "delete from customers using notes where note = email",
    "merge into notes n using customers c on n.id = c.id when matched then update set note = c.email when not matched then do nothing",
    "prepare p(int) as select email from customers where id = $1; execute p(7); deallocate p",
    "begin; declare c cursor for select * from customers; fetch 10 from c; close c; commit",
    "set search_path = archive, public; select plan from customers",
    "select set_config('search_path', 'archive', false)",
    "set session authorization 'postgres'; set role billing; reset role",
    "create temp table customers as select 1 as id",
    "create view v as select * from customers",
    "grant select on customers to bob",
    "do $$ begin execute 'select * from ' || 'customers'; end $$",
    "select query_to_xml('select * from customers', true, true, '')",
    "select * from f_all(), f_page(1), f_native()",
    "select pg_read_file('/etc/passwd'), lo_get(1), dblink('host=x', 'select email from customers')",
    "select mail from v_contacts where id between 1 and 10",
    "select c1 from v_dir; select people from v_people; select a from v_odd; select a from v_loop",
    "explain (analyze, verbose) select email from customers",
    "select n.nspname, c.relname from pg_catalog.pg_class c left join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r','p','v') and c.relname !~ '^pg_toast'",
    "select 'customers'::regclass, 'billing.cards'::regclass::oid",
    "select case when id = 1 then email else null end from customers where (id, name) in (values (1, 'a'), (2, 'b'))",
    "select array[email], row(c.*), email::text || '', coalesce(email, '-'), email is null from customers c window w as (partition by id)",
    "select * from customers where 1=1 or id = 42",
    "select * from customers tablesample system (1) for no key update skip locked",
    "select distinct on (phone) email, lag(email) over (order by id rows between unbounded preceding and current row) from customers",
    "select 1 from generate_series(1, 10) g, lateral (select email from customers where id = g) x",
    "select count(*), max(email), min(length(email)) from customers",
    "table customers",
    "values (1, 'a'), (2, 'b')",
    "",
    ";;;",
    "select 'unterminated",
    "select \"unterminated",
    "select /* unterminated",
    "select $a$ unterminated $b$",
    "select 'a' 'b' \"c\" d",
    "select 'a'\n'b' -- c\n'd' from notes",
    "select -1, - 1, 1e5, .5, 1., 0x1f, 1_000, 1e, 0o17, 12abc",
    "select '\\' from customers --'",
    "listen x; notify x, 'y'; vacuum; checkpoint; discard all",
    "select current_user, session_user, version(), pg_sleep(1)",
    "call f_all()",
    "truncate customers, tickets cascade",
    "select ((((((((((1))))))))))",
    "select email from customers where id = any(array[1,2,3]) and email = any($1)",
    "alter table customers rename column email to mail; drop table if exists customers cascade",
    "select \u{200b}email\u{202e} from \"cust\u{e9}mers\"",
];

/// Policy files, good and bad.
pub fn policies() -> Named<Vec<u8>> {
    POLICIES.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

const POLICIES: &[(&str, &str)] = &[
    ("empty", ""),
    ("version-only", "version: 1\n"),
    ("allow-all", "version: 1\nmode: enforce\n"),
    (
        "desk",
        "version: 1
mode: enforce
datasets:
  customers:
    class: personal
    relations:
      - { engine: postgres, database: support, name: \"public.customers\" }
      - { engine: mysql, database: shop, name: users }
    columns: [email, \"pho*\"]
    key: [id]
  cards: { class: secret, relations: [{ engine: postgres, database: support, name: \"billing.cards*\" }] }
who:
  support: { group: support }
  nightly: { account: etl, source: [10.0.0.0/8, \"2001:db8::/32\"] }
rules:
  - name: support-customers
    who: support
    dataset: customers
    access: [read]
    budget:
      - { records: 2, per: statement }
      - { records: 5, per: hour }
      - { rows: 50, per: day }
      - { bytes: 1MiB, per: 30d }
    at: { 50%: alert, 80%: alert }
    message: \"ask #data-access\"
  - { name: no-cards, who: { not: nightly }, dataset: cards, then: refuse }
  - name: no-export
    who: any
    dataset: [customers, cards]
    access: [export]
    then: refuse
    except: { who: nightly, until: 2027-01-31 }
    when: { outside: \"Mon-Sun 01:00-04:00 UTC\" }
  - { name: roles, who: any, access: [grant, set-role], then: alert }
defaults:
  unmatched-sensitive: alert
  opaque-sensitive: refuse
  unknown-person: refuse
  unclassified-egress: { bytes: 200MiB, per: hour, then: alert }
  on-store-failure: refuse
tests:
  - name: a bulk read is cut
    given: { person: alice, groups: [support], engine: postgres, database: support, used: { hour: 3 } }
    sql: \"select email from customers\"
    returns: { rows: 9 }
    expect: { decision: cut, after: 2, rule: support-customers }
",
    ),
    (
        "observe",
        "version: 1
mode: observe
datasets:
  customers: { class: personal, relations: [{ engine: postgres, database: \"*\", name: \"*.customers\" }] }
rules:
  - { name: all, who: any, dataset: customers, access: [read, export, write, ddl, grant], then: refuse }
  - { name: few, who: any, dataset: customers, budget: [{ records: 1, per: minute }] }
defaults: { opaque-sensitive: refuse, unknown-person: refuse, unmatched-sensitive: refuse }
",
    ),
    (
        "egress",
        "version: 1\ndefaults: { unclassified-egress: { bytes: 10, per: hour, then: refuse }, unmatched-sensitive: allow }\n",
    ),
    ("unknown-key", "version: 1\nmodes: enforce\nrule: []\n"),
    ("unknown-names", "version: 1\nrules:\n  - { name: a, who: nobody, dataset: nothing, then: refuse }\n"),
    ("wrong-version", "version: 2\n"),
    ("twice", "version: 1\nversion: 1\nwho: { a: any, a: any }\n"),
    ("types", "version: one\ndatasets: 7\nrules: { a: b }\nwho: [x]\n"),
    (
        "times",
        "version: 1\nrules:\n  - { name: a, who: any, access: [grant], then: alert, when: { inside: \"Mon-Fri 25:00-18:00 CET\" } }\n",
    ),
    ("anchors", "version: 1\nwho:\n  a: &a { group: x }\n  b: *a\n  c: { not: *a }\n"),
    ("bomb", "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n"),
    ("deep", "version: 1\nwho: { a: { not: { not: { not: { not: { not: { not: { not: { group: x } } } } } } } } }\n"),
    ("detect", "version: 1\ndetect: { canaries: { dataset: a, keys-file: x } }\n"),
    ("documents", "version: 1\n---\nversion: 1\n"),
    ("broken", "version: 1\ndatasets: [\n"),
    ("tabs", "version: 1\n\tmode: enforce\n"),
    ("byte-order-mark", "\u{feff}version: 1\r\nmode: enforce\r\n"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::TARGETS;

    #[test]
    fn names_are_file_names_and_stand_once() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            let names: BTreeSet<&String> = seeds.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), seeds.len(), "{}", target.name);
            let plain = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            assert!(names.into_iter().all(plain), "{}", target.name);
        }
    }
}
