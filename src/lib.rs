//! Stocktide keeps the stock shown in sellers' online stores true.
pub mod actors;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod demo;
pub mod domain;
pub mod http;
pub mod platforms;
pub mod simulator;
pub mod telemetry;
