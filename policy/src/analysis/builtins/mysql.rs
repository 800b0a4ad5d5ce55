//! MySQL's and MariaDB's.

use super::{Passing, Published, Reach};

/// Names that `SELECT name()` finds on a fresh MySQL 9.7 or MariaDB 10.11, those of later releases that the manuals
/// name, and the functions that are grammar. A name that is neither here nor in the catalog is somebody's own, or
/// comes out of a shared library, which is said.
pub(super) const FUNCTIONS: &str = include_str!("../builtins_mysql.txt");

/// See [`super::reach`].
pub(super) fn reach(name: &str) -> Option<Reach> {
    match name {
        "load_file" => Some(Reach::Elsewhere),
        // Where a replica gets its rows from.
        _ if name.starts_with("asynchronous_connection_failover_") => Some(Reach::Elsewhere),
        _ => None,
    }
}

/// See [`super::publishes`].
pub(super) fn publishes(name: &str) -> Option<Published> {
    match name {
        // The statement ends with an error that names a value.
        "extractvalue"
        | "updatexml"
        | "gtid_subset"
        | "gtid_subtract"
        | "wait_for_executed_gtid_set"
        | "binlog_gtid_pos"
        | "master_gtid_wait"
        | "uuid_to_bin"
        | "bin_to_uuid"
        | "st_latfromgeohash"
        | "st_longfromgeohash"
        | "st_pointfromgeohash"
        | "st_geomfromgeojson"
        | "string_to_vector"
        | "to_vector"
        | "st_distance"
        | "st_length" => Some(Published::OneValue),
        // Their options.
        _ if name.starts_with("st_") && ["fromtext", "fromtxt", "fromwkb"].iter().any(|end| name.ends_with(end)) => {
            Some(Published::OneValue)
        }
        // Names of locks stand where other sessions read them; a counter is asked for by a later statement.
        "get_lock" | "last_insert_id" | "setval" => Some(Published::Values),
        _ => None,
    }
}

/// See [`super::passing`].
pub(super) fn passing(name: &str) -> Passing {
    match name {
        "sum" | "avg" | "std" | "stddev" | "stddev_pop" | "stddev_samp" | "variance" | "var_pop" | "var_samp" => {
            Passing::Totalled
        }
        "count"
        | "row_number"
        | "rank"
        | "dense_rank"
        | "percent_rank"
        | "cume_dist"
        | "ntile"
        | "grouping"
        | "isnull"
        | "exists"
        | "strcmp"
        | "regexp_like"
        | "charset"
        | "collation"
        | "coercibility"
        | "sleep"
        | "benchmark"
        | "json_valid"
        | "json_contains"
        | "json_contains_path"
        | "is_ipv4"
        | "is_ipv6"
        | "is_uuid"
        | "is_ipv4_compat"
        | "is_ipv4_mapped"
        | "is_free_lock"
        | "release_lock"
        | "validate_password_strength"
        | "match"
        | "against" => Passing::Summed,
        "group_concat" | "json_arrayagg" | "json_objectagg" | "json_duality_object" | "st_collect" => Passing::Packed,
        _ => Passing::Through,
    }
}

/// See [`super::is_aggregate`].
pub(super) fn is_aggregate(name: &str) -> bool {
    matches!(
        name,
        "count"
            | "sum"
            | "avg"
            | "std"
            | "stddev"
            | "stddev_pop"
            | "stddev_samp"
            | "variance"
            | "var_pop"
            | "var_samp"
            | "group_concat"
            | "json_arrayagg"
            | "json_objectagg"
            | "st_collect"
            | "min"
            | "max"
            | "any_value"
            | "bit_and"
            | "bit_or"
            | "bit_xor"
    )
}
