//! Whose rows a statement reads, and where it searches.

use super::*;
use crate::exposure::TenantPlace;

fn by_language() -> Binding {
    let policy = POLICY.replacen("    key: [id]\n", "    key: [id]\n    tenant: [language]\n", 1);
    PolicySet::load(&policy, "policy.yaml").unwrap().0.bind(&catalog()).0
}

/// Where the tenant is found, when the result shows these attributes of the customers.
fn places(sql: &str, attributes: &[i16]) -> Vec<LaneKey> {
    let binding = by_language();
    let origins: Vec<Origin> = attributes.iter().map(|attribute| Origin { oid: 10, attribute: *attribute }).collect();
    let places: Vec<TenantPlace> = binding.tenant_places(&exposure(&binding, sql), &origins);
    assert!(places.iter().all(|place| &*place.dataset == "customers"));
    places.into_iter().map(|place| place.key).collect()
}

#[test]
fn a_tenant_is_seen_in_the_result_or_pinned_by_the_text() {
    let catalog = catalog();
    let customers = catalog.by_oid(10).unwrap();
    let number = customers.columns.iter().find(|column| &*column.name == "language").unwrap().number;
    assert_eq!(places("select language, name from customers", &[number, 2]), [LaneKey::Columns(vec![0])]);
    let pinned = [LaneKey::Pinned(vec![Operand::Literal(0)])];
    assert_eq!(places("select name from customers where language = 'pl'", &[2]), pinned);
    assert_eq!(places("select c.name from customers c where c.language in ('pl')", &[2]), pinned);
    assert_eq!(
        places("select name, language from customers where language = 'pl'", &[2, number]),
        [LaneKey::Columns(vec![1])]
    );
    for none in [
        "select name from customers",
        "select name from customers where language = 'pl' or id = 7",
        "select count(*) from customers where language = 'pl'",
        "select total from orders where note = 'pl'",
    ] {
        assert_eq!(places(none, &[2]), [], "{none}");
    }
}

#[test]
fn comparing_columns_is_searching_and_looking_up_a_key_is_not() {
    let binding = by_language();
    let searched = |sql: &str| exposure(&binding, sql).searched().iter().map(ToString::to_string).collect::<Vec<_>>();
    for search in [
        "select id, name, email from customers where name like '%acme%'",
        "select id from customers where email = 'a@example.org'",
        "select count(*) from customers where phone like '+49%'",
    ] {
        assert_eq!(searched(search), ["customers"], "{search}");
    }
    for none in ["select name from customers where id = 7", "select name from customers", "select 1"] {
        assert_eq!(searched(none), [] as [String; 0], "{none}");
    }
}
