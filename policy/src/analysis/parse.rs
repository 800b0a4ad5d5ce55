//! The parser, kept on a leash: bounded before (see [`bridge`](super::bridge)), and on a stack that can take what
//! passes the bound.
//!
//! What must never happen here: a stack overflow, which would end the process and not the session.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sqlparser::ast::Statement;
use sqlparser::dialect::{Dialect, MySqlDialect, PostgreSqlDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::relation::Engine;

/// Stack of a thread that parses, walks and drops one large tree. Pages are only backed once they are touched.
const STACK_BYTES: usize = 96 * 1024 * 1024;
/// The parser's own limit on nesting, above what the bounds let through.
const RECURSION_MAX: usize = 600;

thread_local! {
    static LARGE: Cell<bool> = const { Cell::new(false) };
}

/// One statement from tokens. `Err`: the parser's grammar does not have it.
pub(super) fn statement(tokens: Vec<TokenWithSpan>, engine: Engine) -> Result<Statement, ()> {
    let dialect: &dyn Dialect = match engine {
        Engine::Postgres => &PostgreSqlDialect {},
        Engine::Mysql => &MySqlDialect {},
    };
    let mut parser = Parser::new(dialect).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens);
    let statement = parser.parse_statement().map_err(|_| ())?;
    if parser.peek_token_ref().token == Token::EOF { Ok(statement) } else { Err(()) }
}

/// Whether the current thread has the large stack.
pub(super) fn on_large_stack() -> bool {
    LARGE.with(Cell::get)
}

/// Runs what may recurse. `small`: it is known to fit any stack. `None`: it panicked, or no thread could be had.
pub(super) fn guarded<T: Send>(small: bool, work: impl FnOnce() -> T + Send) -> Option<T> {
    if small || on_large_stack() {
        return catch_unwind(AssertUnwindSafe(work)).ok();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("weir-analysis".to_owned()).stack_size(STACK_BYTES).spawn_scoped(
            scope,
            || {
                LARGE.with(|large| large.set(true));
                work()
            },
        );
        thread.ok()?.join().ok()
    })
}
