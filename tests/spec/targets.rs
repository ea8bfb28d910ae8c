//! Targets: what a listing should show by the rules.
use crate::support::*;
