use super::*;

fn told(text: &str) -> Vec<String> {
    let diagnostics = match PolicySet::load(text, "policy.yaml") {
        Ok((_, warnings)) => warnings,
        Err(errors) => errors,
    };
    diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_loads_without_a_word() {
    let text = include_str!("../../../examples/support-desk/policy.yaml");
    assert_eq!(told(text), Vec::<String>::new());
    let (set, _) = PolicySet::load(text, "policy.yaml").unwrap();
    assert_eq!((set.datasets.len(), set.rules.len(), set.cases.len()), (2, 4, 5));
}
