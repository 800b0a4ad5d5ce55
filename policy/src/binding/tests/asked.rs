//! What statements ask about values that they do not let out: probes beside the honest work that looks like them.

use super::mysql::bound as bound_mysql;
use super::*;

fn asked_words(exposure: &Exposure) -> String {
    let word = |asked: &crate::exposure::Asked| {
        let weight = if asked.weight > 1 { format!("×{}", asked.weight) } else { String::new() };
        format!("{:?} {}{{{}}}{weight}", asked.asking, asked.dataset, asked.columns.join(",")).to_lowercase()
    };
    exposure.asked().iter().map(word).collect::<Vec<_>>().join(" · ")
}

/// What both engines say of a text, PostgreSQL's and MySQL's by themselves where they differ.
fn check(cases: &[(&str, &str)], of: &dyn Fn(&str) -> Exposure) {
    let mut wrong = String::new();
    for (sql, expected) in cases {
        let got = asked_words(&of(sql));
        if got != *expected {
            writeln!(wrong, "{sql}\n    got      {got}\n    expected {expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Texts that mean the same on both.
const BOTH: &[(&str, &str)] = &[
    // Honest work.
    ("select id, email from customers where id = 7", ""),
    ("select id, name from customers where email = 'a@b'", ""),
    ("select id from customers where email = 'a@b'", ""),
    ("select name from customers where name like 'Ad%' order by name limit 20", ""),
    ("select id, language from customers where id > 100 order by id limit 50", ""),
    ("select count(*) from customers", ""),
    ("select count(distinct email) from customers", ""),
    ("select language, count(*) from customers group by language", ""),
    ("select count(*) from customers where email is null", ""),
    ("select o.id from orders o join customers c on c.id = o.customer_id where c.email = 'a'", ""),
    ("select o.total from orders o join customers c on c.email = o.total", ""),
    ("update customers set language = 'x' where email = 'a@b'", ""),
    ("select id, language from customers order by name limit 20", ""),
    ("select min(email), count(*) from customers where id = 7", ""),
    ("select id from customers where name like 'Ad%' limit 20", "search customers{name}"),
    (
        "select o.id from orders o join customers c on c.id = o.customer_id where c.name like 'Ad%'",
        "search customers{name}",
    ),
    // Whether a value is there.
    ("select count(*) from customers where email = 'a@b'", "wholes customers{email}"),
    ("select 1 from customers where lower(email) = 'a@b' limit 1", "wholes customers{email}"),
    ("select 1 from customers where email in ('a', 'b')", "wholes customers{email}"),
    ("select exists (select id from customers where phone = '1')", "wholes customers{phone}"),
    ("select id from orders where exists (select 1 from customers where email = 'a')", "wholes customers{email}"),
    ("select case email when 'a' then 1 end from customers where id = 7", "wholes customers{email}"),
    // Parts of values.
    ("select count(*) from customers where id = 7 and email like 'a%'", "parts customers{email}"),
    ("select id from customers where id = 7 and email like 'a%'", "parts customers{email}"),
    ("select id from customers where id in (7) and email between 'a' and 'm'", "parts customers{email}"),
    ("select 1 from customers where id = 7 and substr(phone, 3, 1) = '5'", "parts customers{phone}"),
    ("select 1 from customers where id = 7 and ascii(substr(phone, 3, 1)) > 52", "parts customers{phone}"),
    ("select 1 from customers where id = 7 and length(email) > 12", "parts customers{email}"),
    ("select (select ascii(substr(email, 1, 1)) from customers where id = 7) > 77", "parts customers{email}"),
    (
        "select 1 / (case when (select substr(email, 1, 1) from customers where id = 7) > 'm' then 0 else 1 end)",
        "parts customers{email}",
    ),
    (
        "select id from orders order by (case when (select email from customers where id = 7) > 'm' then id else total end)",
        "parts customers{email}",
    ),
    ("select id from orders limit 5 offset 3", ""),
    ("select sum(case when email like 'a%' then 1 else 0 end) from customers", "parts customers{email}"),
    ("select count(*) from customers group by id having max(email) < 'm'", "parts customers{email}"),
    (
        "select 1 from (select substr(email, 1, 1) as e from customers where id = 7) t where t.e = 'a'",
        "parts customers{email}",
    ),
    (
        "with t as (select substr(email, 1, 1) as e from customers where id = 7) select 1 from t where t.e = 'a'",
        "parts customers{email}",
    ),
    (
        "select 1 from orders o where o.total <= (select ascii(substr(email, 2, 1)) from customers where id = 7)",
        "parts customers{email}",
    ),
    (
        "update orders set note = note where id <= (select ascii(substr(email, 2, 1)) from customers where id = 7)",
        "parts customers{email}",
    ),
    (
        "delete from orders where exists (select 1 from customers where id = 7 and email like 'a%')",
        "parts customers{email}",
    ),
    (
        "select t.n from (select 'a' as n, email as e from customers where id = 7 union all select 'b', 'm') t order by e limit 1",
        "parts customers{email}",
    ),
    // Another row's value, beside one that leaves.
    (
        "select name from customers where id = 1 and exists (select 1 from customers x where x.id = 7 and x.email like 'a%')",
        "parts customers{email}",
    ),
    // Many answers in one row.
    (
        "select email like 'a%', email like 'b%', email like 'c%' from customers where id = 7",
        "parts customers{email}×3",
    ),
];

#[test]
fn questions_are_told_from_look_ups() {
    let (_, binding) = bound();
    check(BOTH, &|sql| exposure(&binding, sql));
    check(
        &[
            ("select 1 from customers where id = 7 and email ~ '^a'", "parts customers{email}"),
            ("select 1 from customers where id = 7 and left(email, 3) = 'abc'", "parts customers{email}"),
            (
                "select count(*) from generate_series(1, (select ascii(substr(email, 1, 1)) from customers where id = 7))",
                "parts customers{email}",
            ),
            (
                "select id from orders limit (select ascii(substr(email, 1, 1)) from customers where id = 7)",
                "parts customers{email}",
            ),
            ("select 1 from customers where id = 7 and starts_with(email, 'a')", "parts customers{email}"),
            (
                "explain analyze select from orders, generate_series(1, (select length(email) from customers where id = 7))",
                "parts customers{email}",
            ),
            ("explain select 1 from customers where id = 7 and email like 'a%'", "parts customers{email}"),
            ("select id from customers where ctid = '(0,1)' and email like 'a%'", "parts customers{email}"),
            ("select 1 from customers where email = any ('{a,b}')", "wholes customers{email}"),
            ("select id from customers where email = any ('{a,b}')", ""),
            (
                "select count(*) from v_mail where customer = 7 and mail like 'a%'",
                "parts customers{email} · parts shown{mail}",
            ),
            ("select count(*) filter (where email like 'a%') from customers where id = 7", "parts customers{email}"),
        ],
        &|sql| exposure(&binding, sql),
    );
}

#[test]
fn questions_are_told_from_look_ups_on_mysql() {
    let (binding, of) = bound_mysql();
    check(BOTH, &|sql| of(&binding, sql));
    check(
        &[
            ("select 1 from customers where id = 7 and email regexp '^a'", "parts customers{email}"),
            ("select 1 from customers where id = 7 and mid(email, 3, 1) = 'a'", "parts customers{email}"),
            ("select 1 from customers where id = 7 and strcmp(email, 'm') > 0", "parts customers{email}"),
            ("select 1 from customers where id = 7 and email <=> 'm'", "wholes customers{email}"),
            ("select if(email like 'a%', sleep(1), 0) from customers where id = 7", "parts customers{email}"),
            // It prints the row, and is counted as a read.
            ("explain select 1 from customers where id = 7 and email like 'a%'", ""),
            (
                "select benchmark(if(ord(mid(email, 1, 1)) > 77, 1000, 1), 1) from customers where id = 7",
                "parts customers{email}",
            ),
            ("select count(*) from v_contacts where id = 7 and mail like 'a%'", "parts customers{email}"),
        ],
        &|sql| of(&binding, sql),
    );
}
