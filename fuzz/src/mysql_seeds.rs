//! Seeds of the MySQL targets: conversations that a person can read. See [`crate::seeds`].

use crate::mysql_conversation::{ATTRIBUTES, DEPRECATE_EOF, MARIADB, MORE, Script, TRACK};

type Named<T> = Vec<(String, T)>;

fn named<T>(entries: Vec<(&str, T)>) -> Named<T> {
    entries.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect()
}

/// One text that is bound as text, and one number.
const TWO_PARAMETERS: &[u8] = b"\0\x01\xfd\0\x08\0\x02aa\x2a\0\0\0\0\0\0\0";

/// MySQL's status flags: autocommit, and with it in a transaction, another result, a cursor, its last row.
const DONE: u16 = 2;
const OPEN: u16 = 3;
const MORE_RESULTS: u16 = 10;
const CURSOR: u16 = 0x42;
const LAST_ROW: u16 = 0x82;

/// What clients say.
pub fn client() -> Named<Script> {
    let s = Script::new;
    let attributes = b"\x02\x01\x02\x01\xfd\0\x01a\x08\x80\x01n\x02xxselect 1";
    named(vec![
        ("query", s(0).query("select 1").query("").command(1, b"")),
        ("attributes", s(ATTRIBUTES).query("select 1").command(3, attributes).command(3, b"\0\x02select 1")),
        (
            "attributes-unclear",
            s(ATTRIBUTES).command(3, b"\x01\x01\0\x01\xfd\0\x01a\xfe\x03\0\0\0\x01\0\0\0abcselect 1"),
        ),
        ("attributes-of-no-meaning", s(ATTRIBUTES | MARIADB).query("select 1").command(3, attributes)),
        (
            "words-for-sql",
            s(0).command(2, b"a`b").command(4, b"customers\0%").command(0x0A, b"").command(0x0C, b"\x07\0\0\0"),
        ),
        ("harmless", s(0).command(0x0E, b"").command(0x1B, b"\0\0").command(9, b"").command(0x1A, b"\x01\0\0\0")),
        (
            "not-sql",
            s(0).command(8, b"").command(0x12, b"\x04\0\0\0\0\0\x01\0\0\0").command(0x1F, b"").command(0x7F, b""),
        ),
        ("refused", s(0).query("refuse this one").prepare("never prepare this").query("select 2")),
        ("refused-behind-another", s(0).query("select 1").query("refuse").command(0x0E, b"").query("refuse")),
        ("held", s(0).query("select secret").query("update t").command(1, b"")),
        ("held-and-left", s(0).query("select secret").command(1, b"")),
        ("last-statement", s(MARIADB).prepare("select secret").execute(u32::MAX, 0, TWO_PARAMETERS)),
        ("last-statement-refused", s(MARIADB).prepare("never").execute(u32::MAX, 0, b"").fetch(u32::MAX, 2)),
        ("last-statement-missing", s(MARIADB).command(0x18, b"\xff\xff\xff\xff\0\0piece")),
        (
            "unseen-statement",
            s(0).execute(7, 1, b"").fetch(7, 5).command(0x18, b"\x07\0\0\0\0\0x").command(0x19, b"\x07\0\0\0"),
        ),
        ("bulk", s(MARIADB).command(0xFA, b"\x01\0\0\0\x80\0\x03\0\0\x01\0\0\0").command(0xFA, b"\x01")),
        ("somebody-else", s(0).command(0x11, b"root\0\0shop\0")),
        ("somebody-else-later", s(0).query("select 1").command(0x11, b"root\0\0shop\0")),
        ("number-out-of-order", s(0).client(1, b"\x03select 1")),
        ("no-command", s(0).client(0, b"").query("select 1")),
        ("many-commands", (0..14).fold(s(0), |script, _| script.query("select 1"))),
        ("many-statements", (0..14).fold(s(0), |script, n| script.prepare(&format!("select {n}")))),
        ("ends-in-its-head", s(0).command(0x17, b"\x01\0\0\0\0\x01\0\0")),
        ("local", s(0).query("load local").query("select 1")),
    ])
}

/// What both sides say.
pub fn sessions() -> Named<Script> {
    let s = Script::new;
    let prepared = |terms: u8, text: &str| s(terms).prepare(text).prepared(1, 2, 1);
    let cursor = |terms: u8| {
        let script = prepared(terms, "select secret").execute(1, 1, TWO_PARAMETERS).described(CURSOR);
        if terms & DEPRECATE_EOF == 0 { script } else { script.end(CURSOR) }
    };
    let file = b"\xfb/etc/passwd";
    let tracked = b"\0\0\0\x02\x40\0\0\0\x07\x01\x05\x04shop".to_vec();
    named(vec![
        ("rows", s(0).query("select 1").described(DONE).rows(3).end(DONE)),
        ("rows-without-eof", s(DEPRECATE_EOF).query("select 1").described(DONE).rows(3).end(DONE)),
        ("shape", s(0).query("select shape").described(DONE).rows(1).end(OPEN)),
        ("more-about-columns", s(MARIADB | MORE).query("select shape").described(DONE).rows(1).end(OPEN)),
        (
            "several-results",
            s(DEPRECATE_EOF)
                .query("select 1; do 1; select 2")
                .described(DONE)
                .rows(1)
                .end(MORE_RESULTS)
                .ok(MORE_RESULTS)
                .described(DONE)
                .end(DONE),
        ),
        ("cut", s(0).query("select secret").described(DONE).rows(4).end(DONE).query("select 1").ok(DONE)),
        (
            "cut-without-eof",
            s(DEPRECATE_EOF).query("select secret").described(DONE).rows(5).error(1317).query("do 1").ok(DONE),
        ),
        (
            "cut-among-several",
            s(0).query("select secret; select 2")
                .described(DONE)
                .rows(3)
                .end(MORE_RESULTS)
                .described(DONE)
                .rows(1)
                .end(DONE),
        ),
        (
            "held-and-done",
            s(0).query("select secret")
                .query("refuse")
                .query("do 1")
                .described(DONE)
                .rows(1)
                .end(DONE)
                .again()
                .ok(DONE),
        ),
        (
            "refused-in-a-pipeline",
            s(DEPRECATE_EOF)
                .query("select 1")
                .query("refuse")
                .prepare("never")
                .command(0x0E, b"")
                .described(DONE)
                .rows(2)
                .end(DONE)
                .again()
                .ok(DONE),
        ),
        (
            "prepared",
            prepared(0, "select secret").execute(1, 0, TWO_PARAMETERS).described(DONE).binary_rows(2).end(DONE),
        ),
        (
            "prepared-without-eof",
            prepared(DEPRECATE_EOF, "select shape")
                .execute(1, 0, TWO_PARAMETERS)
                .described(DONE)
                .binary_rows(2)
                .end(DONE),
        ),
        ("prepared-badly", s(0).prepare("selec").error(1064).execute(1, 0, b"").error(1243)),
        ("types-remembered", {
            let script = prepared(0, "select secret").execute(1, 0, TWO_PARAMETERS).ok(DONE);
            script.execute(1, 0, b"\0\0\x02bb\x07\0\0\0\0\0\0\0").ok(DONE)
        }),
        (
            "pieces",
            prepared(0, "select secret")
                .command(0x18, b"\x01\0\0\0\0\0piece")
                .execute(1, 0, b"\0\x01\xfd\0\x08\0\x2a\0\0\0\0\0\0\0")
                .error(1064)
                .execute(1, 0, TWO_PARAMETERS)
                .ok(DONE)
                .execute(1, 0, TWO_PARAMETERS)
                .ok(DONE),
        ),
        (
            "attributes",
            prepared(ATTRIBUTES | DEPRECATE_EOF, "select secret")
                .execute(1, 8, b"\x03\0\x01\xfd\0\0\x08\0\0\xfd\0\x01a\x02aa\x2a\0\0\0\0\0\0\0\x01x")
                .ok(DONE),
        ),
        (
            "lengths-unclear",
            prepared(0, "select secret").execute(1, 0, b"\0\x01\xfd\0\xfd\0\xfe\x01\0\0\0\x01\0\0\0a\x01b"),
        ),
        ("cursor", cursor(0).fetch(1, 2).binary_rows(2).end(CURSOR).fetch(1, 2).binary_rows(1).end(LAST_ROW)),
        (
            "cursor-cut",
            cursor(DEPRECATE_EOF).fetch(1, 9).binary_rows(4).end(CURSOR).again().ok(DONE).fetch(1, 1).error(1421),
        ),
        (
            "last-statement",
            s(MARIADB)
                .prepare("select secret")
                .execute(u32::MAX, 0, TWO_PARAMETERS)
                .prepared(1, 2, 1)
                .again()
                .described(DONE)
                .binary_rows(1)
                .end(DONE),
        ),
        ("bulk", prepared(MARIADB, "insert").command(0xFA, b"\x01\0\0\0\x80\0\x08\0\xfd\0\x01\x01").ok(DONE)),
        ("reset", prepared(0, "select 1").command(0x1F, b"").ok(DONE).execute(1, 0, b"").error(1243)),
        ("closed", prepared(0, "select 1").command(0x19, b"\x01\0\0\0").execute(1, 0, b"").error(1243)),
        ("fields", s(0).command(4, b"customers\0").column().column().end(DONE)),
        ("statistics", s(0).command(9, b"").upstream(b"Uptime: 7").command(0x0E, b"").ok(DONE)),
        ("progress", s(MARIADB | MORE).query("alter").upstream(b"\xff\xff\xff\x01\x01\x02\0\0\0\x01x").ok(DONE)),
        ("progress-unasked", s(0).query("alter").upstream(b"\xff\xff\xff\x01\x01\x02\0\0\0\x01x")),
        ("tracked", s(TRACK).query("use shop").upstream(&tracked).query("set x").ok(0x0202)),
        ("tracked-badly", s(TRACK).query("use shop").upstream(&tracked[..12])),
        ("events", s(0).command(0x12, b"\x04\0\0\0\0\0\x01\0\0\0").rows(4).end(DONE)),
        (
            "local",
            s(0).query("load local")
                .upstream(file)
                .client(2, b"\x03refuse")
                .client(3, b"")
                .upstream(b"\0\x01\0\x02\0\0\0")
                .query("do 1")
                .ok(DONE),
        ),
        (
            "local-answered-early",
            s(0).query("load local").upstream(file).client(2, b"1,2").error(1).client(4, b"\x03x"),
        ),
        ("local-unasked", s(0).query("select 1").upstream(file).upstream(b"").ok(DONE).query("do 1").ok(DONE)),
        ("local-unasked-in-a-pipeline", s(0).query("select 1").query("select 2").upstream(file)),
        ("somebody-else", s(0).query("do 1").query("refuse").command(0x11, b"root\0").upstream(b"\0\0\0\x02\0\0\0")),
        // Each of these was found by a run.
        (
            "preparation-fails-late",
            s(0).prepare("select secret")
                .upstream(b"\0\x01\0\0\0\x01\0\x02\0\0\0\0")
                .column()
                .error(1064)
                .execute(1, 0, TWO_PARAMETERS)
                .error(1243),
        ),
        ("local-asked-twice", s(0).query("select 1").upstream(file).upstream(file).ok(DONE)),
        (
            "somebody-else-in-one-turn",
            s(0).query("do 1").query("refuse").command(0x11, b"root\0").ok(DONE).upstream_raw(b"\0\0\0\0"),
        ),
        ("farewell", s(0).again().error(1927)),
        ("rows-unasked", s(0).again().rows(1)),
        ("rows-behind-the-end", s(0).query("select 1").described(DONE).end(DONE).rows(1)),
        ("too-many-columns", s(0).query("select 1").upstream(b"\xfc\xff\xff")),
        ("giant-row", s(0).query("select 1").described(DONE).upstream_raw(b"\xff\xff\xff\x05\x02")),
        ("row-in-two", s(0).query("select 1").described(DONE).upstream_raw(b"\x00\x01\0\x05half of it")),
        ("counted-row-in-two", s(0).query("select secret").described(DONE).upstream_raw(b"\x00\x01\0\x05half of it")),
        ("empty-row", s(0).query("select 1").described(DONE).upstream(b"")),
        (
            "row-that-begins-like-an-end",
            s(0).query("select secret").described(DONE).upstream(b"\xfe\x01\0\0\0\0\0\0\0x").end(DONE),
        ),
        ("text-among-binary", s(0).execute(7, 0, b"").described(DONE).rows(1)),
    ])
}
