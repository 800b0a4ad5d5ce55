//! What tables and exports become, and what is told of those that are broken.

use super::*;
use crate::identity::Directory;

fn told(result: Result<Import, ImportError>) -> String {
    let import = match result {
        Ok(import) => import,
        Err(error) => return format!("error: {error}"),
    };
    let yaml = yaml(&import, "export");
    Directory::parse(&yaml, "export").unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let notes: String = import.notes.iter().map(|note| format!("{}: {}\n", note.line, note.message)).collect();
    let body = yaml.split_once('\n').map(|(_, body)| body.to_owned()).unwrap_or_default();
    format!("{body}{notes}")
}

fn from_csv(text: &str) -> String {
    told(csv(text, &Mapping::new()))
}

fn from_ldif(text: &str) -> String {
    told(ldif(text, &Mapping::new()))
}

#[test]
fn a_table_becomes_a_directory() {
    let table = "\
name,kind,accounts,accounts@crm,certificates,claim sub@https://id.example.com,groups,manager,from,until,hosts,os-user,notes
bob,,bob;bob_report,b0b,\"CN=Bob \"\"B\"\", Jr.\\, Dr.,O=Example|spiffe://example.com/bob\",0815,support|german,dora,2026-02-01,,10.0.0.0/8|10.1.2.3,bob,\"two
lines\"
etl,service,etl_export,,,,,dora,,,,,
dora,person,dora,,,,,,,20261231235959Z,,,
";
    // A name with a quote in it is to be escaped: RFC 4514.
    let table = table.replace("CN=Bob \"\"B\"\", Jr.\\,", "CN=Bob \\\"\"B\\\"\"\\, Jr.\\,");
    assert_eq!(
        from_csv(&table),
        r#"people:
  # export:2
  bob:
    accounts: [{ account: b0b, upstream: crm }, bob, bob_report]
    certificates: ["CN=Bob \\\"B\\\"\\, Jr.\\, Dr.,O=Example", "spiffe://example.com/bob"]
    claims: [{ issuer: "https://id.example.com", claim: sub, value: "0815" }]
    groups: [german, support]
    hosts: ["10.0.0.0/8", "10.1.2.3"]
    manager: dora
    os-user: bob
    from: 2026-02-01
  # export:5
  dora:
    accounts: [dora]
    until: 2026-12-31
services:
  # export:4
  etl:
    accounts: [etl_export]
    manager: dora
"#
    );
}

#[test]
fn what_a_table_may_be_like() {
    let expected = "people:\n  # export:2\n  alice:\n    accounts: [alice, x]\n";
    for table in [
        "name,accounts\nalice,alice|x\n",
        "\u{feff}name;accounts\r\nalice;\"alice;x\"\r\n\r\n",
        "accounts\tname\nx|alice\talice",
        "accounts,name,password\n alice | x ,alice,secret\n,,\n",
    ] {
        assert_eq!(from_csv(table), expected, "{table}");
    }
    assert_eq!(from_csv("name\n"), "people: {}\n");
    assert_eq!(
        from_csv("name,until,manager\na,31.12.2026,\n,,\nb,,nobody\n\"c\td\",,\n"),
        "people:\n  # export:4\n  b:\n    accounts: []\n2: `a`: left out altogether: `31.12.2026` is no day; write days as \
         2026-12-31\n5: left out: it has no usable name\n4: the manager of `b` is left out: `nobody` is nobody of this export\n"
    );
    // Names that YAML would take for something else, or that turn the text around.
    assert_eq!(
        from_csv("name,groups\nyes,\"{a: b}|1|#x|\u{202e}evil\"\n"),
        "people:\n  # export:2\n  \"yes\":\n    accounts: []\n    groups: [\"#x\", \"1\", \"{a: b}\", \"\\U0000202Eevil\"]\n"
    );
    for (table, expected) in [
        ("", "line 1: the file is empty"),
        ("login\nalice\n", "line 1: no column holds `name`"),
        ("name,name\n", "line 1: two columns hold `name`"),
        ("name,until\nalice\n", "line 2: 1 fields, and the header has 2"),
        ("name\n\"alice\n", "line 2: a quote that is opened here is never closed"),
        ("name\nal\"ice\n", "line 2: a quote in the middle"),
        ("name\n\"al\"ice\n", "line 2: something stands behind a closing quote"),
        ("name\nalice\nalice\n", "line 3: `alice` stands there again, after line 2"),
        ("name,accounts\na,x\nb,x\n", "line 3: account `x` of `b` is that of `a` on line 2"),
        ("name,accounts,accounts@db\na,x,\nb,,x\n", "line 3: account `x` of `b` is that of `a` on line 2"),
        ("name,certificates\na,CN=x\nb,cn = x\n", "line 3: a certificate or claim of `b`"),
        ("name,os-user\na,root\nb,root\n", "line 3: os-user `root` of `b`"),
    ] {
        let told = from_csv(table);
        assert!(told.starts_with(&format!("error: {expected}")), "{table}: {told}");
    }
    let mapping = Mapping::from([(Field::Name, "login".to_owned()), (Field::Groups, "team".to_owned())]);
    let mapped = told(csv("login,name,groups,team\nalice,Alice A.,old,support\n", &mapping));
    assert_eq!(mapped, "people:\n  # export:2\n  alice:\n    accounts: []\n    groups: [support]\n");
    let missing = told(csv("name\n", &Mapping::from([(Field::Until, "end".to_owned())])));
    assert_eq!(missing, "error: line 1: there is no column `end`, which is to hold `until`");
}

#[test]
fn managers_who_go_round_are_opened() {
    let told = from_csv("name,manager\na,b\nb,c\nc,a\nd,d\n");
    let managers: Vec<&str> = told.lines().filter(|line| line.contains("manager")).collect();
    assert_eq!(
        managers,
        [
            "    manager: b",
            "    manager: c",
            "4: the manager of `c` is left out: `a` stands below them",
            "5: the manager of `d` is left out: `d` stands below them"
        ]
    );
}

const LDIF: &str = "\
version: 1
# people of the example
dn: uid=alice,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: alice
memberOf: cn=support,ou=groups,dc=example,dc=com
manager: UID=dora, ou=people, dc=example,dc=com
shadowExpire: 20819

dn:: dWlkPWTDtnJhLG91PXBlb3BsZSxkYz1leGFtcGxlLGRjPWNvbQ==
uid: skipped below

dn: uid=dora,ou=people,dc=
 example,dc=com
objectClass: person
uid:: ZG9y
 YQ==
jpegPhoto:< file:///etc/passwd
manager: uid=gone,dc=example,dc=com

dn: CN=Bob B.,OU=Users,DC=example,DC=com
objectClass: user
sAMAccountName: bob
accountExpires: 134116992000000000
userAccountControl: 512

dn: CN=Eve,OU=Users,DC=example,DC=com
objectClass: user
sAMAccountName: eve
accountExpires: 9223372036854775807
userAccountControl: 514

dn: CN=PC7,OU=Computers,DC=example,DC=com
objectClass: user
objectClass: computer
sAMAccountName: PC7$

dn: cn=nightly,ou=groups,dc=example,dc=com
objectClass: posixGroup
cn: nightly
memberUid: bob

dn: cn=german,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: german
member: uid=alice,ou=people,dc=example,dc=com

# search result
search: 2
result: 0 Success
";

#[test]
fn an_ldap_export_becomes_a_directory() {
    assert_eq!(
        from_ldif(&LDIF.replace("uid: skipped below\n", "objectClass: person\n")),
        "\
people:
  # export:3 uid=alice,ou=people,dc=example,dc=com
  alice:
    accounts: [alice]
    groups: [german, support]
    manager: dora
    until: 2026-12-31
  # export:21 CN=Bob B.,OU=Users,DC=example,DC=com
  bob:
    accounts: [bob]
    groups: [nightly]
    until: 2025-12-31
  # export:13 uid=dora,ou=people,dc=example,dc=com
  dora:
    accounts: [dora]
  # export:27 CN=Eve,OU=Users,DC=example,DC=com; closed at the source, which does not say since when
  eve:
    accounts: [eve]
    until: 1970-01-01
18: `jpegphoto` names a file or an address, which is not read
10: `uid=döra,ou=people,dc=example,dc=com` is left out: it has no uid or sAMAccountName
13: the manager of `dora` is left out: `uid=gone,dc=example,dc=com` is nobody of this export
"
    );
}

#[test]
fn what_an_ldap_export_may_not_be() {
    for (text, expected) in [
        ("version: 2\n", "line 1: another version"),
        ("uid: alice\n", "line 1: an entry begins with its `dn`"),
        ("dn: a=b\nuid alice\n", "line 2: no colon"),
        ("dn: a=b\nuid:: %%%\n", "line 2: a value that is no base64"),
        ("dn: a=b\nchangetype: delete\n", "line 2: a record of changes"),
        ("dn: a=b\nuid: x\ndn: c=d\nuid: y\n", "line 3: an empty line is missing"),
        ("dn: a=b\nuid: x\n\ndn: c=d\nuid: x\n", "line 4: `x` stands there again, after line 1"),
        ("dn:: /w==\n", "line 1: a name that is no UTF-8"),
    ] {
        let told = from_ldif(text);
        assert!(told.starts_with(&format!("error: {expected}")), "{text}: {told}");
    }
    let bad_day = from_ldif("dn: a=b\nuid: x\nshadowExpire: soon\n");
    assert_eq!(bad_day, "people: {}\n3: `x` is left out: `soon` in shadowexpire is no day\n");
    let mapping = Mapping::from([
        (Field::Name, "mail".to_owned()),
        (Field::Accounts, "dbAccount".to_owned()),
        (Field::Until, "contractEnd".to_owned()),
        (Field::OsUser, "uid".to_owned()),
    ]);
    let mapped = "dn: a=b\nmail: x@example.com\nuid: x\ndbaccount: one\ndbAccount: two\ncontractend: 2026-06-30\n";
    assert_eq!(
        told(ldif(mapped, &mapping)),
        "people:\n  # export:1 a=b\n  x@example.com:\n    accounts: [one, two]\n    os-user: x\n    until: 2026-06-30\n"
    );
}

#[test]
fn days_of_other_systems() {
    let day = |text: &str| Date::parse(text);
    assert_eq!(fields::shadow_expire("20819"), Ok(day("2026-12-31")));
    assert_eq!(fields::shadow_expire("1"), Ok(day("1970-01-01")));
    assert_eq!([fields::shadow_expire("0"), fields::shadow_expire("-1")], [Ok(None), Ok(None)]);
    assert_eq!(fields::shadow_expire("9223372036854775807"), Err(()));
    // 2026-01-01T00:00:00Z: the day before was the last.
    assert_eq!(fields::account_expires("134116992000000000"), Ok(day("2025-12-31")));
    assert_eq!(fields::account_expires("1"), Ok(day("1601-01-01")));
    assert_eq!([fields::account_expires("0"), fields::account_expires("9223372036854775807")], [Ok(None), Ok(None)]);
    assert_eq!(fields::account_expires("-1"), Err(()));
    assert_eq!(fields::day("20261231"), day("2026-12-31"));
    assert_eq!(fields::day("20261231225959Z"), day("2026-12-31"));
    assert_eq!(
        [fields::day("2026123"), fields::day("20261331"), fields::day("1.1.2026"), fields::day("2026-1-1")],
        [None; 4]
    );
}

proptest::proptest! {
    #[test]
    fn no_export_is_too_broken(at in 0..LDIF.len(), cut in 0..60_usize, put in "\\PC{0,20}|[:;<,\"\\r\\n |\\t\\x00-]{0,9}") {
        let end = (at + cut).min(LDIF.len());
        if LDIF.is_char_boundary(at) && LDIF.is_char_boundary(end) {
            told(ldif(&format!("{}{put}{}", &LDIF[..at], &LDIF[end..]), &Mapping::new()));
        }
        let table = "name,accounts,groups,manager,until\nalice,a|b,x,bob,2026-12-31\nbob,\"c\",\"y;z\",,\n";
        let at = at.min(table.len());
        told(csv(&format!("{}{put}{}", &table[..at], &table[(at + cut).min(table.len())..]), &Mapping::new()));
    }
}
