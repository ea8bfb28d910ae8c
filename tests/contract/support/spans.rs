//! Spans of time.
pub use chrono::TimeDelta as Span;

pub fn ms(n: i64) -> Span {
    Span::milliseconds(n)
}
pub fn seconds(n: i64) -> Span {
    Span::seconds(n)
}
pub fn minutes(n: i64) -> Span {
    Span::minutes(n)
}
pub fn hours(n: i64) -> Span {
    Span::hours(n)
}
pub fn days(n: i64) -> Span {
    Span::days(n)
}
