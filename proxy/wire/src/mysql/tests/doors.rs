//! What the server says besides rows: told once, passed unchanged or replaced in its place.

use super::*;
use crate::step::Content;

fn error_of(errno: u16, text: &str) -> Vec<u8> {
    let mut payload = vec![0xFF];
    payload.extend_from_slice(&errno.to_le_bytes());
    payload.extend_from_slice(b"#22012");
    payload.extend_from_slice(text.as_bytes());
    payload
}

fn doors(trunk: &mut Trunk) -> Vec<Door> {
    std::mem::take(&mut trunk.told).into_iter().map(|told| told.door).collect()
}

#[test]
fn errors_are_told_in_place_of_a_result_and_among_its_rows() {
    for capabilities in [CLASSIC, DEPRECATED] {
        let mut trunk = Trunk::new(facts(capabilities, false));
        trunk.client_says(&query("select 1")).unwrap();
        let said = reply(&[error_of(1105, "XPATH syntax error: '~a@b.c'")]);
        trunk.upstream_says(&said).unwrap();
        assert_eq!(trunk.heard(), said);
        trunk.client_says(&query("select 2")).unwrap();
        let mut result = result(capabilities, 2, AUTOCOMMIT);
        result.pop();
        result.push(error_of(1292, "Truncated incorrect INTEGER value: 'a@b.c'"));
        trunk.upstream_says(&reply(&result)).unwrap();
        assert_eq!(trunk.heard(), reply(&result));
        assert_eq!(doors(&mut trunk), [Door::Error, Door::Error]);
        assert!(trunk.engine.is_quiet());
    }
}

#[test]
fn a_withheld_error_keeps_number_state_and_place() {
    let mut trunk = Trunk::new(facts(DEPRECATED, true));
    trunk.withholds = true;
    trunk.client_says(&query("select 1")).unwrap();
    let mut said = result(DEPRECATED, 2, AUTOCOMMIT);
    said.pop();
    said.push(error_of(1292, "Truncated incorrect INTEGER value: 'a@b.c'"));
    trunk.upstream_says(&reply(&said)).unwrap();
    let heard = trunk.heard();
    let (seq, last) = packets(&heard).pop().unwrap();
    let Some(ErrPacket::Error(error)) = read_error(&last) else { panic!("{last:?}") };
    assert_eq!((error.errno, &error.sqlstate), (1292, b"22012"));
    assert_eq!(usize::from(seq), said.len(), "the number of the packet that it replaces");
    assert!(contains(error.message, b"statement refused") && !contains(&heard, b"a@b.c"));
    assert_eq!(trunk.outcomes, [(2, Outcome::Error("22012".into()))]);
    assert!(trunk.engine.is_quiet());
    trunk.client_says(&query("select 3")).unwrap();
    trunk.upstream_says(&reply(&[ok(AUTOCOMMIT)])).unwrap();
    assert_eq!(trunk.heard(), reply(&[ok(AUTOCOMMIT)]));
}

#[test]
fn names_are_told_where_they_may_be_computed_and_go_without_them() {
    for withholds in [false, true] {
        let mut trunk = Trunk::new(facts(CLASSIC, false));
        trunk.withholds = withholds;
        trunk.client_says(&query("select 1")).unwrap();
        let said = reply(&result(CLASSIC, 1, AUTOCOMMIT));
        trunk.upstream_says(&said).unwrap();
        assert_eq!((trunk.heard(), doors(&mut trunk)), (said.clone(), Vec::new()));
        trunk.client_says(&query("execute shape")).unwrap();
        trunk.upstream_says(&said).unwrap();
        let told = std::mem::take(&mut trunk.told);
        assert!(told.iter().all(|told| told.door == Door::Columns && matches!(told.content, Content::Quotes(_))));
        assert!(!told.is_empty() && told.iter().all(|told| told.bytes > 0));
        let heard = trunk.heard();
        assert_eq!(heard == said, !withholds);
        assert_eq!(packets(&heard).len(), packets(&said).len());
        assert!(trunk.engine.is_quiet());
    }
}

/// What is constant may be computed when a statement is prepared, before anything of it was judged.
#[test]
fn an_error_of_a_preparation_belongs_to_the_statement() {
    let mut trunk = Trunk::new(facts(DEPRECATED, true));
    trunk.withholds = true;
    trunk.client_says(&prepare("select extractvalue(1, (select email from t))")).unwrap();
    let said = reply(&[error_of(1105, "XPATH syntax error: '~a@b.c'")]);
    trunk.upstream_says(&said[..6]).unwrap();
    assert_eq!(trunk.engine.binding().map(|text| text.0.len()), Some(45));
    trunk.upstream_says(&said[6..]).unwrap();
    let told = std::mem::take(&mut trunk.told);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].moment, crate::step::Moment::Binding);
    let heard = trunk.heard();
    assert!(contains(&heard, b"statement refused") && !contains(&heard, b"a@b.c"));
    assert!(trunk.engine.is_quiet());
}
