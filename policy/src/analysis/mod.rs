//! SQL text to `Analysis`.
