//! What is accepted, with its defaults, and the exact words for what is not.

use std::path::Path;
use std::time::Duration;

use weir_tests::scratch::Scratch;

use super::{Capabilities, Config, Durability, Engine, MappedAccount, PasswordCheck, PasswordSource, UpstreamTls};

const GOOD: &str = r#"state_dir = "state"
policy = "policy.yaml"
[[listener]]
engine = "postgres"
address = "127.0.0.1:6432"
upstream = "db"
[listener.auth]
mode = "relay"
[[upstream]]
name = "db"
engine = "postgres"
address = "127.0.0.1:5432"
tls = "off"
[upstream.catalog]
user = "weir_catalog"
"#;

fn load(text: &str) -> Result<Config, String> {
    let folder = Scratch::new("config");
    let path = folder.write("weir.toml", text);
    let shown = format!("{}", path.display());
    Config::load(&path).map_err(|error| error.to_string().replace(&shown, "weir.toml"))
}

#[test]
fn defaults_and_relative_paths() {
    let folder = Scratch::new("config");
    let path = folder.write("weir.toml", GOOD);
    let config = Config::load(&path).unwrap();
    assert_eq!(config.policy, folder.path().join("policy.yaml"));
    assert_eq!(config.audit.dir, folder.path().join("state/audit"));
    assert_eq!((config.audit.durability, config.audit.segment_bytes_max), (Durability::Sensitive, 64 << 20));
    assert_eq!(config.audit.checkpoint, Duration::from_secs(60));
    assert_eq!(config.listeners[0].name, "127.0.0.1:6432");
    assert!(config.workers >= 1);
    let limits = &config.limits;
    assert_eq!((limits.frame_bytes_max, limits.session_bytes_max), (64 << 20, 256 << 10));
    assert_eq!((limits.sessions_max, limits.pipeline_max), (9000, 10_000));
    assert_eq!(
        [limits.startup, limits.upstream_stall, limits.drain].map(|limit| limit.as_secs()),
        [10, 60, 30],
        "seconds"
    );
    assert!(!config.allow_function_call);
    assert!(matches!(config.upstreams[0].catalog.password, PasswordSource::Absent));
}

#[test]
fn every_key_is_understood() {
    let config = load(
        r#"
state_dir = "/var/lib/weir"
policy = "/etc/weir/policy.yaml"
directory = "people.yaml"
workers = 3
[[listener]]
name = "support"
engine = "postgres"
address = "[::1]:6432"
upstream = "support-db"
[listener.tls]
certificate = "server.crt"
key = "server.key"
mode = "prefer"
client_ca = "clients.pem"
[listener.auth]
mode = ["certificate", "verify"]
verifiers = "verifiers"
[[upstream]]
name = "support-db"
engine = "postgres"
address = "[fd00::1]:5432"
ca = "ca.pem"
[upstream.catalog]
user = "weir_catalog"
password_env = "WEIR_CATALOG"
refresh_secs = 5
[[upstream.account]]
user = "app"
secret_file = "app.password"
for = ["alice", "group:support", "person:bob"]
set_role = "desk_{person}"
[[upstream.account]]
user = "rest"
secret_env = "WEIR_REST"
[audit]
dir = "log"
durability = "all"
checkpoint_secs = 10
segment_mib = 1
[alert]
file = "alerts.jsonl"
[admin]
address = "127.0.0.1:9632"
[limits]
frame_bytes_max = 1048576
sessions_max = 10
startup_secs = 1
pipeline_max = 16
session_bytes_max = 65536
upstream_stall_secs = 5
drain_secs = 0
[allow]
function_call = true
replication = false
"#,
    )
    .unwrap();
    assert_eq!(config.audit.dir, Path::new("/var/lib/weir/log"));
    assert_eq!(config.alert_file.as_deref(), Some(Path::new("/var/lib/weir/alerts.jsonl")));
    let UpstreamTls::VerifyFull { ca, server_name } = &config.upstreams[0].tls else { panic!("verified by default") };
    assert!(ca.ends_with("ca.pem") && ca.is_absolute());
    assert_eq!(server_name, "fd00::1");
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert!(!tls.required && tls.client_ca.as_ref().is_some_and(|path| path.ends_with("clients.pem")));
    let auth = &config.listeners[0].auth;
    let verifiers = "/etc/weir/verifiers";
    assert_eq!(auth.words(), ["certificate", "verify"]);
    let Some(PasswordCheck::Verify { verifiers: found }) = &auth.password else { panic!("{auth:?}") };
    assert!(found.ends_with("verifiers") && found.is_absolute(), "{found:?}, as {verifiers}");
    let [app, rest] = &*config.upstreams[0].accounts else { panic!("two accounts") };
    assert_eq!(app.set_role.as_ref().unwrap().of("a", "bob"), "desk_bob");
    let group = |name: &str| [name.to_owned()];
    let is_for = |account: &MappedAccount, at: &str, person: &str, groups: &[String]| {
        account.stands_for.iter().any(|selector| selector.matches(at, person, groups))
    };
    assert!(is_for(app, "alice", "x", &[]) && is_for(app, "x", "bob", &[]) && is_for(app, "x", "x", &group("support")));
    assert!(!is_for(app, "bob", "alice", &group("other")) && is_for(rest, "anybody", "x", &[]));
    assert!(rest.set_role.is_none() && matches!(rest.secret, PasswordSource::Environment(_)));
    assert!(config.allow_function_call);
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

#[test]
fn mysql_listeners_may_withhold_capabilities() {
    let mysql = GOOD
        .replace("\"postgres\"", "\"mysql\"")
        .replace("upstream = \"db\"", "upstream = \"db\"\nwithhold = [\"SESSION_TRACK\", \"multi_statements\"]");
    let config = load(&format!("{mysql}[allow]\nlocal_infile = true\ncommands = [\"binlog-dump\"]\n")).unwrap();
    let listener = &config.listeners[0];
    assert_eq!((listener.engine, config.upstreams[0].engine), (Engine::Mysql, Engine::Mysql));
    assert_eq!(listener.withheld, Capabilities::SESSION_TRACK.with(Capabilities::MULTI_STATEMENTS));
    assert!(config.allow_local_infile);
    assert_eq!(config.allow_commands, ["binlog-dump"]);
}

#[test]
fn a_monitor_has_its_account_and_those_who_may_be_there() {
    assert!(load(GOOD).unwrap().upstreams[0].monitor.is_none());
    let with = |text: &str| load(&format!("{GOOD}[upstream.monitor]\nuser = \"watcher\"\n{text}"));
    let monitor = with("").unwrap().upstreams.remove(0).monitor.unwrap();
    assert_eq!((monitor.account.refresh, &*monitor.database), (Duration::from_secs(10), "postgres"));
    let allowed = "[[upstream.monitor.allow]]\naccount = \"repl\"\naddress = \"10.0.0.0/8\"\n";
    let monitor = with(&format!("interval_secs = 5\n{allowed}")).unwrap().upstreams.remove(0).monitor.unwrap();
    assert_eq!((monitor.account.refresh.as_secs(), monitor.allow.len()), (5, 1));
    for (text, wrong) in [
        ("interval_secs = 61\n", "`upstream.monitor.interval_secs` is 61"),
        ("[[upstream.monitor.allow]]\n", "allows everybody past weir"),
        ("[[upstream.monitor.allow]]\naddress = \"10.0.0\"\n", "allows the address `10.0.0`"),
        ("password_file = \"a\"\npassword_env = \"B\"\n", "has both password_file and password_env"),
        ("application = \"psql\"\n", "unknown field `application`"),
    ] {
        let told = with(text).expect_err(wrong);
        assert!(told.starts_with("weir.toml:1") && told.contains(wrong), "{told}");
    }
    let mysql = GOOD.replace("\"postgres\"", "\"mysql\"");
    let told =
        load(&format!("{mysql}[upstream.monitor]\nuser = \"watcher\"\ndatabase = \"shop\"\n")).expect_err("none");
    assert!(told.contains("MySQL's needs none"), "{told}");
}

/// One change to a good file, and what is said of it.
#[test]
fn what_is_wrong_is_told_with_its_place() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(GOOD.contains(from), "{from}");
        let told = load(&GOOD.replacen(from, to, 1)).expect_err(to);
        assert_eq!(told, format!("weir.toml:{expected}"), "{to}");
    };
    let keys = "(hint: docs/configuration.md lists every key)";
    check(
        "policy =",
        "polici =",
        &format!(
            "2:1: unknown field `polici`, expected one of `state_dir`, `policy`, `directory`, `workers`, `listener`, \
             `upstream`, `audit`, `alert`, `admin`, `control`, `limits`, `allow` {keys}"
        ),
    );
    check("policy = \"policy.yaml\"\n", "", &format!("1:1: missing field `policy` {keys}"));
    check(
        "engine = \"postgres\"",
        "engine = \"oracle\"",
        &format!("4:10: `engine`: unknown variant `oracle`, expected `postgres` or `mysql` {keys}"),
    );
    check(
        "engine = \"postgres\"",
        "engine = \"mysql\"",
        "4:10: listener `127.0.0.1:6432` speaks another protocol than its upstream `db` (hint: give both the same \
         engine: weir does not translate)",
    );
    check(
        "upstream = \"db\"",
        "upstream = \"db\"\nwithhold = [\"session_track\"]",
        "7:13: listener `127.0.0.1:6432` withholds `session_track`, which is no capability of its protocol (hint: name \
         capabilities of MySQL without CLIENT_, such as session_track or multi_statements)",
    );
    check(
        "[upstream.catalog]",
        "[allow]\ncommands = [\"query\"]\n[upstream.catalog]",
        "15:13: `allow.commands` names `query`, which is no command that weir refuses by itself (hint: name some of \
         binlog-dump, binlog-dump-gtid, clone, debug, refresh, register-replica, shutdown, \
         subscribe-group-replication-stream, table-dump)",
    );
    check(
        "upstream = \"db\"",
        "upstream = \"bd\"",
        "6:12: listener `127.0.0.1:6432` names the upstream `bd`, which is not there (hint: add an [[upstream]] of that \
         name, or name one of `db`)",
    );
    check(
        "\"127.0.0.1:5432\"",
        "\"db.internal\"",
        "12:11: upstream `db` has the address `db.internal` (hint: write it as host:port; an IPv6 address stands in \
         brackets)",
    );
    check(
        "tls = \"off\"",
        "tls = \"off\"\nca = \"ca.pem\"",
        "14:6: upstream `db` has tls = \"off\", and says whom to trust (hint: remove tls = \"off\", or remove ca and \
         server_name)",
    );
    check(
        "user =",
        "password_file = \"a\"\npassword_env = \"B\"\nuser =",
        "16:16: upstream `db` has both password_file and password_env (hint: keep one of them)",
    );
    check(
        "[[upstream]]",
        "[limits]\nframe_bytes_max = 10\n[[upstream]]",
        "10:19: `limits.frame_bytes_max` is 10 (hint: it may be from 16384 to 1073741824)",
    );
    check(
        "state_dir",
        "workers = \"two\"\nstate_dir",
        &format!("1:11: `workers`: invalid type: string \"two\", expected a whole number from 0 {keys}"),
    );
    check(
        "state_dir",
        "workers = -1\nstate_dir",
        &format!("1:11: `workers`: invalid value: integer `-1`, expected a whole number from 0 {keys}"),
    );
    check(
        "[[upstream]]",
        "[allow]\nreplication = true\n[[upstream]]",
        "10:15: `allow.replication` is true, but this version does not carry replication streams (hint: remove it; let \
         replicas connect to the server itself)",
    );
    check(
        "[[upstream]]",
        "[[listener]]\nname = \"127.0.0.1:6432\"\nengine = \"postgres\"\naddress = \"127.0.0.1:1\"\nupstream = \
         \"db\"\n[[upstream]]",
        "10:8: two listeners are named `127.0.0.1:6432` (hint: rename one: records tell listeners apart by name)",
    );
    check(
        "[[upstream]]",
        "[[listener]]\nname = \"b\"\nengine = \"postgres\"\naddress = \"127.0.0.1:6432\"\nupstream = \"db\"\n[[upstream]]",
        "12:11: listener `b` has the address of `127.0.0.1:6432`, 127.0.0.1:6432 (hint: give each listener a port of its \
         own)",
    );
    check(
        "[[listener]]\nengine = \"postgres\"\naddress = \"127.0.0.1:6432\"\nupstream = \"db\"\n[listener.auth]\nmode = \"relay\"\n",
        "",
        " there is no [[listener]] (hint: add one with engine, address and upstream)",
    );
    check(
        "[listener.auth]\nmode = \"relay\"\n",
        "",
        "5:11: listener `127.0.0.1:6432` is to verify logins, and has no verifiers (hint: give verifiers in \
         [listener.auth], a file that `weir verifiers import` makes from the server's own, or set mode = \"relay\" to leave \
         the judgement to the server)",
    );
    let mode = |written: &str, expected: &str| check("mode = \"relay\"", written, expected);
    mode(
        "mode = [\"relay\", \"certificate\"]",
        "8:8: listener `127.0.0.1:6432` has modes of authentication that do not stand together (hint: name one of verify, \
         certificate, token and relay, or certificate with verify or token)",
    );
    mode(
        "mode = \"certificate\"",
        "8:8: listener `127.0.0.1:6432` takes certificates, and does not say whose (hint: give client_ca in [listener.tls], \
         a PEM file of the authorities that sign clients' certificates)",
    );
    mode(
        "mode = \"token\"\ntoken = { issuer = \"i\", audience = \"a\", keys = \"k\" }",
        "8:8: listener `127.0.0.1:6432` takes tokens, and clients may send them in clear (hint: give [listener.tls] a \
         certificate and a key, with mode = \"require\")",
    );
    mode(
        "mode = \"relay\"\nverifiers = \"v\"",
        "9:13: listener `127.0.0.1:6432` has verifiers, and does not verify (hint: add \"verify\" to the mode in \
         [listener.auth], or remove verifiers)",
    );
    check(
        "user = \"weir_catalog\"",
        "user = \"weir_catalog\"\n[[upstream.account]]\nuser = \"app\"\nfor = [\"team:x\"]",
        "18:8: `for` names `team:x` (hint: name accounts of clients, or `person:name` and `group:name` of the directory)",
    );
    check(
        "user = \"weir_catalog\"",
        "user = \"weir_catalog\"\n[[upstream.account]]\nuser = \"app\"\nset_role = \"{who}\"",
        "18:12: set_role of account `app` is `{who}`, which is no name of a role (hint: write a name in which {account} and \
         {person} may stand)",
    );
    // Not TOML at all: the place is what matters.
    let told = load(&GOOD.replacen("policy =", "policy = =", 1)).unwrap_err();
    assert!(told.starts_with("weir.toml:2:"), "{told}");
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let missing = Config::load(Path::new("/nowhere/weir.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/weir.toml: cannot be read: No such file"), "{missing}");
    let endless = Config::load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(endless.contains("is longer than 1048576 bytes"), "{endless}");
    let folder = Scratch::new("config");
    let path = folder.write("weir.toml", b"state_dir = '\xff'");
    assert!(Config::load(&path).unwrap_err().to_string().contains("is not UTF-8"));
}

#[test]
fn what_leaves_the_machine_unprotected_is_warned_of() {
    let text = GOOD.replace("127.0.0.1:5432", "db.internal:5432").replace("127.0.0.1:6432", "0.0.0.0:6432");
    let config = load(&format!("{text}[admin]\naddress = \"0.0.0.0:9632\"\n")).unwrap();
    let warnings = config.warnings();
    let about = |word: &str| warnings.iter().any(|warning| warning.contains(word));
    assert!(about("upstream `db`") && about("listener `0.0.0.0:6432`") && about("admin") && about("directory"));
    assert!(about("listener `0.0.0.0:6432` has mode = \"relay\""));
    assert_eq!(load(GOOD).unwrap().warnings().len(), 2, "the directory, and logins that are relayed");
}

#[test]
fn passwords_come_from_private_files_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Scratch::new("config");
    let path = folder.write("password", "pa ss\r\n");
    let source = PasswordSource::File(path.clone());
    for (mode, accepted) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let read = source.read();
        assert_eq!(read.is_ok(), accepted, "{mode:o}: {read:?}");
        match read {
            Ok(password) => assert_eq!(password.as_ref().map(|password| password.as_str()), Some("pa ss")),
            Err(message) => assert!(message.contains("chmod 600"), "{message}"),
        }
    }
    let unset = PasswordSource::Environment("WEIR_NOT_SET_ANYWHERE".to_owned()).read().unwrap_err();
    assert_eq!(unset, "environment variable `WEIR_NOT_SET_ANYWHERE` is not set");
    assert_eq!(PasswordSource::Absent.read(), Ok(None));
}

proptest::proptest! {
    /// Whatever an editor leaves behind: a place within the file, or a configuration, and never a panic.
    #[test]
    fn no_file_is_too_broken(at in 0..GOOD.len(), cut in 0..40_usize, put in "\\PC{0,12}|[\\[\\]{}\"'=.#\\\\\\n\\x00]{0,6}") {
        let at = (0..=at).rev().find(|at| GOOD.is_char_boundary(*at)).unwrap_or(0);
        let end = (at + cut).min(GOOD.len());
        let end = (end..=GOOD.len()).find(|end| GOOD.is_char_boundary(*end)).unwrap_or(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(problem) = super::raw::parse(&text).and_then(|raw| raw.check(Path::new("/etc/weir"))) {
            proptest::prop_assert!(!problem.message.is_empty() && !problem.hint.is_empty());
            if let Some(span) = problem.at {
                let (line, column) = super::place(&text, span.start);
                proptest::prop_assert!(line <= text.matches('\n').count() + 1 && column <= text.chars().count() + 1);
            }
        }
    }
}
