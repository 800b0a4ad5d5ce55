//! Expressions: which values flow through, and which are only looked at.

use sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, OrderByExpr, Subscript,
    UnaryOperator, WindowFrameBound, WindowSpec,
};

use super::asks::{Compared, asked_by, part, through_operator};
use super::builtins;
use super::functions;
use super::lineage::{Walker, parts};
use super::scope::{Meaning, Scope, single};
use super::uses::{Atom, Flow, Pack};
use crate::relation::Engine;
use crate::statement::Coverage;

/// Columns that every table has and no catalog lists. They name rows, not what stands in them.
const SYSTEM_COLUMNS: [&str; 7] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"];

/// Functions of MySQL's that are called without parentheses.
const BARE_FUNCTIONS: [&str; 11] = [
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "rownum",
];

impl Walker<'_> {
    /// The values that an expression's value is made of. What it only compares is marked as used.
    pub(super) fn expr(&mut self, expr: &Expr, scope: &Scope<'_>) -> Flow {
        self.found.spend(1);
        if self.found.is_spent() {
            return Flow::default();
        }
        match expr {
            Expr::Value(_) => Flow::default(),
            Expr::Identifier(name) => {
                self.see(name);
                match scope.resolve(&name.value) {
                    Meaning::Column(flow) | Meaning::Row(flow) | Meaning::Member(flow) => flow,
                    Meaning::Unknown => self.unknown_column(&name.value, scope),
                }
            }
            Expr::CompoundIdentifier(names) => {
                for name in names {
                    self.see(name);
                }
                let names: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
                self.member(&names, scope)
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.field_access(root, access_chain, scope),
            Expr::Nested(inner)
            | Expr::Collate { expr: inner, .. }
            | Expr::Named { expr: inner, .. }
            | Expr::Prefixed { value: inner, .. } => self.expr(inner, scope),
            Expr::Ceil { expr: inner, .. } | Expr::Floor { expr: inner, .. } | Expr::Extract { expr: inner, .. } => {
                part(&self.expr(inner, scope))
            }
            Expr::Cast { expr, data_type, .. } => {
                self.see_type(data_type);
                self.expr(expr, scope)
            }
            Expr::TypedString(typed) => {
                self.see_type(&typed.data_type);
                Flow::default()
            }
            Expr::Interval(interval) => self.expr(&interval.value, scope),
            Expr::AtTimeZone { timestamp, time_zone } => self.flows(&[timestamp, time_zone], scope),
            Expr::UnaryOp { op, expr } => {
                let flow = self.expr(expr, scope);
                match op {
                    UnaryOperator::Not => self.only_used(&flow),
                    UnaryOperator::Minus | UnaryOperator::Plus => flow,
                    _ => part(&flow),
                }
            }
            Expr::BinaryOp { left, op: BinaryOperator::Assignment, right } if self.engine() == Engine::Mysql => {
                // @v := value: kept for later statements, and the value of the expression too. `@v := concat(@v, x)`
                // gathers the values of all rows.
                self.condition(left, scope);
                let flow = self.expr(right, scope);
                self.copy_flow(&flow, None, false);
                flow
            }
            Expr::BinaryOp { left, op, right } => {
                let (left, right) = (self.expr(left, scope), self.expr(right, scope));
                let both = self.join(&left, &right);
                if is_predicate(op) {
                    match asked_by(op) {
                        Some(how) => self.compared(how, &left, &right),
                        None => self.mark_used(&both),
                    }
                    return Flow::default();
                }
                through_operator(op, both)
            }
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::IsJson { expr: inner, .. }
            | Expr::IsNormalized { expr: inner, .. } => self.used(&[inner], scope),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.compare(Compared::Equal, &[left], &[right], scope)
            }
            Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right, .. } => {
                let how = match asked_by(compare_op) {
                    Some(Compared::Equal) => Compared::Any,
                    _ => Compared::Otherwise,
                };
                self.compare(how, &[left], &[right], scope)
            }
            Expr::InList { expr, list, .. } => {
                let how = if self.only_value(list).is_some() { Compared::Equal } else { Compared::Any };
                let left = self.expr(expr, scope);
                let right = self.flow_of(list.iter(), scope);
                self.compared(how, &left, &right);
                Flow::default()
            }
            Expr::InSubquery { expr, subquery, .. } => {
                let rows = self.query(subquery, Some(scope), scope.ctes);
                let left = self.expr(expr, scope);
                self.compared(Compared::Any, &left, &rows.all());
                Flow::default()
            }
            Expr::InUnnest { expr, array_expr, .. } => self.compare(Compared::Any, &[expr], &[array_expr], scope),
            Expr::Between { expr, low, high, .. } => self.compare(Compared::Otherwise, &[expr], &[low, high], scope),
            Expr::Like { expr, pattern, escape_char, .. }
            | Expr::ILike { expr, pattern, escape_char, .. }
            | Expr::SimilarTo { expr, pattern, escape_char, .. } => {
                if let Some(escape) = escape_char {
                    self.condition(escape, scope);
                }
                self.compare(Compared::Otherwise, &[expr], &[pattern], scope)
            }
            Expr::RLike { expr, pattern, .. } => self.compare(Compared::Otherwise, &[expr], &[pattern], scope),
            Expr::Exists { subquery, .. } => {
                let rows = self.query(subquery, Some(scope), scope.ctes);
                self.only_used(&rows.all())
            }
            Expr::Subquery(subquery) => self.query(subquery, Some(scope), scope.ctes).all(),
            Expr::Position { expr, r#in } => part(&self.flows(&[expr, r#in], scope)),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                part(&self.flow_of(
                    std::iter::once(expr).chain(substring_from).chain(substring_for).map(|expr| &**expr),
                    scope,
                ))
            }
            Expr::Trim { expr, trim_what, trim_characters, .. } => self.flow_of(
                std::iter::once(&**expr)
                    .chain(trim_what.iter().map(|expr| &**expr))
                    .chain(trim_characters.iter().flatten()),
                scope,
            ),
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                part(&self.flow_of(
                    [expr, overlay_what, overlay_from].into_iter().chain(overlay_for).map(|expr| &**expr),
                    scope,
                ))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_ref().map(|operand| self.expr(operand, scope));
                let mut flow = Flow::default();
                for case in conditions {
                    match &operand {
                        Some(operand) => {
                            let value = self.expr(&case.condition, scope);
                            self.compared(Compared::Equal, operand, &value);
                        }
                        None => self.condition(&case.condition, scope),
                    }
                    let more = self.expr(&case.result, scope);
                    flow = self.join(&flow, &more);
                }
                if let Some(otherwise) = else_result {
                    let more = self.expr(otherwise, scope);
                    flow = self.join(&flow, &more);
                }
                flow
            }
            Expr::Function(function) => self.function(function, scope),
            Expr::Tuple(parts) => self.flow_of(parts.iter(), scope),
            Expr::Array(array) => self.flow_of(array.elem.iter(), scope),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                for expr in sets.iter().flatten() {
                    self.condition(expr, scope);
                }
                Flow::default()
            }
            Expr::Wildcard(_) => scope.everything(),
            Expr::QualifiedWildcard(name, _) => {
                self.see_name(name);
                let names = parts(name);
                let rows = match names.as_slice() {
                    [.., schema, qualifier] => scope.rows_of(Some(schema), qualifier),
                    [qualifier] => scope.rows_of(None, qualifier),
                    [] => None,
                };
                rows.map_or_else(|| self.unknown_column(&name.to_string(), scope), |rows| rows.all())
            }
            _ => {
                // Not PostgreSQL's, or not known here: anything in sight may be in its value.
                self.found.refuse();
                scope.everything()
            }
        }
    }

    /// `a.b`, `a.b.c`, `a.b.c.d`: the last part is a column, or a function written like one.
    fn member(&mut self, names: &[&str], scope: &Scope<'_>) -> Flow {
        let meaning = match names {
            [qualifier, name] => scope.resolve_in(None, qualifier, name),
            [.., schema, qualifier, name] => scope.resolve_in(Some(schema), qualifier, name),
            _ => Meaning::Unknown,
        };
        let name = names.last().copied().unwrap_or_default();
        match meaning {
            Meaning::Column(flow) | Meaning::Row(flow) => flow,
            Meaning::Member(row) if SYSTEM_COLUMNS.contains(&name) => {
                self.addressed(name, &row);
                Flow::default()
            }
            Meaning::Member(flow) => {
                // `row.f` calls f with the row, where no column is called f.
                if functions::is_special(name, self.context) {
                    let reached = self.reached_by(None, name, None);
                    return self.join(&flow, &reached);
                }
                if !builtins::is_function(self.engine(), name) {
                    self.found.gap("unknown-column", name, Coverage::Partial);
                }
                flow
            }
            Meaning::Unknown if self.found.fired.is_some() && matches!(names, ["old" | "new", _]) => self.fired(name),
            Meaning::Unknown if names.first().is_some_and(|row| self.row(row).is_some()) => {
                let usage = names.first().and_then(|row| self.row(row));
                let column = names.get(1).map(|name| std::sync::Arc::from(*name));
                usage.map(|usage| single(Atom::new(usage, column, Pack::Single))).unwrap_or_default()
            }
            // A row that a stored program goes through.
            Meaning::Unknown if names.first().is_some_and(|row| self.is_variable(row)) => Flow::default(),
            Meaning::Unknown => self.unknown_column(&names.join("."), scope),
        }
    }

    /// A column of the row that set off a trigger.
    fn fired(&self, name: &str) -> Flow {
        let Some(usage) = self.found.fired else { return Flow::default() };
        let relation = self.found.drafts.get(usage).and_then(|draft| draft.relation);
        let columns = relation.and_then(|index| self.context.catalog.relations().get(index)).map(|of| &of.columns);
        let column = columns.and_then(|columns| columns.iter().find(|known| known.name.eq_ignore_ascii_case(name)));
        single(Atom::new(usage, column.map(|column| column.name.clone()), Pack::Single))
    }

    /// A name that nothing in sight has: the catalog is behind, or the text is wrong. It may be any value.
    pub(super) fn unknown_column(&mut self, name: &str, scope: &Scope<'_>) -> Flow {
        if let Some(usage) = self.row(name) {
            return single(Atom::new(usage, None, Pack::Single));
        }
        if self.is_no_column(name) || self.is_variable(name) {
            self.addressed(name, &scope.everything());
            return Flow::default();
        }
        if !self.found.parameters {
            self.found.gap("unknown-column", name, Coverage::Partial);
        }
        self.found.beyond.clone().fold(scope.everything(), |flow, usage| {
            let whole = single(Atom::new(usage, None, Pack::Single));
            self.join(&flow, &whole)
        })
    }

    /// The use that a row variable of the body is a row of.
    fn row(&self, name: &str) -> Option<usize> {
        self.found.rows.iter().find(|(known, _)| known == name).map(|(_, usage)| *usage)
    }

    fn is_variable(&self, name: &str) -> bool {
        self.found.variables.iter().any(|known| known == name)
    }

    /// Whether a name that no relation has as a column is one all the same, or a function that needs no parentheses.
    fn is_no_column(&self, name: &str) -> bool {
        match self.engine() {
            Engine::Postgres => SYSTEM_COLUMNS.contains(&name) || builtins::is_function(Engine::Postgres, name),
            Engine::Mysql => BARE_FUNCTIONS.contains(&name),
        }
    }

    fn field_access(&mut self, root: &Expr, chain: &[AccessExpr], scope: &Scope<'_>) -> Flow {
        for access in chain {
            match access {
                AccessExpr::Dot(Expr::Identifier(name)) => self.see(name),
                AccessExpr::Dot(other) => self.condition(other, scope),
                AccessExpr::Subscript(Subscript::Index { index }) => self.condition(index, scope),
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                    for bound in [lower_bound, upper_bound, stride].into_iter().flatten() {
                        self.condition(bound, scope);
                    }
                }
            }
        }
        let mut inner = root;
        while let Expr::Nested(nested) = inner {
            inner = nested;
        }
        if let (Expr::Identifier(row), [AccessExpr::Dot(Expr::Identifier(name)), ..]) = (inner, chain) {
            self.see(row);
            if let Meaning::Row(_) = scope.resolve(&row.value) {
                return self.member(&[&row.value, &name.value], scope);
            }
        }
        let mut flow = self.expr(root, scope);
        for access in chain {
            if let AccessExpr::Dot(Expr::Identifier(name)) = access
                && functions::is_special(&name.value, self.context)
            {
                let reached = self.reached_by(None, &name.value, None);
                flow = self.join(&flow, &reached);
            }
        }
        flow
    }

    fn flows(&mut self, exprs: &[&Expr], scope: &Scope<'_>) -> Flow {
        self.flow_of(exprs.iter().copied(), scope)
    }

    fn flow_of<'e>(&mut self, exprs: impl Iterator<Item = &'e Expr>, scope: &Scope<'_>) -> Flow {
        let mut flow = Flow::default();
        for expr in exprs {
            let more = self.expr(expr, scope);
            flow = self.join(&flow, &more);
        }
        flow
    }

    fn compare(&mut self, how: Compared, left: &[&Expr], right: &[&Expr], scope: &Scope<'_>) -> Flow {
        let (left, right) = (self.flows(left, scope), self.flows(right, scope));
        self.compared(how, &left, &right);
        Flow::default()
    }

    fn used(&mut self, exprs: &[&Expr], scope: &Scope<'_>) -> Flow {
        for expr in exprs {
            self.condition(expr, scope);
        }
        Flow::default()
    }

    fn only_used(&mut self, flow: &Flow) -> Flow {
        self.mark_used(flow);
        Flow::default()
    }

    /// PARTITION BY and ORDER BY of a window.
    pub(super) fn window(&mut self, spec: &WindowSpec, scope: &Scope<'_>) {
        if let Some(name) = &spec.window_name {
            self.see(name);
        }
        for expr in &spec.partition_by {
            self.condition(expr, scope);
        }
        self.orders(&spec.order_by, scope);
        if let Some(frame) = &spec.window_frame {
            for bound in std::iter::once(&frame.start_bound).chain(&frame.end_bound) {
                if let WindowFrameBound::Preceding(Some(expr)) | WindowFrameBound::Following(Some(expr)) = bound {
                    self.condition(expr, scope);
                }
            }
        }
    }

    pub(super) fn orders(&mut self, orders: &[OrderByExpr], scope: &Scope<'_>) {
        for order in orders {
            self.condition(&order.expr, scope);
        }
    }

    /// The values of a call's argument.
    pub(super) fn argument(&mut self, argument: &FunctionArg, scope: &Scope<'_>) -> Flow {
        let value = match argument {
            FunctionArg::Named { name, arg, .. } => {
                self.see(name);
                arg
            }
            FunctionArg::ExprNamed { name, arg, .. } => {
                if let Expr::Identifier(name) = name {
                    self.see(name);
                } else {
                    self.condition(name, scope);
                }
                arg
            }
            FunctionArg::Unnamed(arg) => arg,
        };
        match value {
            FunctionArgExpr::Expr(expr) => self.expr(expr, scope),
            FunctionArgExpr::QualifiedWildcard(name) => self.expr(
                &Expr::QualifiedWildcard(name.clone(), sqlparser::ast::helpers::attached_token::AttachedToken::empty()),
                scope,
            ),
            FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_) => scope.everything(),
        }
    }

    /// Names in a type are no relations that are read.
    pub(super) fn see_type(&mut self, data_type: &DataType) {
        match data_type {
            DataType::Custom(name, _) => self.see_name(name),
            DataType::Array(
                ArrayElemTypeDef::SquareBracket(inner, _)
                | ArrayElemTypeDef::AngleBracket(inner)
                | ArrayElemTypeDef::Parenthesis(inner),
            ) => self.see_type(inner),
            _ => {}
        }
    }
}

/// Whether an operator answers yes or no, and so tells one bit of what it compares.
fn is_predicate(op: &BinaryOperator) -> bool {
    match op {
        BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::PGRegexMatch
        | BinaryOperator::PGRegexIMatch
        | BinaryOperator::PGRegexNotMatch
        | BinaryOperator::PGRegexNotIMatch
        | BinaryOperator::PGLikeMatch
        | BinaryOperator::PGILikeMatch
        | BinaryOperator::PGNotLikeMatch
        | BinaryOperator::PGNotILikeMatch
        | BinaryOperator::Spaceship
        | BinaryOperator::Overlaps => true,
        BinaryOperator::Custom(name) => matches!(
            name.as_str(),
            // Not `&&`, `<<` and `>>`: two text queries make one, and a number is shifted.
            "@>" | "<@" | "@@" | "@@@" | "@?" | "?" | "?|" | "?&" | "^@" | "~=" | "&<" | "&>" | "-|-"
        ),
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().is_some_and(|name| {
            matches!(name.as_str(), "=" | "<>" | "~" | "~*" | "!~" | "!~*" | "~~" | "<" | ">" | "<=" | ">=")
        }),
        _ => false,
    }
}
