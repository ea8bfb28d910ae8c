//! Use cases: what sellers and operators can do, one file a resource. Each loads, decides by [`domain`](crate::domain),
//! saves, and writes the audit log. `http` and the console parse, call one of them and answer; other doors would too.
pub mod connection;
