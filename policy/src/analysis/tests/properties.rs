//! What must hold for every text.

use proptest::prelude::*;

use super::super::{Dialect, LexSettings, shape};
use super::{plain, words};

proptest! {
    #[test]
    fn no_text_panics(text in "[ -~\\n\u{80}-\u{ff}]{0,200}") {
        let _ = plain(&text);
    }

    #[test]
    fn words_of_sql_in_any_order_do_not_panic(parts in proptest::collection::vec(prop_oneof![
        Just("select"), Just("from"), Just("customers"), Just("("), Just(")"), Just(","), Just("'"), Just("$$"), Just("--\n"),
        Just("/*"), Just("with"), Just("copy"), Just("to"), Just("union"), Just(";"), Just("email"), Just("as"), Just("1"),
    ], 0..40)) {
        let _ = plain(&parts.join(" "));
    }

    #[test]
    fn equal_shapes_are_understood_alike(a in 0_u32..1_000_000, b in 0_u32..1_000_000, x in "[a-z@. ]{0,12}", y in "[a-z@. ]{0,12}") {
        let text = |number: u32, string: &str| {
            format!("select c.email, count(*) from customers c where c.id = {number} and c.name like '{string}' group by c.email limit {number}")
        };
        let (one, two) = (text(a, &x), text(b, &y));
        let key = |text: &str| shape(text.as_bytes(), Dialect::Postgres, LexSettings::default()).key;
        if key(&one) == key(&two) {
            prop_assert_eq!(words(&plain(&one)), words(&plain(&two)));
        }
    }
}
