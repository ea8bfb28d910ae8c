//! Stocktide keeps the stock shown in sellers' online stores true.
pub mod actors;
pub mod clock;
pub mod db;
pub mod domain;
pub mod http;
pub mod platforms;
pub mod simulator;
