//! The text as a record may hold it: no literal, no comment, nothing that moves a terminal's cursor.

use super::lexer::Kind;
use super::shape::Unit;
use crate::relation::Engine;

/// A record holds at most this much text; verdict, relations and hash stand outside of it.
const REDACTED_BYTES_MAX: usize = 8 * 1024;

/// The text with literals as `?` and one space between words. Depends on the shape's key only.
pub(super) fn redact(unit: &Unit<'_>) -> String {
    let mut out = String::with_capacity(unit.text.len().min(REDACTED_BYTES_MAX));
    let mut glue = true;
    let quote = match unit.settings.engine() {
        Engine::Postgres => '"',
        Engine::Mysql => '`',
    };
    for (at, token) in unit.tokens.iter().enumerate() {
        let start = out.len();
        let raw = token.raw(unit.text);
        let tight = matches!(raw, b"," | b")" | b";" | b"." | b"::" | b"]" | b"[" | b"(") && token.kind == Kind::Punct;
        if !(glue || tight && raw != b"(") {
            out.push(' ');
        }
        glue = token.kind == Kind::Punct && matches!(raw, b"(" | b"." | b"::" | b"[");
        match token.kind {
            Kind::Number | Kind::Text(_) | Kind::Bits => out.push('?'),
            Kind::Word => printable(&mut out, &String::from_utf8_lossy(&unit.word(at))),
            Kind::Quoted | Kind::QuotedUnicode => {
                out.push(quote);
                printable(&mut out, &token.identifier(unit.text).replace(quote, &format!("{quote}{quote}")));
                out.push(quote);
            }
            Kind::Variable => {
                out.push('@');
                let name = token.identifier(unit.text);
                let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte));
                if plain {
                    out.push_str(&name);
                } else {
                    out.push('`');
                    printable(&mut out, &name.replace('`', "``"));
                    out.push('`');
                }
            }
            Kind::Hint => out.push_str("/*+ ? */"),
            _ => printable(&mut out, &String::from_utf8_lossy(raw)),
        }
        if out.len() > REDACTED_BYTES_MAX - '…'.len_utf8() {
            out.truncate(start);
            out.push('…');
            break;
        }
    }
    out
}

fn printable(out: &mut String, text: &str) {
    out.extend(text.chars().map(|character| if is_deceptive(character) { '\u{fffd}' } else { character }));
}

/// Control, zero-width and direction characters, which make a text look like another.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
