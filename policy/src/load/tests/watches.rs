//! Entries of the detectors of behaviour: what they say, and what is told of those that cannot be.

use super::*;

fn with(detect: &str) -> Result<PolicySet, Vec<String>> {
    let text = format!(
        "version: 1\ndatasets:\n  customers: {{ class: c, relations: [{{ engine: postgres, database: x, name: c }}], tenant: [merchant] }}\nrules:\n- {{ name: all, who: any, dataset: customers, then: allow }}\ndetect:\n  {detect}\n"
    );
    PolicySet::load(&text, "p").map(|(set, _)| set).map_err(|told| told.iter().map(ToString::to_string).collect())
}

#[test]
fn one_entry_or_a_list_of_them() {
    let set = with(
        "enumeration: { dataset: customers, distinct-keys: 300, per: 30d, factor: 150%, learning: 2d, at-most: 3 }",
    )
    .unwrap();
    let [(detector, watch)] = set.detect.watches.as_slice() else { panic!("one entry") };
    assert_eq!(detector.word(), "enumeration");
    assert_eq!(
        (watch.limit, watch.factor, watch.learning_ms),
        (Some((300, crate::budget::Window::Month)), 150, 172_800_000)
    );
    assert_eq!(
        with("first-use: [{ who: any }, { who: { person: etl }, then: allow }]").unwrap().detect.watches.len(),
        2
    );
    let set = with("canaries: { dataset: customers, keys-file: traps.txt }").unwrap();
    assert_eq!(set.canary_files().iter().map(|file| &*file.file).collect::<Vec<_>>(), ["traps.txt"]);
}

#[test]
fn what_cannot_be_is_told() {
    let cases = [
        ("breadth: { distinct-keys: 3 }", "`breadth` has no `distinct-keys`"),
        ("enumeration: { distinct-keys: 0 }", "a limit is from 1 to"),
        ("enumeration: { distinct-keys: 5, per: minute }", "counts nothing per minute"),
        ("enumeration: { per: day }", "counts nothing per day"),
        ("enumeration: { factor: 50% }", "no factor from 100%"),
        ("first-use: { learning: two weeks }", "no time of learning"),
        ("first-use: { factor: 200% }", "`first-use` has no `factor`"),
        ("discovery: { dataset: customers }", "`discovery` has no `dataset`"),
        ("canaries: { dataset: customers }", "need a dataset and the file"),
        ("search-focus: { searches: 5, then: allow }", "where nobody looks there is no limit"),
        ("enumeration: { dataset: orders }", "orders"),
        ("enumerations: { dataset: customers }", "enumeration"),
    ];
    for (detect, message) in cases {
        let told = with(detect).unwrap_err();
        assert!(told.len() == 1 && told[0].contains(message), "{detect}: {told:?}");
    }
}
