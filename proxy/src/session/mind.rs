//! What one session knows when it judges: who is there, what is in force, what the database holds, what was said before.
//!
//! INVARIANT: identity is written once, when the session opens. Policy and catalog are looked at anew with each statement.

mod copies;
mod readings;
mod records;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_audit_store::event::{Person, Session};
use weir_policy::analysis::{MysqlLex, shape};
use weir_policy::binding::Binding;
use weir_policy::catalog::{Catalog, RelationKind, Resolution};
use weir_policy::exposure::{Exposure, Origin};
use weir_policy::identity::Who;
use weir_policy::relation::{Engine, RelationName};
use weir_policy::statement::{Analysis, SessionAct};
use weir_wire::{ColumnOrigin, Shape, Transaction};

use readings::guarded_readings;

use super::Shared;
use super::execution::{KeptBytes, Known};
use super::names::{Applied, Names};
use super::spelling::Spelling;
use crate::analyses::{Terms, Understood};
use crate::catalog::{CatalogView, Feed};
use crate::copies::Laid;
use crate::identity::Login;
use crate::policies::InForce;

/// Between two looks at the catalog because a name was not found in it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Under which a server of MySQL's family reports the default database.
const REPORTED_DATABASE: &str = "database";

/// One session's knowledge.
pub struct Mind {
    /// What every session shares.
    pub shared: Arc<Shared>,
    /// The person and where they come from.
    pub who: Who,
    session: Session,
    person: Person,
    feed: Feed,
    names: Names,
    spelling: Spelling,
    bound: Bound,
    /// The catalog must be read before the next statement is judged.
    renew: bool,
    /// Changes of the catalog, by any session, that the present snapshot has taken in, and those that the renewal will.
    changes: (u64, u64),
    looked_again: Option<Instant>,
    kept_bytes: KeptBytes,
    /// Changes that the statement which waits for the catalog must know of: those since are not its own to wait for.
    awaited: Option<u64>,
    /// The session has made a relation of its own that has the name of something sensitive.
    namesake: bool,
    /// What the last statement that ran exposed: its warnings can be asked for.
    warned: Option<Arc<Exposure>>,
}

/// Policy, catalog and session state, put together once for many statements.
pub struct Bound {
    /// Policy and directory.
    pub in_force: Arc<InForce>,
    /// What the policy means on this database.
    pub binding: Arc<Binding>,
    view: CatalogView,
    /// Of everything that is known of copies, whatever database it is in.
    copies: u64,
    laid: Laid,
    readings: Vec<Reading>,
    names_version: u64,
    /// Differs between any two.
    stamp: u64,
}

/// One way in which the names of a text may be meant.
#[derive(Clone, PartialEq, Eq)]
struct Reading {
    terms: Terms,
    /// Names that mean this session's own relations.
    temporary: Vec<String>,
    /// What has the name of something sensitive is that.
    guarded: bool,
}

/// What is known when a session opens.
pub struct Opening<'a> {
    /// What is spoken.
    pub engine: Engine,
    /// The client's address.
    pub peer: SocketAddr,
    /// Name of the listener.
    pub listener: &'a str,
    /// Name of the upstream.
    pub upstream: &'a str,
    /// Database.
    pub database: &'a str,
    /// What the client proved.
    pub login: &'a Login,
    /// The account that the server let in, where the session has begun with another's role: its settings are in force.
    pub holder: Option<&'a str>,
    /// Parameters of the start-up.
    pub parameters: &'a [(String, String)],
    /// Settings that the server reported, or that the client's start-up implies.
    pub settings: &'a [(String, String)],
    /// Version of TLS on the client's leg; `None` in clear text.
    pub tls: Option<&'static str>,
}

impl Mind {
    /// The number by which the server knows the session that has this number of Weir's.
    pub fn number_of(&self, number: u32) -> Option<u32> {
        self.shared.cancels.number_of(&self.session.upstream, number)
    }

    /// The mind of a session that opens.
    pub fn new(shared: Arc<Shared>, who: Who, feed: Feed, id: String, opening: &Opening<'_>) -> Mind {
        let session = Session {
            id,
            client: opening.peer.to_string(),
            listener: opening.listener.to_owned(),
            upstream: opening.upstream.to_owned(),
            database: opening.database.to_owned(),
            account: who.account.to_string(),
            application: (!who.application.is_empty()).then(|| who.application.to_string()),
            tls: opening.tls.map(str::to_owned),
        };
        let person = Person {
            id: who.person.to_string(),
            known: who.known,
            groups: who.groups.iter().map(ToString::to_string).collect(),
            auth: opening.login.method.to_owned(),
        };
        let changes = feed.changes();
        let view = feed.view();
        // Names mean what they mean to the account that the server knows.
        let role = &opening.login.upstream_account;
        let (names, spelling) = match opening.engine {
            Engine::Postgres => {
                let told = path_at_start(opening.parameters);
                let certain = told.is_some();
                let path = told.unwrap_or_else(|| view.search_path_default(opening.holder.unwrap_or(role)));
                (Names::postgres(path, Arc::clone(role), certain), Spelling::postgres())
            }
            Engine::Mysql => {
                let setting = |wanted: &str| opening.settings.iter().find(|(name, _)| name == wanted);
                let charset = setting("character_set_client").map(|(_, charset)| charset.as_str());
                let version = setting("version").map_or("", |(_, version)| version);
                let spelling = Spelling::mysql(view.mysql(), mysql_lex(version), charset);
                (Names::mysql(opening.database, Arc::clone(role)), spelling)
            }
        };
        let in_force = shared.policies.current();
        let laid = Laid::default();
        let binding = shared.policies.bind(&in_force, &view, &laid);
        let (copies, names_version, stamp) = (0, 0, 0);
        let bound = Bound { in_force, binding, view, copies, laid, readings: Vec::new(), names_version, stamp };
        let mut mind = Mind {
            shared,
            who,
            session,
            person,
            feed,
            names,
            spelling,
            bound,
            renew: false,
            changes: (changes, changes),
            looked_again: None,
            kept_bytes: KeptBytes::default(),
            awaited: None,
            namesake: false,
            warned: None,
        };
        for (name, value) in opening.settings {
            mind.setting(name, value);
        }
        mind.rebind();
        mind
    }

    /// A setting that the server reports.
    pub fn setting(&mut self, name: &str, value: &str) {
        if name == REPORTED_DATABASE {
            self.names.report_database(value);
            value.clone_into(&mut self.session.database);
        }
        if self.spelling.report(name, value) {
            self.bound.names_version = u64::MAX;
        }
    }

    /// What is in force now, for this session.
    pub fn bound(&mut self) -> &Bound {
        if self.bound.in_force.generation != self.shared.policies.generation()
            || self.bound.view.catalog.version() != self.feed.version()
            || self.bound.names_version != self.names.version()
            || self.bound.copies != self.shared.copies.version()
        {
            self.rebind();
        }
        &self.bound
    }

    /// Whether the database holds anything that policy protects, or may.
    pub fn may_be_sensitive(&self) -> bool {
        self.bound.binding.is_sensitive()
    }

    /// What several statements expose together.
    pub fn merge<'e>(&self, exposures: impl IntoIterator<Item = &'e Exposure>) -> Exposure {
        self.bound.binding.merge(exposures)
    }

    /// Names that every message to this session may hold: of its database and its account.
    pub fn own_words(&self) -> [&str; 2] {
        [&self.session.database, &self.session.account]
    }

    /// Columns of the relations that a text names, as the catalog has them, up to a bound.
    pub fn columns_of(&self, understood: &Understood) -> Vec<Arc<str>> {
        const COLUMNS_MAX: usize = 4096;
        let uses = understood.analysis.statements.iter().flat_map(|statement| &statement.uses);
        let relations = uses.filter_map(|used| self.bound.view.catalog.by_oid(used.oid));
        relations.flat_map(|relation| &relation.columns).map(|column| column.name.clone()).take(COLUMNS_MAX).collect()
    }

    /// Where the columns of a result come from, as far as the server tells.
    pub fn origins(&mut self, shape: &dyn Shape) -> Vec<Origin> {
        self.bound();
        let catalog = &self.bound.view.catalog;
        let origin = |column| match shape.origin(column) {
            ColumnOrigin::Name { schema, relation, .. } if self.names.is_own(schema, relation) => {
                Origin { oid: 0, attribute: 0 }
            }
            ColumnOrigin::Unknown => Origin { oid: 0, attribute: 0 },
            ColumnOrigin::Number { relation, attribute } => Origin { oid: relation, attribute },
            ColumnOrigin::Name { schema, relation, column } => named_origin(catalog, schema, relation, column),
        };
        (0..shape.columns()).map(origin).collect()
    }

    /// Whether the server names a table for every column of a result, none of which is sensitive: then nothing sensitive
    /// is in it, whatever its text may have meant.
    pub fn is_elsewhere(&mut self, origins: &[Origin]) -> bool {
        // What MySQL names may be an alias that the client chose.
        let may_be_believed = self.spelling.lex().engine() == Engine::Postgres;
        self.bound();
        let bound = &self.bound;
        let has_own = bound.readings.iter().any(|reading| !reading.temporary.is_empty());
        may_be_believed
            && !origins.is_empty()
            && origins.iter().all(|origin| {
                let relation = bound.view.catalog.by_oid(origin.oid);
                // What a table is parted into, or what inherits it, comes under its number.
                let is_alone = relation.is_some_and(|known| known.kind == RelationKind::Table)
                    && bound.view.catalog.children(origin.oid).is_empty();
                // A table of the session's own: what it holds was charged when it was put there, or the text would be
                // counted by what it is known to hold.
                let is_own = has_own && relation.is_none() && bound.view.is_temporary(origin.oid);
                origin.attribute > 0 && (is_alone || is_own) && !bound.binding.is_sensitive_relation(origin.oid)
            })
    }

    fn rebind(&mut self) {
        self.feed.reconnect();
        let in_force = self.shared.policies.current();
        let view = self.feed.view();
        self.observe_copies(&view);
        // Before the labels: a change in between is seen with the next look.
        let copies = self.shared.copies.version();
        let laid = self.shared.copies.laid(&self.session.upstream, &view.catalog);
        let binding = self.shared.policies.bind(&in_force, &view, &laid);
        let mut readings = Vec::new();
        for lex in self.spelling.lexes() {
            readings.extend(self.names.paths().into_iter().map(|path| Reading {
                temporary: self.names.temporary(&path),
                terms: Terms {
                    lex: *lex,
                    path,
                    generation: in_force.generation,
                    catalog: view.catalog.version(),
                    copies: laid.version,
                    database: Arc::clone(view.catalog.database()),
                },
                guarded: false,
            }));
        }
        if !self.names.is_pristine() {
            readings.extend(guarded_readings(readings.first(), &binding));
        }
        self.bound = Bound {
            readings,
            names_version: self.names.version(),
            stamp: self.bound.stamp + 1,
            in_force,
            binding,
            view,
            copies,
            laid,
        };
    }

    /// Reads a text.
    pub fn read(&self, text: &[u8]) -> Known {
        let lex = self.spelling.lex();
        Known::new(text, shape(text, lex), lex, &self.kept_bytes)
    }

    /// Reads a text that is to be prepared.
    pub fn read_to_prepare(&mut self, text: &[u8]) -> Known {
        let mut known = self.read(text);
        if self.spelling.lex().engine() == Engine::Mysql {
            known.prepared_under = Some(self.bound().readings.iter().map(|reading| reading.terms.clone()).collect());
        }
        known
    }

    /// A statement whose text is not kept: as it was understood when it was prepared, if nothing has changed since.
    pub fn understand_unkept(&mut self, known: &Rc<Known>) -> Arc<Understood> {
        let stamp = self.bound().stamp;
        match &*known.last.borrow() {
            Some((then, understood)) if *then == stamp => Arc::clone(understood),
            _ => self.unseen("too-long", "text of a prepared statement".to_owned()),
        }
    }

    /// What is spoken.
    pub fn engine(&self) -> Engine {
        self.spelling.lex().engine()
    }

    /// Something of which there is no text.
    pub fn unseen(&self, code: &'static str, subject: String) -> Arc<Understood> {
        Arc::new(Understood::unseen(code, subject, &self.bound.binding))
    }

    /// What puts the session back to its start.
    pub fn starts_over(&self) -> Arc<Understood> {
        Arc::new(Understood::reset(&self.bound.binding))
    }

    /// Applies what a text changed, which exposed this.
    pub fn apply(&mut self, understood: &Understood, exposure: &Arc<Exposure>, applied: Applied) {
        let mut acts = understood.analysis.statements.iter().flat_map(|statement| &statement.acts);
        if !acts.any(|act| *act == SessionAct::ReadsWarnings) {
            self.warned = Some(Arc::clone(exposure));
        }
        self.namesake |= self.makes_namesake(&understood.analysis);
        let catalog = self.bound.view.catalog.version();
        self.names.apply(&understood.analysis, applied, catalog);
        for other in &understood.others {
            self.names.also(&other.analysis, catalog);
        }
        if self.spelling.apply(&understood.analysis, applied) {
            self.bound.names_version = u64::MAX;
        }
        if sets_for_all(&understood.analysis) {
            // What sessions start from has changed; it is read with the catalog.
            self.feed.change();
        }
    }

    /// The server waits for the next command.
    pub fn idle(&mut self, before: Transaction, now: Transaction) {
        if self.names.idle(before, now) {
            self.feed.change();
        }
        if now == Transaction::Idle && std::mem::take(&mut self.namesake) {
            // The catalog knows its number then, by which the server's descriptions can tell it from the other.
            self.renew = true;
        }
    }

    /// Whether the catalog must be read before anything else is judged.
    pub fn must_renew(&mut self) -> bool {
        if !self.bound.binding.is_sensitive() {
            return false;
        }
        let awaited = *self.awaited.get_or_insert_with(|| self.feed.changes());
        self.renew || self.changes.0 < awaited
    }

    /// A statement has been judged: the next one must know of what was changed until then.
    pub fn judged(&mut self) {
        self.awaited = None;
    }

    /// A name was not found: true when the catalog should be read again before that is believed.
    pub fn may_look_again(&mut self) -> bool {
        let again =
            self.bound.binding.is_sensitive() && self.looked_again.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN);
        if again {
            self.looked_again = Some(Instant::now());
            self.renew = true;
        }
        again
    }

    /// Reads the catalog again.
    pub fn renewal(&mut self) -> impl Future<Output = ()> + 'static {
        self.changes.1 = self.feed.changes();
        self.feed.renew()
    }

    /// The catalog was read again.
    pub fn renewed(&mut self) {
        self.renew = false;
        // From its end: a load that takes long must not be asked for again by the very statement that waited for it.
        self.looked_again = self.looked_again.map(|_| Instant::now());
        self.changes.0 = self.changes.1;
        self.feed.took_in(self.changes.1);
        self.rebind();
    }
}

/// The column of a relation of MySQL that the server names, where the catalog has it.
fn named_origin(catalog: &Catalog, schema: &str, relation: &str, column: &str) -> Origin {
    let name = RelationName { schema: Some(schema.to_owned()), name: relation.to_owned() };
    let unknown = Origin { oid: 0, attribute: 0 };
    let Resolution::Found(found) = catalog.resolve(&name, &[]) else { return unknown };
    let column = found.columns.iter().find(|known| known.name.eq_ignore_ascii_case(column));
    column.map_or(unknown, |column| Origin { oid: found.oid, attribute: column.number })
}

/// What a server of MySQL's family reads texts by, from the version that it greets with: `9.7.0`,
/// `11.4.2-MariaDB-log`, `5.5.5-10.11.6-MariaDB`.
fn mysql_lex(version: &str) -> MysqlLex {
    let mariadb = version.to_ascii_lowercase().contains("mariadb");
    // MariaDB before 11 hides behind a version that old replicas understand.
    let version = version.strip_prefix("5.5.5-").filter(|_| mariadb).unwrap_or(version);
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0).min(99));
    let mut next = || parts.next().unwrap_or(0);
    let version = next() * 10_000 + next() * 100 + next();
    MysqlLex { mariadb, version, ansi_quotes: false, no_backslash_escapes: false, utf8: true }
}

/// Whether a text sets a variable of MySQL's for every session to come.
fn sets_for_all(analysis: &Analysis) -> bool {
    let mut acts = analysis.statements.iter().flat_map(|statement| &statement.acts);
    acts.any(|act| matches!(act, SessionAct::Set { name, .. } if name.starts_with("global.")))
}

/// The search path that a client asks for in its start-up packet: as a parameter of its own, or in `options`, where the
/// last one stands. <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>
fn path_at_start(parameters: &[(String, String)]) -> Option<Vec<String>> {
    let mut path = None;
    for (name, value) in parameters {
        if name == "options" {
            path = crate::catalog::search_path_of_options(value).or(path);
        }
    }
    // A parameter of its own is applied behind the options.
    for (name, value) in parameters {
        if name == "search_path" {
            path = Some(value.clone());
        }
    }
    path.map(|path| crate::catalog::parse_search_path(&path))
}
