//! Texts that are made to exhaust whoever reads them.

use super::plain;
use crate::statement::Coverage;

#[test]
fn bombs_are_survived_and_never_called_understood() {
    let bombs = [
        "(".repeat(100_000),
        format!("select {}1 from customers", "1+".repeat(50_000)),
        format!("select 1 from customers where {} true", "id=1 and ".repeat(12_000)),
        format!("select email from customers {}", "union all select '1' ".repeat(50_000)),
        format!("select {}1{}", "(select ".repeat(5_000), ")".repeat(5_000)),
        "case when ".repeat(10_000),
        "/*".repeat(100_000),
        "'".repeat(100_001),
        format!("select $tag$ {}", "x".repeat(1_000_000)),
    ];
    for bomb in &bombs {
        let analysis = plain(bomb);
        let full = analysis.statements.iter().all(|statement| statement.coverage == Coverage::Full);
        assert!(!full, "{}", &bomb[..40]);
        assert!(analysis.redacted.len() <= 8 * 1024);
    }
}

#[test]
fn a_name_is_seen_even_where_nothing_is_parsed() {
    let analysis = plain(&format!("select email from customers {}", "union all select '1' ".repeat(50_000)));
    let seen = |name: &str| {
        analysis.statements.iter().flat_map(|statement| &statement.uses).any(|used| used.written.name == name)
    };
    assert!(seen("customers"));
}

#[test]
fn a_list_of_400_000_values_is_one_shape() {
    let analysis = plain(&format!("select email from customers where id in ({}1)", "1,".repeat(400_000)));
    assert_eq!(analysis.statements[0].uses[0].written.name, "customers");
    assert!(analysis.redacted.len() <= 8 * 1024);
}
