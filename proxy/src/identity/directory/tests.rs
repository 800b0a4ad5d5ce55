//! Who logins resolve to, and what is told of a file that is wrong.

use super::*;

const GOOD: &str = "\
people:
  alice:
    accounts: [alice, { account: report, upstream: db }]
    certificates: [\"CN=alice,O=Example\", spiffe://example.com/alice]
    claims:
      - { issuer: https://id.example.com, claim: preferred_username, value: alice }
      - { issuer: https://id.example.com, subject: \"0815\" }
    groups: [support, german]
    manager: dora
    until: 2026-12-31
    hosts: [10.7.0.0/16, 10.1.2.3]
    os-user: alice
  bob: { accounts: [bob, { account: report, upstream: other }], from: \"2026-02-01\", manager: alice }
  dora: { accounts: [dora] }
services:
  etl: { accounts: [etl_export], groups: [nightly], manager: dora }
";

fn good() -> Directory {
    Directory::parse(GOOD, "people.yaml").unwrap()
}

fn told(text: &str) -> String {
    Directory::parse(text, "people.yaml").expect_err(text).to_string()
}

fn login(account: &str, proof: Proof, names: Vec<Name>) -> Login {
    Login { proof, names, ..Login::relayed(account) }
}

fn subject(name: &str) -> Name {
    Name::Subject(name.to_owned())
}

fn claim(name: &str, value: &str) -> Name {
    Name::Claim { issuer: "https://id.example.com".to_owned(), name: name.to_owned(), value: value.to_owned() }
}

#[test]
fn accounts_resolve_to_people() {
    let directory = good();
    let who = |upstream: &str, account: &str| {
        let who = directory.resolve(upstream, &Login::relayed(account), None, "psql");
        assert!(who.also.is_empty());
        (who.person.to_string(), who.known)
    };
    assert_eq!(who("db", "alice"), ("alice".to_owned(), true));
    assert_eq!(who("db", "report"), ("alice".to_owned(), true));
    assert_eq!(who("other", "report"), ("bob".to_owned(), true));
    assert_eq!(who("third", "report"), ("account:report".to_owned(), false));
    assert_eq!(who("db", "ALICE"), ("account:ALICE".to_owned(), false), "accounts are case sensitive");
    assert_eq!(who("db", "etl_export"), ("etl".to_owned(), true));
    let alice = directory.resolve("db", &Login::relayed("report"), Some(IpAddr::from([10, 0, 0, 7])), "psql");
    assert_eq!(alice.groups, [Arc::from("support"), Arc::from("german")]);
    assert_eq!((&*alice.account, &*alice.application), ("report", "psql"));
    assert_eq!(alice.source, Some(IpAddr::from([10, 0, 0, 7])));
    assert_eq!(directory.people().len(), 4);
}

#[test]
fn what_was_proved_decides_over_the_account() {
    let directory = good();
    let check = |login: Login, expected: &str| {
        let who = directory.resolve("db", &login, None, "psql");
        assert_eq!(who.proof, login.proof);
        assert_eq!(who.known, directory.person(&who.person).is_some());
        assert_eq!(who.groups.is_empty(), directory.person(&who.person).is_none_or(|entry| entry.groups.is_empty()));
        let also: Vec<&str> = who.also.iter().map(|name| &**name).collect();
        assert_eq!(format!("{} {also:?}", who.person), expected);
    };
    let by_certificate = |account: &str, name: Name| login(account, Proof::Certificate, vec![name]);
    let by_token = |account: &str, name: Name| login(account, Proof::Token, vec![name]);
    check(by_certificate("alice", subject("CN=alice,O=Example")), "alice []");
    check(by_certificate("shared", Name::Uri("spiffe://example.com/alice".to_owned())), "alice []");
    check(by_token("shared", claim("sub", "0815")), "alice []");
    check(by_token("report", claim("preferred_username", "alice")), "alice []");
    // The account is another's: both are behind it.
    check(by_certificate("bob", subject("CN=alice,O=Example")), "alice [\"bob\"]");
    check(by_token("etl_export", claim("preferred_username", "alice")), "alice [\"etl\"]");
    // A certificate that nobody is known by does not make its holder the owner of the account.
    check(by_certificate("bob", subject("CN=mallory")), "certificate:CN=mallory [\"bob\"]");
    check(by_certificate("shared", subject("CN=mallory")), "certificate:CN=mallory []");
    check(by_token("bob", claim("email", "mallory")), "token:https://id.example.com:mallory [\"bob\"]");
    check(login("bob", Proof::Certificate, Vec::new()), "account:bob [\"bob\"]");
    // One that was issued for the account does.
    check(by_certificate("bob", subject("CN=bob,OU=Support")), "bob []");
    check(by_certificate("bob", subject("CN=bob,CN=carol")), "certificate:CN=bob,CN=carol [\"bob\"]");
    check(by_certificate("bob", subject("O=bob")), "certificate:O=bob [\"bob\"]");
    check(by_token("bob", claim("preferred_username", "bob")), "bob []");
    check(by_token("nobody", claim("preferred_username", "nobody")), "account:nobody []");
    // A certificate weighs more than a token.
    let both = vec![claim("preferred_username", "alice"), subject("CN=bob")];
    check(login("bob", Proof::Certificate, both.clone()), "alice [\"bob\"]");
    let known = Directory::parse(&GOOD.replace("dora: {", "dora: { certificates: [CN=dora],"), "people.yaml").unwrap();
    let both = login("bob", Proof::Certificate, vec![claim("preferred_username", "alice"), subject("CN=dora")]);
    let who = known.resolve("db", &both, None, "");
    assert_eq!((&*who.person, who.also), ("dora", vec![Arc::from("alice"), Arc::from("bob")]));
}

#[test]
fn people_begin_and_end() {
    let directory = good();
    let day = |day: &str| Date::parse(day).unwrap();
    let standing = |account: &str, today: &str| directory.standing("db", &Login::relayed(account), day(today));
    assert_eq!(standing("report", "2026-12-31"), Standing::Current);
    assert_eq!(standing("report", "2027-01-01"), Standing::Ended(day("2026-12-31")));
    assert_eq!(standing("bob", "2026-01-31"), Standing::Future(day("2026-02-01")));
    assert_eq!(standing("bob", "2026-02-01"), Standing::Current);
    assert_eq!(standing("nobody", "2026-02-01"), Standing::Current);
    // Somebody's own certificate does not open the account of a leaver, nor the other way round.
    let borrowed = login("alice", Proof::Certificate, vec![subject("CN=bob")]);
    assert_eq!(directory.standing("db", &borrowed, day("2027-01-01")), Standing::Ended(day("2026-12-31")));
    let lent = login("dora", Proof::Certificate, vec![subject("CN=alice,O=Example")]);
    assert_eq!(directory.standing("db", &lent, day("2027-01-01")), Standing::Ended(day("2026-12-31")));
}

#[test]
fn what_else_is_known_of_people() {
    let directory = good();
    let managers = |name: &str| directory.managers(name).map(|entry| entry.name.to_string()).collect::<Vec<_>>();
    assert_eq!(managers("bob"), ["alice", "dora"]);
    assert_eq!(managers("etl"), ["dora"]);
    assert!(managers("dora").is_empty() && managers("nobody").is_empty());
    let alice = directory.person("alice").unwrap();
    assert_eq!((alice.kind, alice.names.len()), (Kind::Person, 4));
    assert_eq!(alice.is_usual_host(IpAddr::from([10, 7, 200, 1])), Some(true));
    assert_eq!(alice.is_usual_host(IpAddr::from([10, 1, 2, 4])), Some(false));
    assert_eq!(directory.person("bob").unwrap().is_usual_host(IpAddr::from([10, 1, 2, 4])), None);
    assert_eq!(directory.os_user("alice").map(|entry| &*entry.name), Some("alice"));
    assert!(directory.os_user("root").is_none());
    assert_eq!(directory.person("etl").map(|entry| entry.kind), Some(Kind::Service));
    assert!(directory.warnings().is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(GOOD.contains(from), "{from}");
        assert_eq!(told(&GOOD.replacen(from, to, 1)), format!("people.yaml:{expected}"), "{to}");
    };
    let once = "(hint: name it once: an account that several people use stands behind nobody, and is better left out)";
    let one = "(hint: name it once: it belongs to one person)";
    check(
        "[bob,",
        "[alice,",
        &format!("13:21: account `alice` is named for `alice` (people.yaml:3:16) and again for `bob` {once}"),
    );
    check(
        "upstream: other",
        "upstream: db",
        &format!("13:26: account `report` is named for `alice` (people.yaml:3:23) and again for `bob` {once}"),
    );
    check(
        "[bob, {",
        "[report, {",
        &format!("13:21: account `report` is named for `alice` (people.yaml:3:23) and again for `bob` {once}"),
    );
    check(
        "[bob,",
        "[bob, bob,",
        &format!("13:26: account `bob` is named for `bob` (people.yaml:13:21) and again for `bob` {once}"),
    );
    check(
        "dora: {",
        "dora: { certificates: [\"cn = alice, o = Example\"],",
        &format!(
            "14:26: certificate `cn = alice, o = Example` is named for `alice` (people.yaml:4:20) and again for `dora` {one}"
        ),
    );
    check(
        "dora: {",
        "dora: { claims: [{ issuer: https://id.example.com, claim: sub, value: \"0815\" }],",
        &format!(
            "14:20: claim `sub` = `0815` of `https://id.example.com` is named for `alice` (people.yaml:7:9) and again for \
             `dora` {one}"
        ),
    );
    check(
        "dora: {",
        "dora: { os-user: alice,",
        "14:20: os-user `alice` is named for `alice` (people.yaml:12:14) and again for `dora` (hint: name it once: what is \
         typed as this user is recorded as one person's)",
    );
    check("2026-12-31", "2026-02-30", "10:12: `2026-02-30` is no day (hint: write days as 2026-12-31)");
    check(
        "  etl:",
        "  bob:",
        "16:8: `bob` is a person (people.yaml:13:8) and a service (hint: rename the service: budgets are kept by this name)",
    );
    check(
        "  etl:",
        "  account:x:",
        "16:14: `account:x` cannot be the name of a person (hint: names that begin with `account:`, `certificate:` or \
         `token:` are those of people that nobody knows)",
    );
    check(
        "until: 2026-12-31",
        "until: 2026-12-31\n    from: 2027-01-01",
        "3:5: `alice` ends on 2026-12-31, before 2027-01-01 (hint: correct one of the days)",
    );
    check(
        "manager: dora\n",
        "manager: bob\n",
        "9:14: managers go round: `alice` under `bob` under `alice` (hint: whoever stands at the top has no manager)",
    );
    check(
        "manager: dora\n",
        "manager: eve\n",
        "9:14: the manager of `alice`, `eve`, is not in this directory (hint: add them under `people`, or correct the name)",
    );
    check(
        "manager: dora\n",
        "manager: etl\n",
        "9:14: the manager of `alice`, `etl`, is a service (hint: name a person)",
    );
    check(
        "10.1.2.3",
        "10.1.2",
        "11:26: `10.1.2` is neither an address nor a network (hint: write hosts as 10.1.2.3 or 10.1.0.0/16)",
    );
    check(
        "dora: {",
        "dora: { manager: dora,",
        "14:20: managers go round: `dora` under `dora` (hint: whoever stands at the top has no manager)",
    );
    for (from, to, word) in [
        ("accounts: [alice,", "acounts: [alice,", "acounts"),
        ("upstream: db", "upstreem: db", "an account is a name"),
        ("subject: ", "sub: ", "a claim is { issuer"),
        ("\"CN=alice,O=Example\"", "alice", "has no `=`"),
        ("  bob:", "  alice:", "alice"),
        ("people:", "people: [", "people.yaml:"),
        ("support,", "\"\",", "a group is empty"),
        ("support,", "\"a\\nb\",", "a group has a control character"),
    ] {
        let message = told(&GOOD.replacen(from, to, 1));
        assert!(message.contains(word) && message.starts_with("people.yaml:"), "{to}: {message}");
        assert!(!message.contains('\n') && !message.contains("Raw"), "{to}: {message}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let broken =
        GOOD.replace("[bob,", "[alice,").replace("2026-12-31", "soon").replace("manager: dora }", "manager: x }");
    let lines: Vec<String> = told(&broken).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, place) in lines.iter().zip(["10:12", "13:21", "16:62"]) {
        assert!(line.starts_with(&format!("people.yaml:{place}: ")), "{line}");
    }
    let many: String = (0..30).map(|at| format!("  p{at}: {{ accounts: [same] }}\n")).collect();
    let lines = told(&format!("people:\n{many}"));
    assert_eq!(lines.lines().count(), 21);
    assert!(lines.ends_with("people.yaml: and 9 more (hint: correct those above first)"), "{lines}");
}

#[test]
fn what_is_odd_is_told_and_does_no_harm() {
    let text = "people: { a: { certificates: [\"C=DE,O=Example,CN=a\"] }, b: { groups: [x] } }";
    let directory = Directory::parse(text, "people.yaml").unwrap();
    let told: Vec<String> = directory.warnings().iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("people.yaml:1:31: `C=DE,O=Example,CN=a` seems to begin with its most general part"));
    assert!(told[1].contains("no login can be `b`"));
    assert_eq!(told.len(), 2);
}

#[test]
fn an_empty_directory_knows_nobody() {
    let directory = Directory::parse("people: {}\n", "people.yaml").unwrap();
    assert!(!directory.resolve("db", &Login::relayed("alice"), None, "").known);
}

/// Ten thousand managers in one line, and in a circle: neither recursion nor a walk for each of them.
#[test]
fn long_lines_of_managers_are_walked_once() {
    let line = |last: &str| {
        let people: String =
            (0..10_000).map(|at| format!("  p{at}: {{ accounts: [a{at}], manager: p{} }}\n", at + 1)).collect();
        format!("people:\n{people}  p10000: {{ accounts: [last]{last} }}\n")
    };
    let directory = Directory::parse(&line(""), "people.yaml").unwrap();
    assert_eq!(directory.managers("p0").count(), 10_000);
    let circle = told(&line(", manager: p0"));
    assert!(circle.contains("managers go round: `p0` under `p1` under") && circle.contains('…'), "{circle}");
}

proptest::proptest! {
    #[test]
    fn no_file_is_too_broken(at in 0..GOOD.len(), cut in 0..40_usize, put in "\\PC{0,12}|[\\[\\]{}:&*!|>%#\\-\\n\\t\\x00]{0,6}") {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        match Directory::parse(&text, "people.yaml") {
            Ok(directory) => {
                proptest::prop_assert!(directory.people().len() <= 5);
                for entry in directory.people() {
                    proptest::prop_assert!(directory.managers(&entry.name).count() <= 4);
                    for (account, upstream) in &entry.accounts {
                        let upstream = upstream.as_deref().unwrap_or("anywhere");
                        proptest::prop_assert_eq!(directory.owner(upstream, account), Some(entry));
                    }
                    for name in &entry.names {
                        proptest::prop_assert_eq!(directory.known_as(name), Some(entry));
                    }
                }
            }
            Err(error) => {
                for (_, message, hint) in error.problems() {
                    proptest::prop_assert!(!message.is_empty() && !hint.is_empty());
                }
            }
        }
    }
}
