//! What a session has said so far that changes what its next statement means: search path, role, temporary relations,
//! names of prepared statements and cursors.
//!
//! What happens in what order: a statement that changes something ends before the next one is judged, then its acts are
//! applied; where it is not certain whether they took effect, both states stand beside each other and a statement is
//! judged under each of them.
//!
//! What must never happen here: a name that means something else to Weir than to the server, without Weir saying so.

mod rebound;
mod setting;

use std::collections::HashMap;
use std::sync::Arc;

use weir_policy::exposure::Exposure;
use weir_policy::relation::Engine;
use weir_policy::statement::{Analysis, Coverage, SessionAct, StatementAnalysis, Verb};
use weir_wire::Transaction;

use crate::catalog::parse_search_path;

use rebound::Rebound;
use setting::{Setting, put};

/// Names of each kind that are remembered; a session that makes more is no longer understood when it uses them.
const NAMES_MAX: usize = 4096;
/// Fillings of relations of its own that one session has remembered by name, and as many again without.
const OWN_COPIES_MAX: usize = 256;
/// What prepared names and cursors stand for, and the version of the catalog that they were read under: more than one
/// body where it is not certain which.
type Bodies = HashMap<String, (u64, Vec<Arc<StatementAnalysis>>)>;

/// The session's own part of the meaning of its statements.
#[derive(Debug)]
pub struct Names {
    engine: Engine,
    prepared: Bodies,
    cursors: Bodies,
    /// With the path that was in force when it was made, on MySQL: there it hides what has its name in that database only.
    temporary: Vec<(Option<Arc<[String]>>, String)>,
    /// Those that hold copies of something sensitive, with what the copying statement exposed, and whether less was
    /// charged for it than was copied. An empty name: any of them.
    copies: Vec<OwnCopy>,
    /// Relations that this transaction made and that only it can see yet.
    born: Vec<String>,
    path: Setting<Arc<[String]>>,
    role: Setting<Arc<str>>,
    /// Something that nobody could read has run since the role was last set: it may have set another.
    role_unsure: bool,
    path_at_start: Arc<[String]>,
    account: Arc<str>,
    /// A statement of the open transaction changed the catalog.
    ddl: bool,
    /// What DDL has given another meaning, or may have.
    rebound: Rebound,
    /// Names mean what the catalog and the path at start say: nothing was said that could have changed it.
    pristine: bool,
    /// The open transaction ends with a rollback, as far as is known.
    rolling_back: bool,
    /// Bumped by every change, so that what was derived can be kept.
    version: u64,
}

/// A relation of the session's own that holds copies.
#[derive(Clone, Debug)]
pub struct OwnCopy {
    /// Its name; empty: it may have any.
    pub name: String,
    /// What the statement exposed that filled it.
    pub exposure: Arc<Exposure>,
    /// Less was charged than was copied.
    pub counted: bool,
}

/// How far the acts of a statement can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It came to its end.
    Surely,
    /// It failed somewhere.
    Perhaps,
}

impl Names {
    /// A session of PostgreSQL that begins with this path as the setting has it (`$user` included) under this account.
    /// `certain`: the path was told, and not looked up in a catalog that may be behind.
    pub fn postgres(path: Vec<String>, account: Arc<str>, certain: bool) -> Names {
        let certain = certain || path == ["$user", "public"];
        Names::new(Engine::Postgres, path.into(), account, certain)
    }

    /// A session of MySQL that begins in this database; empty: in none.
    pub fn mysql(database: &str, account: Arc<str>) -> Names {
        Names::new(Engine::Mysql, path_of_database(database), account, true)
    }

    fn new(engine: Engine, path: Arc<[String]>, account: Arc<str>, certain: bool) -> Names {
        Names {
            engine,
            prepared: Bodies::new(),
            cursors: Bodies::new(),
            temporary: Vec::new(),
            copies: Vec::new(),
            born: Vec::new(),
            path: Setting::new(Arc::clone(&path)),
            role: Setting::new(Arc::clone(&account)),
            role_unsure: false,
            path_at_start: path,
            account,
            ddl: false,
            rebound: Rebound::default(),
            pristine: certain,
            rolling_back: false,
            version: 0,
        }
    }

    /// Differs after every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether names certainly mean what the catalog and the path at start say. Where not, whatever has the name of
    /// something sensitive is taken for it as well.
    pub fn is_pristine(&self) -> bool {
        self.pristine && !self.ddl
    }

    /// Whether a statement uses a name that DDL of the open transaction, or an earlier statement of its text, may have
    /// given another meaning.
    pub fn uses_rebound(&self, analysis: &Analysis) -> bool {
        self.rebound.is_used_by(analysis)
    }

    /// Roles that the session may act as: one, unless it is not certain which.
    pub fn roles(&self) -> &[Arc<str>] {
        &self.role.now
    }

    /// Whether the session acts as one of [`roles`](Names::roles): what nobody could read may have set another.
    pub fn knows_role(&self) -> bool {
        !self.role_unsure
    }

    /// Effective search paths: one, unless it is not certain which.
    pub fn paths(&self) -> Vec<Arc<[String]>> {
        let mut paths = Vec::new();
        for path in &self.path.now {
            for role in &self.role.now {
                put(&mut paths, self.effective(path, role), false);
            }
        }
        paths
    }

    /// Search paths that statements of a text put in force for those behind them.
    pub fn paths_within(&self, analysis: &Analysis) -> Vec<Arc<[String]>> {
        if analysis.statements.len() < 2 {
            return Vec::new();
        }
        let mut paths = Vec::new();
        for act in analysis.statements.iter().flat_map(|statement| &statement.acts) {
            match act {
                SessionAct::Set { name, value, .. } if name == "search_path" => {
                    let path = self.path_of(value.as_deref());
                    for role in &self.role.now {
                        put(&mut paths, self.effective(&path, role), false);
                    }
                }
                SessionAct::Set { name, value: Some(value), .. } if self.is_database(name) => {
                    put(&mut paths, path_of_database(value), false);
                }
                SessionAct::SetRole { role } => {
                    let role = role.as_deref().unwrap_or(&self.account);
                    for path in &self.path.now {
                        put(&mut paths, self.effective(path, role), false);
                    }
                }
                SessionAct::ResetAll => put(&mut paths, self.effective(&self.path_at_start, &self.account), false),
                _ => {}
            }
        }
        paths
    }

    /// Names that mean this session's own relations while this path is in force.
    pub fn temporary(&self, path: &Arc<[String]>) -> Vec<String> {
        let made = self.temporary.iter().filter(|(then, _)| then.as_ref().is_none_or(|then| then == path));
        made.map(|(_, name)| name).chain(&self.born).cloned().collect()
    }

    /// Whether the open transaction made a relation of this name, which others will see when it is committed.
    pub fn is_born(&self, name: &str) -> bool {
        self.born.iter().any(|known| known == name)
    }

    /// Relations of the session's own that hold copies.
    pub fn copies(&self) -> &[OwnCopy] {
        &self.copies
    }

    /// A relation of the session's own has been filled with copies.
    pub fn copied(&mut self, name: &str, exposure: &Arc<Exposure>, counted: bool) {
        let known = |copy: &OwnCopy| copy.name == name && copy.counted >= counted && copy.exposure == *exposure;
        if self.copies.iter().any(known) {
            return;
        }
        self.version += 1;
        // With too many to tell apart, each may hold what any does.
        let name = if self.copies.len() < OWN_COPIES_MAX { name } else { "" };
        if self.copies.len() < 2 * OWN_COPIES_MAX {
            self.copies.push(OwnCopy { name: name.to_owned(), exposure: Arc::clone(exposure), counted });
        } else {
            // Whatever this session reads of its own may be any of it, and is counted.
            self.copies.iter_mut().for_each(|copy| (copy.name.clear(), copy.counted = true).1);
        }
    }

    /// Whether this is certainly the name of a relation of the session's own, which hides any other of that name.
    pub fn is_own(&self, schema: &str, relation: &str) -> bool {
        let is_it = |(then, own): &(Option<Arc<[String]>>, String)| {
            own == relation && then.as_ref().is_none_or(|then| then.iter().eq([schema]))
        };
        self.is_pristine() && self.temporary.iter().any(is_it)
    }

    /// Names that statements of a text give to relations of their own, for those behind them.
    /// With the place of the statement that gives each.
    pub fn temporary_within(&self, analysis: &Analysis) -> Vec<(usize, String)> {
        let mut made = Vec::new();
        let acts = || analysis.statements.iter().flat_map(|statement| &statement.acts);
        let moves = acts().any(|act| matches!(act, SessionAct::Set { name, .. } if self.is_database(name)));
        if analysis.statements.len() < 2 || moves {
            return made;
        }
        for (index, statement) in analysis.statements.iter().enumerate() {
            made.extend(statement.acts.iter().filter_map(|act| match act {
                SessionAct::CreateTemporary { name } => Some((index, name.clone())),
                _ => None,
            }));
        }
        made
    }

    /// What the name of a prepared statement stands for; `None` when this session did not prepare it in SQL.
    /// Or prepared it under another catalog.
    pub fn prepared(&self, name: &str, catalog: u64) -> Option<&[Arc<StatementAnalysis>]> {
        self.prepared.get(name).filter(|(version, _)| *version == catalog).map(|(_, bodies)| bodies.as_slice())
    }

    /// What the name of a cursor stands for.
    /// It was planned when it was declared, so a later catalog changes nothing about it.
    pub fn cursor(&self, name: &str) -> Option<&[Arc<StatementAnalysis>]> {
        self.cursors.get(name).map(|(_, bodies)| bodies.as_slice())
    }

    /// Applies the acts of a text that has ended. What it did to names of the protocol is for the engine: see
    /// [`forgets`].
    pub fn apply(&mut self, analysis: &Analysis, applied: Applied, catalog: u64) {
        if self.engine == Engine::Mysql && self.pristine && runs_unread(analysis) {
            // What ran may have dropped a relation of the session's own.
            self.pristine = false;
            self.version += 1;
        }
        if analysis.statements.iter().any(|statement| statement.coverage == Coverage::Opaque) {
            // It may have set the path, the role, or made relations of the session's own.
            self.pristine = false;
            self.role_unsure = true;
            self.version += 1;
        }
        for statement in &analysis.statements {
            for act in &statement.acts {
                self.act(act, applied, catalog);
            }
            // A rule or a view of the name can give it another meaning.
            if statement.verb == Verb::Ddl && !self.born.is_empty() {
                self.born.retain(|name| statement.uses.iter().all(|used| used.written.name != *name));
            }
        }
        // Where DDL commits by itself nothing is born that others do not see.
        if applied == Applied::Surely && self.born.len() < NAMES_MAX && self.engine == Engine::Postgres {
            self.born.extend(born(analysis));
        }
        for statement in &analysis.statements {
            if self.rebound.take_in(statement, analysis) {
                self.version += 1;
            }
        }
        let defines = |statement: &StatementAnalysis| statement.verb == Verb::Ddl;
        // ALTER TABLE … SET DEFAULT f().
        let text = &analysis.redacted;
        let computed = text.starts_with("alter table") && text.contains(" default ") && text.contains('(');
        let fills = |statement: &StatementAnalysis| defines(statement) && (computed || !statement.functions.is_empty());
        if self.engine == Engine::Postgres && analysis.statements.iter().any(fills) {
            let own = self.temporary.iter().map(|(_, name)| name.as_str());
            self.rebound.haunt(own, analysis);
        }
        if speaks_of(analysis, &["rule", "trigger", "policy"]) && analysis.statements.iter().any(defines) {
            // What one of the session's own relations holds or gives is not its own any more.
            let own = self.temporary.iter().map(|(_, name)| name.as_str());
            self.rebound.haunt(own, analysis);
            self.temporary.clear();
            self.born.clear();
            self.version += 1;
        }
        const SETTING: [&str; 4] = ["alter role", "alter user", "alter database", "alter system"];
        if SETTING.iter().any(|words| analysis.redacted.contains(words)) {
            self.ddl = true;
            self.version += 1;
        }
    }

    /// What another reading of a text makes of the names that it gives: as possible as the first.
    pub fn also(&mut self, analysis: &Analysis, catalog: u64) {
        for act in analysis.statements.iter().flat_map(|statement| &statement.acts) {
            match act {
                SessionAct::Prepare { name, body } => learn(&mut self.prepared, name, body, false, catalog),
                SessionAct::DeclareCursor { name, body } => learn(&mut self.cursors, name, body, false, catalog),
                _ => {}
            }
        }
    }

    fn act(&mut self, act: &SessionAct, applied: Applied, catalog: u64) {
        let surely = applied == Applied::Surely;
        self.version += 1;
        // MySQL's session relations outlive transactions, so that they are certain unless their making was not.
        let certain = self.engine == Engine::Mysql && surely;
        self.pristine &= certain
            || !matches!(
                act,
                SessionAct::ResetAll
                    | SessionAct::SetRole { .. }
                    | SessionAct::CreateTemporary { .. }
                    | SessionAct::DropTemporary { .. }
            ) && !matches!(act, SessionAct::Set { name, .. } if name == "search_path" || name == "role");
        match act {
            SessionAct::Set { name, value, local } if name == "search_path" => {
                let path = self.path_of(value.as_deref());
                self.path.set(path, *local, surely);
            }
            SessionAct::Set { name, value: Some(value), .. } if self.is_database(name) => {
                self.path.set_at_once(path_of_database(value), surely);
            }
            SessionAct::Set { .. } => {}
            SessionAct::ResetAll => self.path.set(Arc::clone(&self.path_at_start), false, surely),
            SessionAct::SetRole { role } => {
                let role = role.as_deref().map_or_else(|| Arc::clone(&self.account), Arc::from);
                self.role.set(role, false, surely);
                self.role_unsure &= !surely;
            }
            SessionAct::Begin | SessionAct::Commit => self.rolling_back = false,
            SessionAct::Rollback => self.rolling_back = true,
            SessionAct::RollbackTo => {
                self.born.clear();
                self.path.roll_back_to();
                self.role.roll_back_to();
            }
            SessionAct::Prepare { name, body } => learn(&mut self.prepared, name, body, surely, catalog),
            SessionAct::DeclareCursor { name, body } => learn(&mut self.cursors, name, body, surely, catalog),
            SessionAct::Deallocate { name } if surely => forget(&mut self.prepared, name.as_deref()),
            SessionAct::CloseCursor { name } if surely => forget(&mut self.cursors, name.as_deref()),
            SessionAct::Deallocate { .. } | SessionAct::CloseCursor { .. } => {}
            SessionAct::ExecutePrepared { .. } | SessionAct::Fetch { .. } => {}
            SessionAct::LoadLocal | SessionAct::ReadsWarnings => {}
            SessionAct::Discard { all } => {
                if surely && *all {
                    self.prepared.clear();
                    self.cursors.clear();
                    if self.engine == Engine::Postgres {
                        self.path.set(Arc::clone(&self.path_at_start), false, true);
                    }
                    self.role.set(Arc::clone(&self.account), false, true);
                    self.role_unsure = false;
                }
                if surely {
                    self.temporary.clear();
                    self.copies.clear();
                }
            }
            SessionAct::CreateTemporary { name } => {
                let made = match (self.engine, self.path.now.as_slice()) {
                    (Engine::Postgres, _) => (None, name.clone()),
                    (Engine::Mysql, [path]) => (Some(Arc::clone(path)), name.clone()),
                    // In which database is not certain: then it hides nothing.
                    (Engine::Mysql, _) => return,
                };
                if !self.temporary.contains(&made) && self.temporary.len() < NAMES_MAX {
                    self.temporary.push(made);
                }
            }
            SessionAct::DropTemporary { name } => {
                self.temporary.retain(|(_, known)| known != name);
                if surely {
                    self.copies.retain(|copy| copy.name != *name);
                }
                self.born.retain(|known| known != name);
            }
            SessionAct::CatalogChanged => self.ddl = true,
        }
    }

    /// The server waits for the next command. True when a change of the catalog has been committed.
    pub fn idle(&mut self, before: Transaction, now: Transaction) -> bool {
        if now != Transaction::Idle {
            return false;
        }
        let rolled_back = before == Transaction::Failed || self.rolling_back;
        if self.path.now != self.path.after_commit
            || self.path.after_commit != self.path.after_rollback
            || self.role.after_commit != self.role.after_rollback
            || !self.born.is_empty()
        {
            self.version += 1;
        }
        self.path.end(rolled_back);
        self.role.end(rolled_back);
        self.born.clear();
        if self.rebound.is_open() || self.ddl {
            self.version += 1;
        }
        self.rebound.end();
        self.rolling_back = false;
        std::mem::take(&mut self.ddl)
    }

    /// The default database as the server reports it.
    pub fn report_database(&mut self, database: &str) {
        self.path.set_at_once(path_of_database(database), true);
        self.version += 1;
    }

    /// Whether a setting is MySQL's default database, which is where names without one are looked up.
    fn is_database(&self, setting: &str) -> bool {
        self.engine == Engine::Mysql && setting == "database"
    }

    /// The path as names are looked up in it.
    fn effective(&self, path: &Arc<[String]>, role: &str) -> Arc<[String]> {
        match self.engine {
            Engine::Postgres => effective(path, role),
            Engine::Mysql => Arc::clone(path),
        }
    }

    fn path_of(&self, value: Option<&str>) -> Arc<[String]> {
        value.map_or_else(|| Arc::clone(&self.path_at_start), |value| parse_search_path(value).into())
    }
}

/// Whether a text runs statements that do not stand in it: of a routine, or prepared before.
fn runs_unread(analysis: &Analysis) -> bool {
    analysis.touches_names
        || analysis.statements.iter().any(|statement| {
            statement.verb == Verb::Call
                || !statement.functions.is_empty()
                || statement.acts.iter().any(|act| matches!(act, SessionAct::ExecutePrepared { .. }))
        })
}

fn path_of_database(database: &str) -> Arc<[String]> {
    (!database.is_empty()).then(|| database.to_owned()).into_iter().collect()
}

/// The path as names are looked up in it: `$user` is the role's name, and the server's own schema comes first unless it
/// is named. <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH>
fn effective(path: &[String], role: &str) -> Arc<[String]> {
    const SERVERS_OWN: &str = "pg_catalog";
    let own = (!path.iter().any(|schema| schema == SERVERS_OWN)).then(|| SERVERS_OWN.to_owned());
    let named = path.iter().map(|schema| if schema == "$user" { role.to_owned() } else { schema.clone() });
    own.into_iter().chain(named).collect()
}

/// The unqualified name of a table that a text makes empty, and does nothing else: nothing is in it but what a charged
/// statement puts there. Any other DDL may speak of something that exists and that the catalog does not hold yet.
fn born(analysis: &Analysis) -> Option<String> {
    const MAKING: [&str; 4] =
        ["create table ", "create unlogged table ", "create temp table ", "create temporary table "];
    let [statement] = analysis.statements.as_slice() else { return None };
    let [made] = statement.uses.as_slice() else { return None };
    let text = &analysis.redacted;
    let makes = MAKING.iter().any(|words| text.starts_with(words)) && !text.contains(" if not exists ");
    let temporary = statement.acts.iter().any(|act| matches!(act, SessionAct::CreateTemporary { .. }));
    let alone = statement.verb == Verb::Ddl && statement.gaps.is_empty() && !temporary;
    let new = made.relation.is_none() && made.written.schema.is_none();
    (makes && alone && new).then(|| made.written.name.clone())
}

fn learn(bodies: &mut Bodies, name: &str, body: &Arc<StatementAnalysis>, surely: bool, catalog: u64) {
    /// A reading for each schema that holds something sensitive, and for what is uncertain beside.
    const BODIES_MAX: usize = 16;
    if bodies.len() >= NAMES_MAX && !bodies.contains_key(name) {
        return;
    }
    let (version, known) = bodies.entry(name.to_owned()).or_default();
    if surely {
        known.clear();
        *version = catalog;
    } else if known.is_empty() {
        *version = catalog;
    }
    if known.len() < BODIES_MAX {
        known.push(Arc::clone(body));
    } else {
        // Too much that is uncertain: not known any more.
        bodies.remove(name);
    }
}

fn forget(bodies: &mut Bodies, name: Option<&str>) {
    match name {
        Some(name) => drop(bodies.remove(name)),
        None => bodies.clear(),
    }
}

/// Whether the text holds any of these words.
fn speaks_of(analysis: &Analysis, words: &[&str]) -> bool {
    analysis.redacted.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| words.contains(&word))
}

/// Portals that a text takes away: SQL's cursors share their name space.
pub fn forgets_portals(analysis: &Analysis) -> Forgets {
    let mut names = Vec::new();
    for act in analysis.statements.iter().flat_map(|statement| &statement.acts) {
        match act {
            SessionAct::CloseCursor { name: None } | SessionAct::Discard { all: true } => return Forgets::All,
            SessionAct::CloseCursor { name: Some(name) } | SessionAct::DeclareCursor { name, .. } => {
                names.push(name.clone());
            }
            _ => {}
        }
    }
    if names.is_empty() { Forgets::Nothing } else { Forgets::Some(names) }
}

/// Names of the protocol that a text takes away from what Weir learned of them.
#[derive(Debug, PartialEq, Eq)]
pub enum Forgets {
    /// None.
    Nothing,
    /// These.
    Some(Vec<String>),
    /// All of them, as far as can be told.
    All,
}

/// What a text does to names of the protocol: SQL and protocol share one name space.
pub fn forgets(analysis: &Analysis) -> Forgets {
    let mut names = Vec::new();
    let mut told = false;
    for statement in &analysis.statements {
        for act in &statement.acts {
            match act {
                SessionAct::Deallocate { name: None } | SessionAct::Discard { all: true } => return Forgets::All,
                SessionAct::Deallocate { name: Some(name) } => {
                    told = true;
                    names.push(name.clone());
                }
                SessionAct::Prepare { .. } | SessionAct::ExecutePrepared { .. } | SessionAct::Discard { .. } => {
                    told = true
                }
                _ => {}
            }
        }
    }
    match (names.is_empty(), analysis.touches_names && !told) {
        (_, true) => Forgets::All,
        (true, false) => Forgets::Nothing,
        (false, false) => Forgets::Some(names),
    }
}

#[cfg(test)]
mod tests {
    use weir_policy::analysis::{Context, LexSettings, analyse};
    use weir_policy::catalog::Catalog;
    use weir_policy::relation::Engine;

    use super::*;

    fn read(sql: &str) -> Analysis {
        let catalog = Catalog::empty(Engine::Postgres, "d");
        let path = ["public".to_owned()];
        analyse(
            sql.as_bytes(),
            &Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] },
        )
    }

    fn fresh() -> Names {
        Names::postgres(vec!["$user".to_owned(), "public".to_owned()], "alice".into(), false)
    }

    fn paths(names: &Names) -> Vec<String> {
        names.paths().iter().map(|path| path.join(",")).collect()
    }

    #[test]
    fn what_nobody_could_read_leaves_the_role_uncertain_until_it_is_set() {
        let mut names = fresh();
        assert!(names.knows_role());
        names.apply(&read("set role owner"), Applied::Surely, 1);
        assert_eq!((names.roles().len(), &*names.roles()[0], names.knows_role()), (1, "owner", true));
        names.apply(&read("do $$ begin execute x || y; end $$"), Applied::Surely, 1);
        assert!(!names.knows_role() && !names.is_pristine());
        names.apply(&read("reset role"), Applied::Perhaps, 1);
        assert!(!names.knows_role(), "it may not have been reset");
        names.apply(&read("reset role"), Applied::Surely, 1);
        assert!(names.knows_role());
        assert_eq!((names.roles().len(), &*names.roles()[0]), (1, "alice"));
    }

    #[test]
    fn the_path_follows_transactions() {
        let mut names = fresh();
        assert_eq!(paths(&names), ["pg_catalog,alice,public"]);
        names.apply(&read("set search_path to archive, public"), Applied::Surely, 1);
        names.idle(Transaction::Idle, Transaction::Idle);
        assert_eq!(paths(&names), ["pg_catalog,archive,public"]);
        names.apply(&read("begin"), Applied::Surely, 1);
        names.idle(Transaction::Idle, Transaction::Open);
        names.apply(&read("set search_path to other"), Applied::Surely, 1);
        assert_eq!(paths(&names), ["pg_catalog,other"]);
        names.apply(&read("rollback"), Applied::Surely, 1);
        names.idle(Transaction::Open, Transaction::Idle);
        assert_eq!(paths(&names), ["pg_catalog,archive,public"]);
        names.apply(&read("set local search_path to other"), Applied::Surely, 1);
        assert_eq!(paths(&names), ["pg_catalog,other"]);
        names.idle(Transaction::Open, Transaction::Idle);
        assert_eq!(paths(&names), ["pg_catalog,archive,public"]);
        names.apply(&read("reset search_path"), Applied::Surely, 1);
        assert_eq!(paths(&names), ["pg_catalog,alice,public"]);
    }

    #[test]
    fn what_is_uncertain_stands_beside() {
        let mut names = fresh();
        names.apply(&read("set search_path to archive; select 1/0"), Applied::Perhaps, 1);
        assert_eq!(paths(&names), ["pg_catalog,alice,public", "pg_catalog,archive"]);
        names.apply(&read("prepare p as select 1"), Applied::Surely, 1);
        assert_eq!(names.prepared("p", 1).unwrap().len(), 1);
        names.apply(&read("prepare p as select 2"), Applied::Perhaps, 1);
        assert_eq!(names.prepared("p", 1).unwrap().len(), 2);
        names.apply(&read("deallocate p"), Applied::Surely, 1);
        assert!(names.prepared("p", 1).is_none());
    }

    #[test]
    fn relations_made_in_a_transaction_are_its_own() {
        let mut names = fresh();
        names.apply(&read("create temp table t (id int)"), Applied::Surely, 1);
        names.apply(&read("create table u (id int)"), Applied::Surely, 1);
        for other in ["create view v as select 1", "comment on view w is 'x'", "create table if not exists x (id int)"]
        {
            names.apply(&read(other), Applied::Surely, 1);
        }
        names.apply(&read("create table y (id int)"), Applied::Perhaps, 1);
        let own = |names: &Names| names.temporary(&names.paths()[0]);
        assert_eq!(own(&names), ["t", "u"]);
        assert!(names.idle(Transaction::Open, Transaction::Idle), "the catalog has changed");
        assert_eq!(own(&names), ["t"]);
        assert!(!names.idle(Transaction::Idle, Transaction::Idle));
        names.apply(&read("discard all"), Applied::Surely, 1);
        assert!(own(&names).is_empty());
    }

    #[test]
    fn a_relation_of_mysql_hides_another_in_its_own_database_only() {
        let mut names = Names::mysql("play", "alice".into());
        names.act(&SessionAct::CreateTemporary { name: "customers".to_owned() }, Applied::Surely, 1);
        assert_eq!(names.temporary(&names.paths()[0]), ["customers"]);
        assert!(names.is_own("play", "customers") && !names.is_own("support", "customers"));
        let moved = SessionAct::Set { name: "database".to_owned(), value: Some("support".to_owned()), local: false };
        names.act(&moved, Applied::Surely, 1);
        assert!(names.temporary(&names.paths()[0]).is_empty());
        names.act(&SessionAct::CreateTemporary { name: "orders".to_owned() }, Applied::Perhaps, 1);
        assert!(!names.is_pristine() && !names.is_own("support", "orders"));
    }

    #[test]
    fn names_of_the_protocol_are_forgotten_when_sql_may_change_them() {
        assert_eq!(forgets(&read("select 1")), Forgets::Nothing);
        assert_eq!(forgets(&read("deallocate s1")), Forgets::Some(vec!["s1".to_owned()]));
        assert_eq!(forgets(&read("discard all")), Forgets::All);
        assert_eq!(forgets(&read("deallocate all")), Forgets::All);
        assert_eq!(forgets(&read("do $$ begin execute 'deallocate s1'; end $$")), Forgets::All);
        assert_eq!(forgets(&read("execute p")), Forgets::Nothing);
    }
}
