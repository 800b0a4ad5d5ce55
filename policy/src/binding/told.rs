//! What of a statement's data the server's own words may hold: errors, notices, warnings, settings, names.
//!
//! Such words name values of what a statement only compares, too, and of rows that it writes. So every use counts, and
//! nothing is known of which record is named.

use std::collections::BTreeSet;

use super::Binding;
use super::expose::{either, same};
use crate::exposure::{Approach, Exposed, Exposure, Manner};
use crate::statement::{Access, Coverage};

impl Binding {
    /// What warnings of a statement expose, once somebody asks for them: MySQL names in them each value that it could
    /// not convert, of what the statement let out and of what it only compared. Every row is taken for a record.
    pub fn warned(&self, before: &Exposure) -> Exposure {
        let mut warned = self.spoken(before, Manner::Rows);
        warned.opaque.clone_from(&before.opaque);
        warned.plain = self.is_plain(&warned);
        warned
    }

    /// What a message of the server exposes while a statement runs. A message is a row that is counted by its bytes, once
    /// it has more of them than words and one record; what cannot be told of the statement was judged with it.
    pub fn told(&self, statement: &Exposure) -> Exposure {
        let mut told = self.spoken(statement, Manner::Told);
        told.plain = told.touched.is_empty();
        told
    }

    fn spoken(&self, statement: &Exposure, manner: Manner) -> Exposure {
        let spoken = |exposed: &Exposed| Exposed {
            access: Access::Read,
            manner,
            whole: false,
            copied: false,
            unfollowed: false,
            pin: None,
            reads: 1,
            key: None,
            key_released: false,
            ..exposed.clone()
        };
        let mut found = Exposure {
            touched: Vec::new(),
            accesses: BTreeSet::from([Access::Read]),
            coverage: Coverage::Full,
            opaque: None,
            copies: Vec::new(),
            rows_max: None,
            returns: true,
            views: BTreeSet::new(),
            asked: Vec::new(),
            tenants: Vec::new(),
            searched: Vec::new(),
            approach: Approach::Scan,
            queries: BTreeSet::new(),
            plain: false,
        };
        for exposed in statement.touched.iter().map(spoken) {
            // A message names a record once, whichever way the statement came to it.
            let again = |known: &&mut Exposed| match manner {
                Manner::Told => known.dataset == exposed.dataset && known.relation == exposed.relation,
                _ => same(known) == same(&exposed),
            };
            match found.touched.iter_mut().find(again) {
                Some(known) => either(known, &exposed),
                None => found.touched.push(exposed),
            }
        }
        found.touched.sort_by_cached_key(same);
        found
    }
}
