//! What the servers were seen to do with each text (MySQL 9.7.4, MariaDB 10.11.19), as the tokens that say so.
#![allow(clippy::unwrap_used)]

use super::super::{Kind, lex};
use crate::analysis::{LexSettings, MysqlLex};

const MYSQL: MysqlLex =
    MysqlLex { mariadb: false, version: 90_704, ansi_quotes: false, no_backslash_escapes: false, utf8: true };
const MARIADB: MysqlLex = MysqlLex { mariadb: true, version: 101_119, ..MYSQL };

/// The tokens, apart by `|`: names in brackets, variables in braces, strings and bits behind a letter. A `!` in front:
/// the text is not certain.
fn words(text: &[u8], settings: MysqlLex) -> String {
    let lexed = lex(text, LexSettings::Mysql(settings));
    let words: Vec<String> = lexed
        .tokens
        .iter()
        .map(|token| {
            let raw = String::from_utf8_lossy(token.raw(text)).into_owned();
            match token.kind {
                Kind::Word | Kind::Quoted => format!("<{}>", token.identifier(text)),
                Kind::Variable | Kind::SystemVariable => format!("{{{}}}", token.identifier(text)),
                Kind::Text(_) => format!("s{raw}"),
                Kind::Bits => format!("b{raw}"),
                Kind::Junk => format!("junk{raw}"),
                Kind::Hint => "hint".to_owned(),
                Kind::Null => "null".to_owned(),
                _ => raw,
            }
        })
        .collect();
    format!("{}{}", if lexed.unterminated { "!" } else { "" }, words.join("|"))
}

fn check(settings: MysqlLex, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(words(text.as_bytes(), settings), *expected, "{text} (MariaDB: {})", settings.mariadb);
    }
}

fn check_both(table: &[(&str, &str)]) {
    check(MYSQL, table);
    check(MARIADB, table);
}

#[test]
fn comments_end_where_the_servers_end_them() {
    check_both(&[
        ("1 --1\n+1", "1|-|-|1|+|1"),
        ("1 -- x\n+1", "1|+|1"),
        ("1 --\t+5\n+1", "1|+|1"),
        ("1 --\u{1}+5\n+1", "1|+|1"),
        ("1 --\u{7f}+5\n+1", "1|+|1"),
        ("1 --\n+1", "1|+|1"),
        ("1--", "1"),
        ("1 # a\r+1\n+1", "1|+|1"),
        ("1 -- a\r+1\n+1", "1|+|1"),
        // A zero ends the line, and the server reads no further.
        ("1 # a\0+1", "1|junk\0|+|1"),
        ("1 --\0+1", "1|junk\0|+|1"),
        ("1 /* a /* b */ + 1", "1|+|1"),
        ("1 /* a /* b */ + 1 */", "1|+|1|*|/"),
        ("1 */*x*/ 2", "1|*|2"),
        ("1 /*/ 2 */ + 3", "1|+|3"),
        ("1 /*", "!1"),
        ("1 /* x *", "!1"),
        ("1 /*+ +1 */", "1"),
        ("<select> /*+ x /* y */ 1", "<|<select>|>|1"),
        ("a/**/b", "<a>|<b>"),
    ]);
}

#[test]
fn versioned_comments_are_code_where_the_server_runs_them() {
    check_both(&[
        ("1 /*! +1*/", "1|+|1"),
        ("1 /*!50000 +1*/", "1|+|1"),
        ("1 /*!50699+1*/", "1|+|1"),
        ("1 /*!00000 +1*/", "1|+|1"),
        ("1 /*!99999 +1*/ + 2", "1|+|2"),
        ("1 /*!999999 +1 /* x */ +1 */ +100", "1|+|100"),
        ("1 /*!99999 +1 /* x */ +1 */ + 100", "1|+|100"),
        ("1 /*!99999 +1 /*!50000 +1 */ + 1 */ + 100", "1|+|100"),
        ("1 /*!99999 +1 /* x */ + 10", "!1"),
        ("1 /*!99999 -- */ + 1", "1|+|1"),
        ("1 /*!99999 ' */ + 1 -- '*/", "1|+|1"),
        ("1 /*! +1 /* x */ +1 */", "1|+|1|+|1"),
        ("1 /*! + /*!50000 1 */ + 1 */", "1|+|1|+|1|*|/"),
        ("1 /*! + 1 /*!99999 +1 */ + 1 */", "1|+|1|+|1"),
        ("1 /*!*/*/+1", "1|*|/|+|1"),
        ("1 /*!/ +1*/", "1|/|+|1"),
        ("1 /*!50000 'a*/ b'*/", "1|s'a*/ b'"),
        ("1 /*!50000 -- */ +1\n*/", "1"),
        ("1 /*!50000 # */ +1\n +1*/", "1|+|1"),
        ("1 /*!+1*//*!+1*/", "1|+|1|+|1"),
        ("<sel/*!*/ect", "<|<sel>|<ect>"),
        ("1 /*!0+1*/", "1|0|+|1"),
        ("1 /*!1234+1*/", "1|1234|+|1"),
        ("1 /*m! +1*/", "1"),
        ("1 /*M+1*/", "1"),
        ("1 /*!", "!1"),
        ("1 /*! +1", "!1|+|1"),
        ("1 /*! +1 /* x */", "!1|+|1"),
        ("1 /*!50000", "!1"),
        ("/*!50000 select 1 */; select 2", "<select>|1|;|<select>|2"),
    ]);
    check(
        MYSQL,
        &[
            ("1 /*!50700 +1*/", "1|+|1"),
            ("1 /*!90704+1*/", "1|+|1"),
            ("1 /*!90705+1*/", "1"),
            // Six digits are a version where white space follows, and five otherwise.
            ("1 /*!100000 +1*/", "1"),
            ("1 /*!050000 +1*/", "1|+|1"),
            ("1 /*!090704\u{b}+1*/", "1|+|1"),
            ("1 /*!090705\n+1*/", "1"),
            ("1 /*!500000\t+1*/", "1"),
            ("1 /*!050000+1*/", "1|0|+|1"),
            ("1 /*!500001*/", "1|1"),
            ("1 /*!1000000 +1*/", "1|00|+|1"),
            ("1 /*M! +1*/", "1"),
            ("1 /*M!100100 +1*/", "1"),
        ],
    );
    check(
        MARIADB,
        &[
            ("1 /*!50700 +1*/", "1"),
            ("1 /*!80000-1*/", "1"),
            ("1 /*!100000+1*/", "1|+|1"),
            ("1 /*!101119 +1*/", "1|+|1"),
            ("1 /*!101120 +1*/", "1"),
            ("1 /*!010000+1*/", "1|+|1"),
            ("1 /*!1000000+1*/", "1|0|+|1"),
            ("1 /*!500001*/", "1"),
            ("1 /*M! +1*/", "1|+|1"),
            ("1 /*M!99999 +1*/", "1|+|1"),
            ("1 /*M!50700 +1*/", "1|+|1"),
            ("1 /*M!101120 +1*/", "1"),
            // A cluster runs it.
            ("1 /*!99997 +1*/", "!1"),
        ],
    );
    // What older servers of MySQL make of six digits was not measured.
    check(MysqlLex { version: 80_036, ..MYSQL }, &[("1 /*!080036 +1*/", "!1|+|1"), ("1 /*!80037 +1*/", "1")]);
}

#[test]
fn strings_end_where_the_servers_end_them() {
    check_both(&[
        (r"'a''b' 1", "s'a''b'|1"),
        ("'a' 'b'", "s'a' 'b'"),
        ("'a'\"b\"", "s'a'\"b\""),
        ("'a' /* x */ 'b' c", "s'a' /* x */ 'b'|<c>"),
        ("'a' /*!50000 'b' */ 'c'", "s'a' /*!50000 'b' */ 'c'"),
        ("/*!50000 'b' */ 'c'", "s'b' */ 'c'"),
        ("'a' # x\n'b'", "s'a' # x\n'b'"),
        ("N'a' 'b'", "sN'a' 'b'"),
        ("'a' N'b'", "s'a'|sN'b'"),
        (r"n'a\'b'", r"sn'a\'b'"),
        ("_utf8'a' 'b'", "s_utf8'a' 'b'"),
        ("_UTF8MB4 /* x */ 'a'", "s_UTF8MB4 /* x */ 'a'"),
        ("_utf8 X'41'", "b_utf8 X'41'"),
        ("_utf8 0x41", "b_utf8 0x41"),
        ("_utf8 b'1000001'", "b_utf8 b'1000001'"),
        ("_nocs 'a'", "<_nocs>|s'a'"),
        ("t._utf8 'a'", "<t>|.|<_utf8>|s'a'"),
        ("_utf8 from", "<_utf8>|<from>"),
        ("_utf8.x", "<_utf8>|.|<x>"),
        ("x'41' 'b'", "bx'41'|s'b'"),
        ("x''", "bx''"),
        ("x'4' 1", "junkx'4'|1"),
        ("b'12'", "!junkb'1|2|s'"),
        ("'\0a' 1", "s'\0a'|1"),
        (r"'a\\' 'b'", r"s'a\\' 'b'"),
        (r"'a\'", r"!s'a\'"),
        ("'a", "!s'a"),
        ("\"a", "!s\"a"),
        ("\"a''b\" 'a\"\"b'", "s\"a''b\" 'a\"\"b'"),
        ("select'a'from", "<select>|s'a'|<from>"),
        ("{d '2020-01-01'}", "{|<d>|s'2020-01-01'|}"),
    ]);
    check(MYSQL, &[("_gb18030 'a'", "s_gb18030 'a'"), (r"\N", r"junk\|<N>")]);
    check(MARIADB, &[("_gb18030 'a'", "<_gb18030>|s'a'"), (r"\N", "null"), (r"\n", r"junk\|<n>")]);
}

#[test]
fn modes_change_what_quotes_mean() {
    let ansi = MysqlLex { ansi_quotes: true, ..MYSQL };
    check(ansi, &[("'a' \"b\"\"c\"", "s'a'|<b\"c>"), ("@\"v\" @@\"x\"", "{v}|{x}"), ("_utf8\"a\"", "<_utf8>|<a>")]);
    let plain = MysqlLex { no_backslash_escapes: true, ..MARIADB };
    check(plain, &[(r"'a\' or 'b'", r"s'a\'|<or>|s'b'"), (r"@'a\'", r"{a\}")]);
}

#[test]
fn names_and_numbers_are_told_apart_as_the_servers_do() {
    check_both(&[
        ("1a t.1a t .1a t. 1a `t`.1a", "<1a>|<t>|.|<1a>|<t>|.1|<a>|<t>|.|<1a>|<t>|.1|<a>"),
        ("1e5 1e+5 1e-5 1.e5 .5 1. .5e3", "1e5|1e+5|1e-5|1.e5|.5|1.|.5e3"),
        ("1e 1e+ 1ea 1_000", "<1e>|<1e>|+|<1ea>|<1_000>"),
        ("1e1e1 1e1from", "1e1|<e1>|1e1|<from>"),
        ("1.from t", "1.|<from>|<t>"),
        ("0x37 0X37 0xg 0x 0x4g1 0x1_0", "b0x37|<0X37>|<0xg>|<0x>|<0x4g1>|<0x1_0>"),
        ("0b11 0B11 0b12", "b0b11|<0B11>|<0b12>"),
        ("t.x'41' t.n'a'", "<t>|.|<x>|s'41'|<t>|.|<n>|s'a'"),
        ("`a``b` `` `A`", "<a`b>|<>|<A>"),
        ("a$b ab$ Foo", "<a$b>|<ab$>|<Foo>"),
        ("t.select t.x.y", "<t>|.|<select>|<t>|.|<x>|.|<y>"),
        ("5div 2", "<5div>|2"),
        (".1.2", ".1|.2"),
        ("`abc", "!<abc>"),
        ("`a\0b`", "!<a\0b>"),
        // A number that MySQL lets vanish: `p 1.e.t` is `p.t` there.
        ("p 1.e.t", "!<p>|junk1.e|.|<t>"),
        ("1.e+(x)", "!junk1.e+|(|<x>|)"),
        ("é a\u{a0}b", "<é>|<a\u{a0}b>"),
        ("a😀", "<a?>"),
    ]);
    check(MYSQL, &[("1..2", "1.|.2")]);
    check(MARIADB, &[("1..2", "1|..|2"), ("$$a$$ $a", "<$$a$$>|<$a>")]);
    for settings in [MYSQL, MARIADB] {
        // MySQL takes `t\xc3` for `t`.
        assert_eq!(words(b"t\xc3", settings), "!<t\u{fffd}>");
        assert_eq!(words(b"`t\xc3` 'a\xc3'", settings), "!<t\u{fffd}>|s'a\u{fffd}'");
        assert_eq!(words(b"'a\xc3' /* \xc3 */ # \xff", settings), "s'a\u{fffd}'");
        // Blanks and letters of other character sets.
        let latin1 = MysqlLex { utf8: false, ..settings };
        assert_eq!(words(b"1 --\xa05", latin1), "!1|-|-|<\u{fffd}5>");
        assert_eq!(words("é 'é'".as_bytes(), latin1), "!<é>|s'é'");
        assert_eq!(words("'é' /* é */".as_bytes(), latin1), "s'é'");
    }
}

#[test]
fn mysql_quotes_with_dollars() {
    check(
        MYSQL,
        &[
            ("$a $ $1 $1a a$$b @$$ t.$$", "<$a>|<$>|<$1>|<$1a>|<a$$b>|{$$}|<t>|.|<$$>"),
            ("$$ ' $$ 1", "s$$ ' $$|1"),
            ("$a$ x $a $a$ 1", "s$a$ x $a $a$|1"),
            ("$a$ x $$a$ y $a$ 1", "s$a$ x $$a$ y $a$|1"),
            ("$$ x $$$ 1", "s$$ x $$|<$>|1"),
            ("$aa$ x $a$aa$ 1", "!s$aa$ x $a$aa$ 1"),
            ("$a-b$", "<$a>|-|<b$>"),
            ("$$", "!s$$"),
        ],
    );
    check(MysqlLex { version: 80_036, ..MYSQL }, &[("$$ ' $$", "!<$$>|s' $$")]);
}

#[test]
fn variables_and_operators() {
    check_both(&[
        ("@a:=5 @`a``b` @'c' @\"d\"", "{a}|:=|5|{a`b}|{c}|{d}"),
        ("@a.b @1a @$", "{a.b}|{1a}|{$}"),
        ("@'a' 'b'", "{a}|s'b'"),
        (r"@'a\'b'", "{a'b}"),
        ("@ a", "{}|<a>"),
        ("@@version @@global.port @@global . port @@`port`", "{version}|{global}|.|<port>|{global}|.|<port>|{port}"),
        ("@@ version", "junk@@|<version>"),
        ("'root'@'localhost' root@`%`", "s'root'|{localhost}|<root>|{%}"),
        (
            "a<=>b a<>b a!=b a<=b a>=b a<<b a>>b",
            "<a>|<=>|<b>|<a>|<>|<b>|<a>|!=|<b>|<a>|<=|<b>|<a>|>=|<b>|<a>|<<|<b>|<a>|>>|<b>",
        ),
        ("a&&b a||b !a a=!b a=-1 a>-1", "<a>|&&|<b>|<a>||||<b>|!|<a>|<a>|=|!|<b>|<a>|=|-|1|<a>|>|-|1"),
        ("? ?", "?|?"),
        ("a;;b", "<a>|;|;|<b>"),
    ]);
    check(MYSQL, &[("a->'$.a' a->>'$.b'", "<a>|->|s'$.a'|<a>|->>|s'$.b'")]);
    check(MARIADB, &[("a->'b'", "<a>|-|>|s'b'")]);
}

#[test]
fn a_hint_that_sets_a_mode_is_seen() {
    check_both(&[
        ("select /*+ SET_VAR(sql_mode='ANSI_QUOTES') */ 1", "<select>|hint|1"),
        ("select /*+ SET_VAR(sort_buffer_size=1) */ 1", "<select>|1"),
        ("select /*+ QB_NAME(`a */ 2", "<select>|2"),
        ("select /*+ ' */ 2 -- ' */", "<select>|2"),
        ("'x' /*+ set_var(sql_mode='') */ 'y'", "s'x'|hint|s'y'"),
        ("select /*+ set_var(sql_mode", "!<select>|hint"),
    ]);
}
