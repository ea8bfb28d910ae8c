//! What can go wrong with rows, sorted by what the caller does next.
use crate::domain::FieldError;
use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// An error of the database layer.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No such row, or not this seller's.
    #[error("not found")]
    NotFound,
    /// It contradicts what is there.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Fields that do not go with the rows that are there.
    #[error("invalid fields")]
    Invalid(Vec<FieldError>),
    /// The service's own queue is full, or another writer held the database too long; later it will do.
    #[error("busy")]
    Busy,
    /// The database is gone, full or read-only; nothing was committed, as far as is known.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// A row that no code of ours could have written.
    #[error("corrupt row: {0}")]
    Corrupt(String),
}

impl Error {
    /// The connection and all that was done on it in this transaction are lost.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_))
    }

    /// One bad field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, detail)])
    }
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        match &error {
            Diesel::NotFound => Self::NotFound,
            Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => Self::Conflict(info.message().to_owned()),
            // A foreign key to a seller that is being deleted.
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

/// Neither backend gives us codes for these through diesel.
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

/// What a query answers.
pub type Result<T> = std::result::Result<T, Error>;
