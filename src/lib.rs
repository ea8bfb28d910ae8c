//! Stocktide keeps the stock shown in sellers' online stores true.
pub mod clock;
pub mod domain;
pub mod platforms;
