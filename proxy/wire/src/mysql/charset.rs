//! Character sets behind the collation numbers of a login: what names are written in, and what texts will be.
//! <https://dev.mysql.com/doc/refman/en/charset-connection.html>
//!
//! INVARIANT: a name is the same characters to Weir and to the server, or the login is refused. Nobody is somebody else
//! by a second spelling.

use super::greeting::Flavour;
use crate::refusal::Refusal;

/// Numbers of collations by their character set, as `information_schema.collations` of MySQL 9.7 and MariaDB 10.11
/// agree on them. Those that cannot be a client's (`ucs2`, `utf16`, `utf16le`, `utf32`) are left out: the server then
/// takes its default in their place.
const SETS: &[(&str, &[(u16, u16)])] = &[
    (
        "utf8mb4",
        &[
            (45, 46),
            (224, 247),
            (255, 271),
            (273, 275),
            (277, 294),
            (296, 298),
            (300, 300),
            (303, 323),
            (608, 610),
            (1069, 1070),
            (1248, 1248),
            (1270, 1270),
            (2304, 2471),
            (2488, 2503),
        ],
    ),
    (
        "utf8mb3",
        &[
            (33, 33),
            (76, 76),
            (83, 83),
            (192, 215),
            (223, 223),
            (576, 578),
            (1057, 1057),
            (1107, 1107),
            (1216, 1216),
            (1238, 1238),
            (2048, 2215),
            (2232, 2247),
        ],
    ),
    ("latin1", &[(5, 5), (8, 8), (15, 15), (31, 31), (47, 49), (94, 94), (1032, 1032), (1071, 1071)]),
    ("ascii", &[(11, 11), (65, 65), (1035, 1035), (1089, 1089)]),
    ("binary", &[(63, 63)]),
    ("big5", &[(1, 1), (84, 84), (1025, 1025), (1108, 1108)]),
    ("gbk", &[(28, 28), (87, 87), (1052, 1052), (1111, 1111)]),
    ("gb18030", &[(248, 250)]),
    ("gb2312", &[(24, 24), (86, 86), (1048, 1048), (1110, 1110)]),
    ("sjis", &[(13, 13), (88, 88), (1037, 1037), (1112, 1112)]),
    ("cp932", &[(95, 96), (1119, 1120)]),
    ("ujis", &[(12, 12), (91, 91), (1036, 1036), (1115, 1115)]),
    ("eucjpms", &[(97, 98), (1121, 1122)]),
    ("euckr", &[(19, 19), (85, 85), (1043, 1043), (1109, 1109)]),
    ("latin2", &[(2, 2), (9, 9), (21, 21), (27, 27), (77, 77), (1033, 1033), (1101, 1101)]),
    ("latin5", &[(30, 30), (78, 78), (1054, 1054), (1102, 1102)]),
    ("latin7", &[(20, 20), (41, 42), (79, 79), (1065, 1065), (1103, 1103)]),
    ("cp1250", &[(26, 26), (34, 34), (44, 44), (66, 66), (99, 99), (1050, 1050), (1090, 1090)]),
    ("cp1251", &[(14, 14), (23, 23), (50, 52), (1074, 1075)]),
    ("cp1256", &[(57, 57), (67, 67), (1081, 1081), (1091, 1091)]),
    ("cp1257", &[(29, 29), (58, 59), (1082, 1083)]),
    ("cp850", &[(4, 4), (80, 80), (1028, 1028), (1104, 1104)]),
    ("cp852", &[(40, 40), (81, 81), (1064, 1064), (1105, 1105)]),
    ("cp866", &[(36, 36), (68, 68), (1060, 1060), (1092, 1092)]),
    ("koi8r", &[(7, 7), (74, 74), (1031, 1031), (1098, 1098)]),
    ("koi8u", &[(22, 22), (75, 75), (1046, 1046), (1099, 1099)]),
    ("greek", &[(25, 25), (70, 70), (1049, 1049), (1094, 1094)]),
    ("hebrew", &[(16, 16), (71, 71), (1040, 1040), (1095, 1095)]),
    ("tis620", &[(18, 18), (89, 89), (1042, 1042), (1113, 1113)]),
    ("armscii8", &[(32, 32), (64, 64), (1056, 1056), (1088, 1088)]),
    ("geostd8", &[(92, 93), (1116, 1117)]),
    ("macce", &[(38, 38), (43, 43), (1062, 1062), (1067, 1067)]),
    ("macroman", &[(39, 39), (53, 53), (1063, 1063), (1077, 1077)]),
    ("keybcs2", &[(37, 37), (73, 73), (1061, 1061), (1097, 1097)]),
    ("dec8", &[(3, 3), (69, 69), (1027, 1027), (1093, 1093)]),
    ("hp8", &[(6, 6), (72, 72), (1030, 1030), (1096, 1096)]),
    ("swe7", &[(10, 10), (82, 82), (1034, 1034), (1106, 1106)]),
];

/// The server's name of the character set that a collation belongs to. `None`: not known to this server, or none that a
/// client can have; which one holds then is the server's choice and must be asked.
pub fn character_set(collation: u16, flavour: Flavour) -> Option<&'static str> {
    // MariaDB takes its default for MySQL's younger collations, although the `mysql` client of 9.7 sends 255 to all.
    let unknown = match flavour {
        Flavour::MySql => collation >= 576,
        Flavour::MariaDb => matches!(collation, 76 | 248..=250 | 255..=575),
    };
    if unknown {
        return None;
    }
    let holds = |ranges: &[(u16, u16)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&collation));
    SETS.iter().find(|(_, ranges)| holds(ranges)).map(|(name, _)| *name)
}

/// A name as the server reads it under a collation.
///
/// # Errors
/// Bytes whose characters depend on a character set that Weir does not decode; `what` is the name's place.
pub(super) fn name(bytes: &[u8], collation: u16, flavour: Flavour, what: &str) -> Result<String, Refusal> {
    let certain = match character_set(collation, flavour) {
        Some("utf8mb4" | "utf8mb3") => true,
        // Some letters of ASCII are others here.
        Some("swe7" | "sjis") => bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@ ".contains(byte)),
        _ => bytes.is_ascii(),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if certain => Ok(text.to_owned()),
        _ => Err(Refusal::new(
            "08P01",
            format!("the {what} of the login is not readable in its character set"),
            "connect with utf8mb4, or use names of ASCII letters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_common_collations() {
        for (collation, set) in [(8, "latin1"), (33, "utf8mb3"), (45, "utf8mb4"), (28, "gbk"), (13, "sjis")] {
            assert_eq!(character_set(collation, Flavour::MySql), Some(set));
            assert_eq!(character_set(collation, Flavour::MariaDb), Some(set));
        }
        for (collation, mysql, mariadb) in
            [(255, Some("utf8mb4"), None), (250, Some("gb18030"), None), (2304, None, Some("utf8mb4"))]
        {
            assert_eq!(character_set(collation, Flavour::MySql), mysql);
            assert_eq!(character_set(collation, Flavour::MariaDb), mariadb);
        }
        for none in [0, 35, 54, 60, 101, 160, 272, 9999] {
            assert_eq!(character_set(none, Flavour::MySql), None);
        }
    }

    #[test]
    fn no_collation_is_of_two_sets() {
        let mut ranges: Vec<(u16, u16)> = SETS.iter().flat_map(|(_, ranges)| ranges.iter().copied()).collect();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn names_that_could_be_read_otherwise_are_refused() {
        let read = |bytes: &[u8], collation| name(bytes, collation, Flavour::MariaDb, "user");
        assert_eq!(read("jürgen".as_bytes(), 45).unwrap(), "jürgen");
        assert_eq!(read(b"root", 8).unwrap(), "root");
        assert_eq!(read(b"root", 255).unwrap(), "root");
        for (bytes, collation) in
            [("jürgen".as_bytes(), 8), ("jürgen".as_bytes(), 255), (b"a\xff", 45), (b"a[b", 10), ("é".as_bytes(), 0)]
        {
            assert!(read(bytes, collation).is_err(), "{bytes:?} under {collation}");
        }
    }
}
