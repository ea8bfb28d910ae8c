//! Errors of the database level, sorted by what the caller can do about them.
use crate::domain::FieldError;
use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// Why a query failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// There is no such row, or it belongs to another seller.
    #[error("not found")]
    NotFound,
    /// It contradicts existing rows.
    #[error("conflict: {0}")]
    Conflict(String),
    /// A field that contradicts existing rows.
    #[error("conflict: {0}")]
    ConflictAt(FieldError),
    /// Fields that contradict existing rows.
    #[error("invalid fields")]
    Invalid(Vec<FieldError>),
    /// The service's own queue is full, or another writer held the database for too long; trying again later helps.
    #[error("busy")]
    Busy,
    /// Too much is under way for this seller at once; trying again later helps.
    #[error("too much at once")]
    TooMuchAtOnce,
    /// Another node works for the seller now; nothing was changed.
    #[error("another node works for this seller now")]
    Fenced,
    /// The database is unreachable, full or read-only; as far as is known, nothing was committed.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// A row that this service cannot have written.
    #[error("corrupt row: {0}")]
    Corrupt(String),
}

impl Error {
    /// Whether the connection and its transaction are lost.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_))
    }

    /// An error in a single field; `pointer` is a JSON pointer.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, detail)])
    }
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        match &error {
            Diesel::NotFound => Self::NotFound,
            Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => Self::Conflict(info.message().to_owned()),
            // The seller that the row refers to is being deleted.
            Diesel::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => Self::NotFound,
            Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Self::Busy,
            Diesel::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, _) => {
                Self::Unavailable(error.to_string())
            }
            Diesel::DatabaseError(_, info) => sort_by_message(info.message()),
            Diesel::DeserializationError(cause) => Self::Corrupt(cause.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// By the text, since diesel passes no error codes on for these.
fn sort_by_message(message: &str) -> Error {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["database is locked", "database table is locked", "deadlock", "lock timeout", "statement timeout"]) {
        Error::Busy
    } else if says(&[
        "syntax error",
        "no such table",
        "no such column",
        "does not exist",
        "out of range",
        "invalid byte sequence",
        "CHECK constraint",
    ]) {
        Error::Corrupt(message.to_owned())
    } else {
        Error::Unavailable(message.to_owned())
    }
}

impl From<r2d2::Error> for Error {
    fn from(error: r2d2::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The result of a query.
pub type Result<T> = std::result::Result<T, Error>;
