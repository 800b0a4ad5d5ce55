//! What the person at the terminal sees: chapters, statements, errors as a client shows them, and checks.
//!
//! Colours and lines that are overwritten appear on a terminal only. A check that does not hold is counted here: the
//! exit code is the count's.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use crate::client::Refusal;

/// The teller.
#[derive(Debug)]
pub(crate) struct Story {
    terminal: bool,
    colours: bool,
    failed: u32,
}

#[derive(Clone, Copy)]
enum Colour {
    Bold,
    Dim,
    Red,
    Green,
}

impl Story {
    /// Looks at where standard output goes.
    pub(crate) fn new() -> Story {
        let terminal = io::stdout().is_terminal();
        Story { terminal, colours: terminal && std::env::var_os("NO_COLOR").is_none(), failed: 0 }
    }

    /// A headline.
    pub(crate) fn chapter(&self, title: &str) {
        self.line(&format!("\n{}", self.paint(Colour::Bold, title)));
    }

    /// A sentence.
    pub(crate) fn say(&self, text: &str) {
        self.line(&format!("  {text}"));
    }

    /// A sentence of lesser weight.
    pub(crate) fn aside(&self, text: &str) {
        self.line(&format!("  {}", self.paint(Colour::Dim, text)));
    }

    /// A statement that somebody sends.
    pub(crate) fn statement(&self, prompt: &str, sql: &str) {
        self.line(&format!("  {} {sql};", self.paint(Colour::Dim, prompt)));
    }

    /// An error, as psql and mariadb show it with its SQLSTATE.
    pub(crate) fn refusal(&self, refusal: &Refusal) {
        let head = match refusal.number {
            None => format!("ERROR:  {}: {}", refusal.sqlstate, refusal.message),
            Some(number) => format!("ERROR {number} ({}): {}", refusal.sqlstate, refusal.message),
        };
        self.line(&format!("  {}", self.paint(Colour::Red, &head)));
        for (name, text) in [("DETAIL", &refusal.detail), ("HINT", &refusal.hint)] {
            if let Some(text) = text {
                self.line(&format!("  {}", self.paint(Colour::Red, &format!("{name}:  {text}"))));
            }
        }
    }

    /// Whether what was promised holds.
    pub(crate) fn check(&mut self, holds: bool, text: &str) {
        let mark = if holds { self.paint(Colour::Green, "ok    ") } else { self.paint(Colour::Red, "FAILED") };
        self.line(&format!("  {mark} {text}"));
        if !holds {
            self.failed += 1;
        }
    }

    /// Work that takes a while: says `what` at once, and how long it took at [`Step::done`].
    pub(crate) fn step(&self, what: &str) -> Step<'_> {
        let step = Step { story: self, what: what.to_owned(), start: Instant::now() };
        step.progress("");
        step
    }

    /// Checks that did not hold.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => "1",
            Colour::Dim => "2",
            Colour::Red => "31",
            Colour::Green => "32",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    fn write(&self, text: &str) {
        let mut out = io::stdout().lock();
        // A reader that went away is no reason to leave servers running: the story goes on untold.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// A piece of work that is under way.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    story: &'a Story,
    what: String,
    start: Instant,
}

impl Step<'_> {
    /// How far it is; shown on a terminal only, where the line can be overwritten.
    pub(crate) fn progress(&self, how_far: &str) {
        if self.story.terminal {
            self.story.write(&format!("\r\x1b[K  {} … {how_far}", self.what));
        }
    }

    /// It is done.
    pub(crate) fn done(self) {
        let clear = if self.story.terminal { "\r\x1b[K" } else { "" };
        let took = format!("({:.1} s)", self.start.elapsed().as_secs_f64());
        self.story.write(&format!("{clear}  {} {}\n", self.what, self.story.paint(Colour::Dim, &took)));
    }
}

/// A number with its thousands apart.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn thousands_stand_apart() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (68_000, "68,000"), (1_234_567, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
