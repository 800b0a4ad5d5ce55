//! What one session knows when it judges: who is there, what is in force, what the database holds, what was said before.
//!
//! INVARIANT: identity is written once, when the session opens. Policy and catalog are looked at anew with each statement.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_audit_store::event::{Alert, Body, Decision, Denial, Person, Session, Severity};
use weir_audit_store::{Event, Urgency};
use weir_policy::analysis::{Context, MysqlLex, shape};
use weir_policy::binding::Binding;
use weir_policy::catalog::{Catalog, RelationKind, Resolution};
use weir_policy::exposure::{Exposure, Origin};
use weir_policy::identity::Who;
use weir_policy::relation::{Engine, RelationName};
use weir_policy::statement::{Analysis, SessionAct};
use weir_policy::verdict;
use weir_wire::{ColumnOrigin, Shape, Transaction};

use super::execution::{Execution, Handle, KeptBytes, Known};
use super::names::{Applied, Names};
use super::spelling::Spelling;
use super::{SessionEngine, Shared};
use crate::analyses::{Terms, Understood};
use crate::audit::words;
use crate::catalog::{CatalogView, Feed};
use crate::policies::InForce;
use crate::telemetry;

/// Between two looks at the catalog because a name was not found in it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Relations of its own that one text may make before what follows is read as if it had not.
const MADE_MAX: usize = 8;
/// Under which a server of MySQL's family reports the default database.
const REPORTED_DATABASE: &str = "database";
/// Letters and digits of references: none that is taken for another.
const REFERENCE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

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
    /// Parameters of the start-up.
    pub parameters: &'a [(String, String)],
    /// Settings that the server reported, or that the client's start-up implies.
    pub settings: &'a [(String, String)],
    /// Version of TLS on the client's leg; `None` in clear text.
    pub tls: Option<&'static str>,
}

impl Mind {
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
            auth: "relayed".to_owned(),
        };
        let changes = feed.changes();
        let view = feed.view();
        let (names, spelling) = match opening.engine {
            Engine::Postgres => {
                let told = path_at_start(opening.parameters);
                let certain = told.is_some();
                let path = told.unwrap_or_else(|| view.search_path_default(&who.account));
                (Names::postgres(path, Arc::clone(&who.account), certain), Spelling::postgres())
            }
            Engine::Mysql => {
                let setting = |wanted: &str| opening.settings.iter().find(|(name, _)| name == wanted);
                let charset = setting("character_set_client").map(|(_, charset)| charset.as_str());
                let version = setting("version").map_or("", |(_, version)| version);
                let spelling = Spelling::mysql(view.mysql(), mysql_lex(version), charset);
                (Names::mysql(opening.database, Arc::clone(&who.account)), spelling)
            }
        };
        let in_force = shared.policies.current();
        let binding = shared.policies.bind(&in_force, &view);
        let bound = Bound { in_force, binding, view, readings: Vec::new(), names_version: 0, stamp: 0 };
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
        {
            self.rebind();
        }
        &self.bound
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
        let bound = self.bound();
        may_be_believed
            && !origins.is_empty()
            && origins.iter().all(|origin| {
                let relation = bound.view.catalog.by_oid(origin.oid);
                // What a table is parted into, or what inherits it, comes under its number.
                let is_alone = relation.is_some_and(|known| known.kind == RelationKind::Table)
                    && bound.view.catalog.children(origin.oid).is_empty();
                origin.attribute > 0 && is_alone && !bound.binding.is_sensitive_relation(origin.oid)
            })
    }

    fn rebind(&mut self) {
        self.feed.reconnect();
        let in_force = self.shared.policies.current();
        let view = self.feed.view();
        let binding = self.shared.policies.bind(&in_force, &view);
        let mut readings = Vec::new();
        for lex in self.spelling.lexes() {
            readings.extend(self.names.paths().into_iter().map(|path| Reading {
                temporary: self.names.temporary(&path),
                terms: Terms {
                    lex: *lex,
                    path,
                    generation: in_force.generation,
                    catalog: view.catalog.version(),
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

    /// What a text means now.
    pub fn understand(&mut self, text: &[u8], known: &Known, engine: &impl SessionEngine) -> Arc<Understood> {
        self.bound();
        if let Some((stamp, understood)) = &*known.last.borrow()
            && *stamp == self.bound.stamp
        {
            return Arc::clone(understood);
        }
        if self.spelling.is_ambiguous() && !text.is_ascii() {
            return self.unseen("client-encoding", "a character may hide a quote".to_owned());
        }
        let under = |reading: &Reading, made: &[(usize, String)]| {
            let mut temporary = reading.temporary.clone();
            let own = made.iter().map(|(_, name)| name);
            temporary.extend(own.filter(|name| !reading.guarded || !self.bound.binding.guards(name)).cloned());
            let lex = reading.terms.lex;
            let context = Context {
                lex,
                catalog: &self.bound.view.catalog,
                search_path: &reading.terms.path,
                temporary: &temporary,
            };
            let reshaped = (known.lex != lex).then(|| shape(text, lex));
            let shape = reshaped.as_ref().unwrap_or(&known.shape);
            self.shared.analyses.understand(text, shape, &reading.terms, &context, &self.bound.binding)
        };
        let now = self.readings_of(known);
        let Some(first) = now.first() else {
            return self.unseen("search-path", "not known".to_owned());
        };
        let base = under(first, &[]);
        if self.spelling.changes_within(&base.analysis) {
            return self.unseen("spelling", "the text changes how the rest of it is read".to_owned());
        }
        let mut readings = now.to_vec();
        for path in self.names.paths_within(&base.analysis) {
            let temporary = self.names.temporary(&path);
            let further = Reading { terms: Terms { path, ..first.terms.clone() }, temporary, ..first.clone() };
            if !readings.contains(&further) {
                readings.push(further);
            }
        }
        if self.names.is_pristine() && changes_names_within(&base.analysis) {
            readings.extend(guarded_readings(Some(first), &self.bound.binding));
        }
        let made = made_within(&base.analysis, &self.names);
        let rebound = self.bound.binding.is_sensitive() && self.names.uses_rebound(&base.analysis);
        if readings.len() == 1 && made.is_empty() && !base.uses_names && !rebound {
            *known.last.borrow_mut() = Some((self.bound.stamp, Arc::clone(&base)));
            return base;
        }
        let understood = self.understand_widely(&base, &readings, &made, engine, rebound, under);
        if !base.uses_names {
            *known.last.borrow_mut() = Some((self.bound.stamp, Arc::clone(&understood)));
        }
        understood
    }

    /// The ways in which the names of a text may be meant. What MySQL has prepared keeps the database and the mode of then.
    /// <https://dev.mysql.com/doc/refman/en/prepare.html>
    fn readings_of(&self, known: &Known) -> std::borrow::Cow<'_, [Reading]> {
        let (Some(then), Some(now)) = (&known.prepared_under, self.bound.readings.first()) else {
            return self.bound.readings.as_slice().into();
        };
        let under = |terms: &Terms| {
            let temporary = self.names.temporary(&terms.path);
            let terms = Terms { lex: terms.lex, path: Arc::clone(&terms.path), ..now.terms.clone() };
            Reading { terms, temporary, ..now.clone() }
        };
        let mut readings: Vec<Reading> = then.iter().map(under).collect();
        if !self.names.is_pristine() {
            // What hid a relation when it was prepared, or hides one now, may be gone.
            let guarded: Vec<Reading> =
                readings.iter().flat_map(|reading| guarded_readings(Some(reading), &self.bound.binding)).collect();
            readings.extend(guarded);
        }
        readings.into()
    }

    /// Each statement of a text under everything that may be in force when its turn comes.
    fn understand_widely(
        &self,
        base: &Arc<Understood>,
        readings: &[Reading],
        made: &[(usize, String)],
        engine: &impl SessionEngine,
        rebound: bool,
        under: impl Fn(&Reading, &[(usize, String)]) -> Arc<Understood>,
    ) -> Arc<Understood> {
        let binding = &self.bound.binding;
        let understood: Vec<Vec<Arc<Understood>>> = (0..=made.len())
            .map(|count| readings.iter().map(|reading| under(reading, made.get(..count).unwrap_or(made))).collect())
            .collect();
        let mut own = true;
        let mut exposures = Vec::with_capacity(base.exposures.len());
        for (index, statement) in base.analysis.statements.iter().enumerate() {
            let before = made.iter().filter(|(at, _)| *at < index).count();
            let meanings = understood.get(before).into_iter().flatten();
            // Cut in another way a text has other statements: then each may be any of them.
            let part = |meant: &Arc<Understood>| match meant.exposures.get(index) {
                Some(part) if meant.exposures.len() == base.exposures.len() => Arc::clone(part),
                _ => Arc::clone(&meant.merged),
            };
            let mut parts: Vec<Arc<Exposure>> = meanings.map(part).collect();
            for act in &statement.acts {
                own &= !matches!(act, SessionAct::ExecutePrepared { .. } | SessionAct::Fetch { .. });
                if *act == SessionAct::ReadsWarnings {
                    let earlier = base.exposures.iter().take(index).chain(&self.warned);
                    parts.extend(earlier.map(|exposure| Arc::new(binding.warned(exposure))));
                }
                parts.extend(self.behind_name(act, &understood, engine));
            }
            if rebound {
                let unknown = self.unseen("changed-in-transaction", "a name that it uses".to_owned());
                parts.push(Arc::clone(&unknown.merged));
            }
            exposures.push(match parts.as_slice() {
                [only] => Arc::clone(only),
                parts => Arc::new(binding.merge(parts.iter().map(AsRef::as_ref))),
            });
        }
        let others = understood.into_iter().flatten().filter(|other| !Arc::ptr_eq(other, base)).collect();
        Arc::new(base.with_exposures(exposures, others, own, binding))
    }

    /// What the statement or cursor exposes that an act runs by name.
    fn behind_name(
        &self,
        act: &SessionAct,
        readings: &[Vec<Arc<Understood>>],
        engine: &impl SessionEngine,
    ) -> Vec<Arc<Exposure>> {
        let (name, is_cursor) = match act {
            SessionAct::ExecutePrepared { name } => (name, false),
            SessionAct::Fetch { name } => (name, true),
            _ => return Vec::new(),
        };
        let binding = &self.bound.binding;
        let mut found: Vec<Arc<Exposure>> = Vec::new();
        // Within a text a name may be given and used.
        let statements = readings.iter().flatten().flat_map(|reading| &reading.analysis.statements);
        for earlier in statements.flat_map(|statement| &statement.acts) {
            match earlier {
                SessionAct::Prepare { name: given, body } if given == name && !is_cursor => {
                    found.push(Arc::new(binding.exposure(body)));
                }
                SessionAct::DeclareCursor { name: given, body } if given == name && is_cursor => {
                    found.push(Arc::new(binding.exposure(body)));
                }
                _ => {}
            }
        }
        let catalog = self.bound.view.catalog.version();
        let bodies = if is_cursor { self.names.cursor(name) } else { self.names.prepared(name, catalog) };
        found.extend(bodies.into_iter().flatten().map(|body| Arc::new(binding.exposure(body))));
        let of_protocol = if is_cursor { engine.portal_named(name) } else { engine.statement_named(name) };
        if let Some(Handle(known)) = of_protocol {
            // As it was understood; what has changed since may have given it another meaning.
            match &*known.last.borrow() {
                Some((_, understood)) => found.push(Arc::clone(&understood.merged)),
                None => found.clear(),
            }
            let current = known.last.borrow().as_ref().is_some_and(|(stamp, _)| *stamp == self.bound.stamp);
            if !current {
                found.push(Arc::clone(&self.unseen("unknown-name", name.clone()).merged));
            }
        }
        if found.is_empty() {
            found.push(Arc::clone(&self.unseen("unknown-name", name.clone()).merged));
        }
        found
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

    /// Names a statement of this session, uniquely in the log.
    pub fn statement_id(&self, number: u64) -> String {
        format!("{}.{number}", self.session.id)
    }

    /// A reference for something that a client is told of.
    pub fn reference(&self) -> String {
        let mut random = [0; 8];
        // Without random bytes the reference is a poor one; the statement's own id still stands in the record.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let letter = |byte: &u8| char::from(REFERENCE_ALPHABET[usize::from(byte & 31)]);
        let letters: String = random.iter().map(letter).collect();
        format!("W-{}-{}", &letters[..4], &letters[4..])
    }

    /// An event of this session.
    pub fn event(&self, body: Body, execution: Option<&Execution>) -> Event {
        let mut event = self.shared.recorder.event(body);
        event.session = Some(self.session.clone());
        event.person = Some(self.person.clone());
        if let Some(execution) = execution {
            let (sha256, len) =
                execution.known.as_ref().map_or((&[][..], 0), |known| (known.sha256.as_slice(), known.len));
            event.statement = Some(words::statement(execution.id.clone(), &execution.understood, sha256, len));
            event.policy = Some(execution.in_force.set.hash().to_owned());
            event.reference = execution.reference.clone();
        }
        event
    }

    /// Records something of this session that nobody waits for.
    pub fn note(&self, body: Body) {
        self.shared.recorder.note(&self.event(body, None), Urgency::Relaxed);
    }

    /// Records and tells that somebody logged in who must not.
    pub fn refused_login(&self, refusal: &weir_wire::Refusal) {
        let denial = Denial {
            code: "directory-dates".to_owned(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        };
        let mut event = self.event(Body::Denial(denial), None);
        event.decision = Some(Decision::Deny);
        self.shared.recorder.note(&event, Urgency::Durable);
        telemetry::alerted("directory-dates");
        let title = format!("{}: {}", self.who.person, refusal.message);
        let code = "directory-dates".to_owned();
        self.shared.recorder.alert(&self.event(Body::Alert(Alert { code, title, severity: Severity::High }), None));
    }

    /// Raises an alert about an execution.
    pub fn alert(&self, execution: &Execution, alert: &verdict::Alert) {
        let (code, severity) = words::alert(alert.kind);
        telemetry::alerted(code);
        let title = format!("{}: {}", self.who.person, alert.message);
        let mut event = self.event(Body::Alert(Alert { code: code.to_owned(), title, severity }), Some(execution));
        event.basis = words::basis(std::slice::from_ref(&alert.basis));
        self.shared.recorder.alert(&event);
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

/// Readings in which whatever has the name of something sensitive is that: one for each schema that holds any.
fn guarded_readings(first: Option<&Reading>, binding: &Binding) -> Vec<Reading> {
    /// More schemas than this share a reading.
    const SCHEMAS_MAX: usize = 8;
    let Some(first) = first else { return Vec::new() };
    if first.terms.lex.engine() == Engine::Mysql {
        // Where a name is looked up is certain; what is not is whether a relation of the session's own hides another.
        let mut reading = first.clone();
        reading.temporary.retain(|name| !binding.guards(name));
        reading.guarded = true;
        return vec![reading];
    }
    let schemas = binding.schemas();
    let each = if schemas.len() > SCHEMAS_MAX { schemas.len() } else { 1 };
    let guarded = |schemas: &[Arc<str>]| {
        let named = schemas.iter().map(|schema| schema.to_string());
        let server = std::iter::once("pg_catalog".to_owned());
        let rest = first.terms.path.iter().filter(|schema| *schema != "pg_catalog").cloned();
        let mut reading = first.clone();
        reading.terms.path = server.chain(named).chain(rest).collect();
        reading.temporary.retain(|name| !binding.guards(name));
        reading.guarded = true;
        reading
    };
    schemas.chunks(each.max(1)).map(guarded).collect()
}

/// Whether a statement of a text may change what names mean to those behind it.
fn changes_names_within(analysis: &Analysis) -> bool {
    analysis.statements.len() > 1
        && analysis.statements.iter().flat_map(|statement| &statement.acts).any(|act| {
            !matches!(
                act,
                SessionAct::Begin
                    | SessionAct::ExecutePrepared { .. }
                    | SessionAct::Fetch { .. }
                    | SessionAct::CloseCursor { .. }
                    | SessionAct::DeclareCursor { .. }
                    | SessionAct::Prepare { .. }
                    | SessionAct::Deallocate { .. }
            ) && !matches!(act, SessionAct::Set { name, .. } if name != "search_path" && name != "role" && name != "database")
        })
}

/// Whether a text sets a variable of MySQL's for every session to come.
fn sets_for_all(analysis: &Analysis) -> bool {
    let mut acts = analysis.statements.iter().flat_map(|statement| &statement.acts);
    acts.any(|act| matches!(act, SessionAct::Set { name, .. } if name.starts_with("global.")))
}

/// Relations of its own that each statement of a text makes.
fn made_within(analysis: &Analysis, names: &Names) -> Vec<(usize, String)> {
    let mut made = names.temporary_within(analysis);
    made.truncate(MADE_MAX);
    made
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
