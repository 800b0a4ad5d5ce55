"""What PostgreSQL's own grammar finds in a text: every relation that it names, with the names of common table
expressions taken out where they are in scope. pglast is libpg_query, which is the server's parser."""

from pglast import ast, enums, parser

# Objects of DROP that are relations.
DROPPED = {
    enums.ObjectType.OBJECT_TABLE,
    enums.ObjectType.OBJECT_VIEW,
    enums.ObjectType.OBJECT_MATVIEW,
    enums.ObjectType.OBJECT_FOREIGN_TABLE,
}

class Grammar:
    """One text."""

    def __init__(self, sql):
        self.statements = [raw.stmt for raw in parser.parse_sql(sql)]
        # (schema or None, name), of relations that are read or written, and of those that are being made.
        self.named = set()
        self.made = set()
        for statement in self.statements:
            self._visit(statement, frozenset())

    @property
    def kinds(self):
        return [type(statement).__name__ for statement in self.statements]

    @property
    def runs(self):
        """Kinds of what would run: EXPLAIN may run what it explains."""
        inner = [each.query if isinstance(each, ast.ExplainStmt) else each for each in self.statements]
        return {type(each).__name__ for each in inner}

    @property
    def only_temporary(self):
        """It makes temporary tables, and nothing else that others could see."""
        return all(isinstance(each, ast.CreateStmt) and each.relation.relpersistence == "t" for each in self.statements)

    @property
    def ends_prepared(self):
        """It brings in what another transaction left prepared."""
        ends = (enums.TransactionStmtKind.TRANS_STMT_COMMIT_PREPARED, enums.TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED)
        return any(isinstance(each, ast.TransactionStmt) and each.kind in ends for each in self.statements)

    def _visit(self, node, hidden):
        if isinstance(node, (tuple, list)):
            for item in node:
                self._visit(item, hidden)
            return
        if not isinstance(node, ast.Node):
            return
        if isinstance(node, ast.RangeVar):
            if node.schemaname is not None or node.relname not in hidden:
                self.named.add((node.schemaname, node.relname))
            return
        if isinstance(node, ast.DropStmt):
            if node.removeType in DROPPED:
                for parts in node.objects:
                    names = [part.sval for part in parts]
                    self.named.add((names[-2] if len(names) > 1 else None, names[-1]))
            return
        if isinstance(node, ast.IntoClause):
            self.made.add((node.rel.schemaname, node.rel.relname))
            return
        if isinstance(node, (ast.CreateStmt, ast.CreateForeignTableStmt)):
            base = node.base if isinstance(node, ast.CreateForeignTableStmt) else node
            self.made.add((base.relation.schemaname, base.relation.relname))
            self._children(node, hidden, skip=("relation",))
            return
        if isinstance(node, (ast.ViewStmt, ast.CreateSeqStmt, ast.CompositeTypeStmt)):
            made = {"ViewStmt": "view", "CreateSeqStmt": "sequence", "CompositeTypeStmt": "typevar"}
            attribute = made[type(node).__name__]
            target = getattr(node, attribute)
            self.made.add((target.schemaname, target.relname))
            self._children(node, hidden, skip=(attribute,))
            return
        with_clause = getattr(node, "withClause", None)
        if isinstance(with_clause, ast.WithClause):
            own = hidden
            for cte in with_clause.ctes:
                # A recursive list sees all of itself; another one what stands before.
                inner = hidden | {each.ctename for each in with_clause.ctes} if with_clause.recursive else own
                self._visit(cte.ctequery, inner)
                own = own | {cte.ctename}
            # What is written is a relation, whatever the list calls its own.
            target = getattr(node, "relation", None)
            if isinstance(target, ast.RangeVar):
                self.named.add((target.schemaname, target.relname))
                self._children(node, own, skip=("withClause", "relation"))
            else:
                self._children(node, own, skip=("withClause",))
            return
        if isinstance(node, ast.LockingClause):
            # FOR UPDATE OF names what the FROM list calls its items.
            return
        self._children(node, hidden)

    def _children(self, node, hidden, skip=()):
        for attribute in node:
            if attribute not in skip:
                self._visit(getattr(node, attribute), hidden)
