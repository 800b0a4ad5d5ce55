//! Many people behind one account of the server, which none of them knows.

use weir_tests::fixture::PASSWORD;
use weir_tests::mysql::raw::Login;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::weir::WeirOptions;

use super::{Doored, sha2};

fn mapped(more: &str) -> Doored {
    let mut options = WeirOptions::allow_all();
    let folder = weir_tests::scratch::Scratch::new("mapped");
    let secret = folder.write("secret", PASSWORD);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    options.upstream_accounts =
        format!("[[upstream.account]]\nuser = \"app\"\nsecret_file = \"{}\"\n{more}\n", secret.display());
    let doored = Doored::start(&sha2(&["alice", "bob", "only_here"]), options);
    // Read at each login.
    std::mem::forget(folder);
    doored
}

/// Accounts that the server does not have are people all the same, and the server's own tables say who they are.
#[test]
fn one_account_stands_for_many_people() {
    let doored = mapped("");
    for user in ["alice", "bob", "only_here", "alice"] {
        let mut client = doored.login(user, PASSWORD).unwrap();
        assert_eq!(client.query("select current_user()").fine().column(), ["app@%"]);
        let id = client.query("select connection_id()").fine().column().remove(0);
        let seen =
            MySql::shared().value("", &format!("select user from information_schema.processlist where id = {id}"));
        assert_eq!(seen, "app");
        if MySql::shared().flavour() == Flavour::MySql9 {
            let sql = format!(
                "select attr_name, attr_value from performance_schema.session_connect_attrs \
                 where processlist_id = {id} order by ordinal_position"
            );
            let attributes = MySql::shared().administrator("").query(&sql).fine().texts();
            let person = if user == "only_here" { "account:only_here" } else { user };
            assert!(attributes.contains(&vec!["_weir_person".to_owned(), person.to_owned()]), "{attributes:?}");
            assert!(attributes.contains(&vec!["_weir_account".to_owned(), user.to_owned()]), "{attributes:?}");
        }
        doored
            .weir
            .audit_event("a session", |event| event["kind"] == "authentication" && event["session"]["account"] == user);
    }
    assert_eq!(doored.refused("alice", "wrong").code, 1045);
    // The mapped account's own name opens nothing.
    assert_eq!(doored.refused("app", PASSWORD).code, 1045);
}

#[test]
fn a_change_of_the_user_stays_behind_the_account() {
    let doored = mapped("for = [\"alice\", \"person:bob\"]");
    let mut client = doored.login("alice", PASSWORD).unwrap();
    client.change_user(&Login::new("bob", "support")).unwrap();
    assert_eq!(client.query("select current_user()").fine().column(), ["app@%"]);
    doored.weir.audit_event("bob's session", |event| {
        event["kind"] == "authentication" && event["session"]["account"] == "bob"
    });
    // An account that is not mapped and that the server does not have is let in by nobody.
    let refused = doored.refused("only_here", PASSWORD);
    assert_eq!(refused.code, 1045);
}

/// A secret that does not open the account is the operator's to mend: the client does not read its name.
#[test]
fn a_wrong_secret_is_told_to_the_operator_alone() {
    let mut options = WeirOptions::allow_all();
    options.upstream_accounts = "[[upstream.account]]\nuser = \"app\"\nsecret_env = \"HOME\"\n".to_owned();
    let doored = Doored::start(&sha2(&["alice"]), options);
    let refused = doored.refused("alice", PASSWORD);
    assert!(refused.message.contains("cannot log in to the database for you"), "{refused:?}");
    assert!(!refused.message.contains("app@"), "{refused:?}");
    assert!(doored.weir.log().contains("app"), "{}", doored.weir.log());
}
