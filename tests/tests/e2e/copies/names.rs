//! What is MySQL's own: files, tables that get another name.

use weir_tests::engine::Engine;
use weir_tests::mysql::raw::Raw;
use weir_tests::mysql::server::MySql;
use weir_tests::policies::Budgeted;
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

use super::charged;

/// Nobody may export, and whoever renames pays for all of it.
#[test]
fn files_and_other_names_are_no_way_out() {
    let mysql = MySql::start();
    mysql
        .script("support", "create database share; grant all on share.* to alice@'%'; grant all on share.* to bob@'%'");
    let policy = Budgeted::hourly(8_000).on(Engine::MySql).yaml().replace("[read, export]", "[read]");
    let front = Target::front(&mysql, &WeirOptions::policy(policy));
    let mut alice = Raw::login(front.address(), "alice", "support");
    for sql in [
        "select email from customers limit 1 into outfile '/tmp/weir-copies'",
        "select email from customers limit 1 into dumpfile '/tmp/weir-copies'",
    ] {
        let error = alice.query(sql).error();
        assert!(error.message.contains("nobody could follow"), "{sql}: {error:?}");
    }
    alice.query("create table share.one as select id, email from customers").fine();
    alice.query("rename table share.one to share.two").fine();
    let mut bob = Raw::login(front.address(), "bob", "support");
    assert_eq!(bob.query("select email from share.two").fine().rows(), 3000);
    charged(front.weir(), "bob", 3000);
}
