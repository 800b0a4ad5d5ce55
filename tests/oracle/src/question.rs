//! What is asked: a text, and under what it is to be understood.

use serde_json::Value;
use weir_policy::analysis::{LexSettings, MysqlLex};
use weir_proxy::catalog::CatalogView;

/// One line of the input.
pub(crate) struct Question {
    /// The text, as it would be sent.
    pub(crate) sql: String,
    /// Whether the catalog has changed since the last question.
    pub(crate) renew: bool,
    /// Effective path; of MySQL, the database alone.
    pub(crate) search_path: Vec<String>,
    /// Names of the session's own temporary relations.
    pub(crate) temporary: Vec<String>,
    standard_conforming_strings: bool,
    sql_mode: String,
}

impl Question {
    /// Reads one.
    ///
    /// # Errors
    /// What is missing from it.
    pub(crate) fn read(asked: &Value) -> Result<Question, String> {
        let texts = |key: &str| -> Vec<String> {
            let list = asked[key].as_array().into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Ok(Question {
            sql: asked["sql"].as_str().ok_or("a question has no sql")?.to_owned(),
            renew: asked["renew"].as_bool().unwrap_or(false),
            search_path: texts("search_path"),
            temporary: texts("temporary"),
            standard_conforming_strings: asked["standard_conforming_strings"].as_bool().unwrap_or(true),
            sql_mode: asked["sql_mode"].as_str().unwrap_or("").to_ascii_uppercase(),
        })
    }

    /// How the server cuts the text into tokens.
    pub(crate) fn lex(&self, view: &CatalogView) -> LexSettings {
        match LexSettings::of(view.catalog.engine()) {
            LexSettings::Mysql(newest) => {
                let has = |mode: &str| self.sql_mode.split(',').any(|set| set == mode);
                let facts = view.mysql();
                LexSettings::Mysql(MysqlLex {
                    mariadb: facts.is_some_and(|facts| facts.mariadb),
                    version: facts.map_or(newest.version, |facts| facts.version),
                    ansi_quotes: has("ANSI_QUOTES"),
                    no_backslash_escapes: has("NO_BACKSLASH_ESCAPES"),
                    utf8: true,
                })
            }
            LexSettings::Postgres { .. } => LexSettings::postgres(self.standard_conforming_strings),
        }
    }
}
