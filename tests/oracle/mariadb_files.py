"""Which of MariaDB's tests are run: those about reading and writing rows. The rest is about options, plugins, character
sets, locks, replication and programs, and has little of it."""

# First words of names.
TOPICS = (
    "alias", "brackets", "case", "cte_", "delete", "derived", "distinct", "except", "features", "fetch_first", "func_gconcat",
    "func_group", "func_in", "func_json", "func_if", "func_str", "gis", "group_by", "having", "insert", "intersect", "invisible_field",
    "join", "keywords", "last_value", "limit", "loaddata", "merge", "multi_update", "mysql57", "null", "olap", "opt_tvc",
    "order_by", "outfile", "parser", "partition", "precedence", "ps", "replace", "select", "set_operation", "single_delete_update",
    "sp", "statement", "subselect", "table_value_constr", "temp_table", "trigger", "truncate", "type_row", "union", "update",
    "user_var", "view", "win",
)
# Parts of names: what needs a debug build, another server or another system, runs for minutes, or says the same again
# under another setting of the optimizer.
LEFT_OUT = (
    "debug", "-big", "_big", "notembedded", "not_embedded", "embedded", "windows", "_jcl6", "_no_", "_mat", "no-threads", "stress",
    "_sync", "binlog", "charset", "ucs2", "utf8", "crash", "grant", "_win", "threads", "symlink", "no-valgrind", "sp-code", "sp-error",
    "lock", "read_many", "limit_rows_examined", "cache_card", "partition_range", "partition_pruning", "ps_1", "ps_2", "ps_3", "ps_4",
    "ps_5", "innodb", "_aria", "destruct", "upgrade", "_ssl", "psscale", "statistics", "selectivity",
)


def chosen(kit, everything):
    """Paths of the files, in the order of their names."""
    paths = sorted((kit / "usr/share/mysql/mysql-test/main").glob("*.test"))
    if everything:
        return paths
    return [path for path in paths if path.stem.startswith(TOPICS) and not any(part in path.stem for part in LEFT_OUT)]
