//! What holds for every text of MySQL's and MariaDB's.
