//! PostgreSQL's.

use super::{Passing, Reach};

/// Names in `pg_proc` and `information_schema` of a fresh server (15, with the additions up to 18), and the
/// functions that are grammar. A name that is neither here nor in the catalog is unknown, which is said.
pub(super) const FUNCTIONS: &str = include_str!("../builtins_postgres.txt");

/// Operators in `pg_operator` of a fresh server, and the operator-like signs of the grammar.
pub(super) const OPERATORS: [&str; 87] = [
    "!!", "!=", "!~", "!~*", "!~~", "!~~*", "##", "#", "#-", "#>", "#>>", "%", "&&", "&", "&<", "&<|", "&>", "*", "*<",
    "*<=", "*<>", "*=", "*>", "*>=", "+", "->", "->>", "-|-", "/", "<", "<->", "<<", "<<=", "<<|", "<=", "<>", "<@",
    "<^", "=", "=>", ">", ">=", ">>", ">>=", ">^", "?#", "?&", "?", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?",
    "@@", "@@@", "^", "^@", "|&>", "|", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~", "~>~", "~~",
    "~~*", "-", "&<<", "@+", "~==", "@<", "!~=", "&&&", "<#>", "<=>", "%>", "<%", "<<->",
];

/// What a function reaches beside its arguments' values; `None` for an ordinary one. Extensions that come with the
/// server's own packages are in here too, since what they do is known.
pub(super) fn reach(name: &str) -> Option<Reach> {
    let reach = match name {
        "set_config" => Reach::SetConfig,
        // It opens the relation that it is told, for its definition.
        "satisfies_hash_partition" => Reach::Named,
        "ts_stat" | "ts_rewrite" | "database_to_xml" | "database_to_xmlschema" | "database_to_xml_and_xmlschema" => {
            Reach::Named
        }
        "pg_stat_file" | "pg_current_logfile" | "loread" | "lowrite" | "pg_hba_file_rules" => Reach::Elsewhere,
        "page_header"
        | "get_raw_page"
        | "heap_page_items"
        | "heap_page_item_attrs"
        | "bt_page_items"
        | "tuple_data_split"
        | "pgrowlocks"
        | "pg_get_wal_records_info" => Reach::Named,
        _ if starts(name, &["query_to_xml", "table_to_xml", "schema_to_xml", "crosstab", "connectby"]) => Reach::Named,
        _ if starts(
            name,
            &[
                "dblink",
                "cursor_to_xml",
                "pg_read_file",
                "pg_read_binary_file",
                "pg_ls_",
                "lo_",
                "pg_logical_",
                "pg_replication_",
                "pg_create_logical_",
                "pg_file_",
                "pg_logdir_",
            ],
        ) =>
        {
            Reach::Elsewhere
        }
        _ => return None,
    };
    Some(reach)
}

/// Whether a built-in function puts its arguments where they can be read without being returned: a setting of the session,
/// a message to other sessions.
pub(super) fn publishes(name: &str) -> bool {
    matches!(name, "set_config" | "pg_notify")
}

/// What becomes of a built-in function's arguments.
pub(super) fn passing(name: &str) -> Passing {
    match name {
        "count" | "bool_and" | "bool_or" | "every" | "row_number" | "rank" | "dense_rank" | "percent_rank"
        | "cume_dist" | "ntile" | "grouping" | "pg_typeof" | "regr_count" | "num_nulls" | "num_nonnulls" | "exists" => {
            Passing::Summed
        }
        "sum" | "avg" | "stddev" | "stddev_pop" | "stddev_samp" | "variance" | "var_pop" | "var_samp" | "corr"
        | "covar_pop" | "covar_samp" | "regr_avgx" | "regr_avgy" | "regr_intercept" | "regr_r2" | "regr_slope"
        | "regr_sxx" | "regr_sxy" | "regr_syy" => Passing::Totalled,
        "string_agg"
        | "array_agg"
        | "json_agg"
        | "jsonb_agg"
        | "json_object_agg"
        | "jsonb_object_agg"
        | "xmlagg"
        | "json_arrayagg"
        | "json_objectagg"
        | "range_agg"
        | "range_intersect_agg"
        | "json_agg_strict"
        | "jsonb_agg_strict"
        | "json_object_agg_strict"
        | "json_object_agg_unique"
        | "json_object_agg_unique_strict"
        | "jsonb_object_agg_strict"
        | "jsonb_object_agg_unique"
        | "jsonb_object_agg_unique_strict" => Passing::Packed,
        _ => Passing::Through,
    }
}

/// Whether a call without OVER makes one row of many.
pub(super) fn is_aggregate(name: &str) -> bool {
    match passing(name) {
        Passing::Packed | Passing::Totalled => true,
        Passing::Summed => {
            !matches!(name, "pg_typeof" | "grouping" | "num_nulls" | "num_nonnulls" | "exists" | "row_number")
        }
        Passing::Through => matches!(
            name,
            "min"
                | "max"
                | "any_value"
                | "mode"
                | "percentile_disc"
                | "percentile_cont"
                | "bit_and"
                | "bit_or"
                | "bit_xor"
        ),
    }
}

fn starts(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}
