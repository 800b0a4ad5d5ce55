//! What one session knows when it judges: who is there, what is in force, what the database holds, what was said before.
//!
//! INVARIANT: identity is written once, when the session opens. Policy and catalog are looked at anew with each statement.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_audit_store::event::{Alert, Body, Decision, Denial, Person, Session, Severity};
use weir_audit_store::{Event, Urgency};
use weir_policy::analysis::{Context, Dialect, LexSettings, shape};
use weir_policy::binding::Binding;
use weir_policy::exposure::Exposure;
use weir_policy::identity::Who;
use weir_policy::statement::{Analysis, SessionAct};
use weir_policy::verdict;
use weir_wire::{Engine, Transaction};

use super::execution::{Execution, Handle, Known};
use super::names::{Applied, Names};
use super::{PgSessionEngine, Shared};
use crate::analyses::{Terms, Understood};
use crate::audit::words;
use crate::catalog::{CatalogView, Feed};
use crate::policies::InForce;
use crate::telemetry;

/// Between two looks at the catalog because a name was not found in it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Relations of its own that one text may make before what follows is read as if it had not.
const MADE_MAX: usize = 8;
/// Client encodings in which a byte of a character can look like a quote or a backslash.
/// <https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED>
const UNSAFE_ENCODINGS: [&str; 7] = ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"];
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
    lex: LexSettings,
    unsafe_encoding: bool,
    bound: Bound,
    /// The catalog must be read before the next statement is judged.
    renew: bool,
    looked_again: Option<Instant>,
}

/// Policy, catalog and session state, put together once for many statements.
pub struct Bound {
    /// Policy and directory.
    pub in_force: Arc<InForce>,
    /// What the policy means on this database.
    pub binding: Arc<Binding>,
    view: CatalogView,
    terms: Vec<Terms>,
    temporary: Vec<String>,
    names_version: u64,
    /// Differs between any two.
    stamp: u64,
}

/// What is known when a session opens.
pub struct Opening<'a> {
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
    /// Settings that the server reported.
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
        let view = feed.view();
        let path = path_at_start(opening.parameters).unwrap_or_else(|| view.search_path_default(&who.account));
        let names = Names::new(path, Arc::clone(&who.account));
        let in_force = shared.policies.current();
        let binding = shared.policies.bind(&in_force, &view);
        let bound =
            Bound { in_force, binding, view, terms: Vec::new(), temporary: Vec::new(), names_version: 0, stamp: 0 };
        let mut mind = Mind {
            shared,
            who,
            session,
            person,
            feed,
            names,
            lex: LexSettings::default(),
            unsafe_encoding: false,
            bound,
            renew: false,
            looked_again: None,
        };
        for (name, value) in opening.settings {
            mind.setting(name.as_bytes(), value.as_bytes());
        }
        mind.rebind();
        mind
    }

    /// A setting that the server reports.
    pub fn setting(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"standard_conforming_strings" => {
                self.lex = LexSettings { standard_conforming_strings: value == b"on" };
                self.bound.names_version = u64::MAX;
            }
            b"client_encoding" => {
                let value = value.to_ascii_uppercase();
                self.unsafe_encoding = UNSAFE_ENCODINGS.iter().any(|unsafe_one| unsafe_one.as_bytes() == value);
            }
            _ => {}
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

    fn rebind(&mut self) {
        self.feed.reconnect();
        let in_force = self.shared.policies.current();
        let view = self.feed.view();
        let binding = self.shared.policies.bind(&in_force, &view);
        let terms = self.names.paths().into_iter().map(|path| Terms {
            lex: self.lex,
            path,
            generation: in_force.generation,
            catalog: view.catalog.version(),
            database: Arc::clone(view.catalog.database()),
        });
        self.bound = Bound {
            terms: terms.collect(),
            temporary: self.names.temporary(),
            names_version: self.names.version(),
            stamp: self.bound.stamp + 1,
            in_force,
            binding,
            view,
        };
    }

    /// Reads a text.
    pub fn read(&self, text: &[u8]) -> Known {
        Known::new(text, shape(text, Dialect::Postgres, self.lex), self.lex)
    }

    /// What a text means now.
    pub fn understand(&mut self, text: &[u8], known: &Known, engine: &PgSessionEngine) -> Arc<Understood> {
        self.bound();
        if let Some((stamp, understood)) = &*known.last.borrow()
            && *stamp == self.bound.stamp
        {
            return Arc::clone(understood);
        }
        if self.unsafe_encoding && !text.is_ascii() {
            return self.unseen("client-encoding", "a character may hide a quote".to_owned());
        }
        let reshaped;
        let shape = if known.lex == self.lex {
            &known.shape
        } else {
            reshaped = shape(text, Dialect::Postgres, self.lex);
            &reshaped
        };
        let under = |terms: &Terms, temporary: &[String]| {
            let context = Context {
                dialect: Dialect::Postgres,
                lex: self.lex,
                catalog: &self.bound.view.catalog,
                search_path: &terms.path,
                temporary,
            };
            self.shared.analyses.understand(text, shape, terms, &context, &self.bound.binding)
        };
        let Some(first) = self.bound.terms.first() else {
            return self.unseen("search-path", "not known".to_owned());
        };
        let base = under(first, &self.bound.temporary);
        let mut terms = self.bound.terms.clone();
        for path in self.names.paths_within(&base.analysis) {
            let further = Terms { path, ..first.clone() };
            if !terms.contains(&further) {
                terms.push(further);
            }
        }
        let made = made_within(&base.analysis, &self.names);
        if terms.len() == 1 && made.is_empty() && !base.uses_names {
            *known.last.borrow_mut() = Some((self.bound.stamp, Arc::clone(&base)));
            return base;
        }
        self.understand_widely(&base, &terms, &made, engine, under)
    }

    /// Each statement of a text under everything that may be in force when its turn comes.
    fn understand_widely(
        &self,
        base: &Arc<Understood>,
        terms: &[Terms],
        made: &[(usize, String)],
        engine: &PgSessionEngine,
        under: impl Fn(&Terms, &[String]) -> Arc<Understood>,
    ) -> Arc<Understood> {
        let binding = &self.bound.binding;
        let mut readings: Vec<Vec<Arc<Understood>>> = Vec::new();
        for count in 0..=made.len() {
            let mut temporary = self.bound.temporary.clone();
            temporary.extend(made.iter().take(count).map(|(_, name)| name.clone()));
            readings.push(terms.iter().map(|terms| under(terms, &temporary)).collect());
        }
        let mut own = true;
        let mut exposures = Vec::with_capacity(base.exposures.len());
        for (index, statement) in base.analysis.statements.iter().enumerate() {
            let before = made.iter().filter(|(at, _)| *at < index).count();
            let readings = readings.get(before).into_iter().flatten();
            let mut parts: Vec<Arc<Exposure>> =
                readings.filter_map(|understood| understood.exposures.get(index).cloned()).collect();
            for act in &statement.acts {
                own &= !matches!(act, SessionAct::ExecutePrepared { .. } | SessionAct::Fetch { .. });
                parts.extend(self.behind_name(act, base, engine));
            }
            exposures.push(match parts.as_slice() {
                [only] => Arc::clone(only),
                parts => Arc::new(binding.merge(parts.iter().map(AsRef::as_ref))),
            });
        }
        Arc::new(base.with_exposures(exposures, own, binding))
    }

    /// What the statement or cursor exposes that an act runs by name.
    fn behind_name(&self, act: &SessionAct, text: &Understood, engine: &PgSessionEngine) -> Vec<Arc<Exposure>> {
        let (name, is_cursor) = match act {
            SessionAct::ExecutePrepared { name } => (name, false),
            SessionAct::Fetch { name } => (name, true),
            _ => return Vec::new(),
        };
        let binding = &self.bound.binding;
        let mut found: Vec<Arc<Exposure>> = Vec::new();
        // Within a text a name may be given and used.
        for earlier in text.analysis.statements.iter().flat_map(|statement| &statement.acts) {
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
        let bodies = if is_cursor { self.names.cursor(name) } else { self.names.prepared(name) };
        found.extend(bodies.into_iter().flatten().map(|body| Arc::new(binding.exposure(body))));
        let of_protocol = if is_cursor { engine.portal_named(name) } else { engine.statement_named(name) };
        if let Some(Handle(known)) = of_protocol
            && let Some((_, understood)) = &*known.last.borrow()
        {
            found.push(Arc::clone(&understood.merged));
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

    /// Something of which there is no text.
    pub fn unseen(&self, code: &'static str, subject: String) -> Arc<Understood> {
        Arc::new(Understood::unseen(code, subject, &self.bound.binding))
    }

    /// Applies what a text changed.
    pub fn apply(&mut self, analysis: &Analysis, applied: Applied) {
        self.names.apply(analysis, applied);
    }

    /// The server waits for the next command.
    pub fn idle(&mut self, before: Transaction, now: Transaction) {
        if self.names.idle(before, now) && self.bound.binding.is_sensitive() {
            self.renew = true;
        }
    }

    /// Whether the catalog must be read before anything else is judged.
    pub fn must_renew(&self) -> bool {
        self.renew
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
    pub fn renewal(&self) -> impl Future<Output = ()> + 'static {
        self.feed.renew()
    }

    /// The catalog was read again.
    pub fn renewed(&mut self) {
        self.renew = false;
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
