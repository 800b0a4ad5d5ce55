//! weir-audit-store
