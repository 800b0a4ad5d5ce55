//! A record that the text names by its key counts as itself, however the text says it.

use super::mysql::bound as bound_mysql;
use super::*;

const PINNED: [&str; 10] = [
    "select email from customers where id = 7",
    "select email from customers where 7 = id",
    "select email from customers where (id) = (7)",
    "select email from customers where id in (7)",
    "select email from customers where (id, language) = (7, 'en')",
    "select c.email from customers c where c.id in (7) and c.language = 'en'",
    "select email from customers where id = 7 and email like 'a%'",
    "select min(email) from customers where id in (7)",
    "select c.email, o.id from customers c join orders o on o.customer_id = c.id where c.id = 7",
    "select email from customers where ((id = 7))",
];

const NOT_PINNED: [&str; 10] = [
    "select email from customers where id in (7, 8, 9)",
    "select email from customers where id in (7, null)",
    "select email from customers where id in (7, 8)",
    "select email from customers where id not in (7)",
    "select email from customers where id = 7 or id = 8",
    "select email from customers where id = id",
    "select email from customers where not id = 7",
    "select email from customers where (id, language) in ((7, 'en'), (8, 'en'))",
    "select email from customers where id > 7",
    "select email from customers where id between 7 and 8",
];

fn pinned(exposure: &Exposure) -> bool {
    exposure.touched().iter().any(|exposed| exposed.pin.is_some())
}

#[test]
fn one_value_of_the_key_is_one_record_however_it_is_written() {
    let (_, binding) = bound();
    let (on_mysql, of) = bound_mysql();
    for sql in PINNED {
        assert!(pinned(&exposure(&binding, sql)), "{sql}");
        assert!(pinned(&of(&on_mysql, sql)), "{sql}, on MySQL");
    }
    for sql in NOT_PINNED {
        assert!(!pinned(&exposure(&binding, sql)), "{sql}");
        assert!(!pinned(&of(&on_mysql, sql)), "{sql}, on MySQL");
    }
    assert!(!pinned(&exposure(&binding, "select email from customers where id = any (array[7, 8])")));
    assert!(!pinned(&exposure(&binding, "select email from customers where id <> any (array[7])")));
    assert!(!pinned(&exposure(&binding, "select email from customers where id = all (array[7])")), "not said of ALL");
}
