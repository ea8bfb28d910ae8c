//! What the console keeps in memory while the service runs.
use super::figures::Figures;
use crate::http::open_streams::Streams;
use crate::http::throttle::Throttle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Failed sign-ins allowed from one address within [`FAILED_SIGN_INS_WITHIN`].
const MAX_FAILED_SIGN_INS: u32 = 10;
const FAILED_SIGN_INS_WITHIN: Duration = Duration::from_secs(300);

/// The console's state in memory. Sessions are in the database.
#[derive(Debug)]
pub struct Console {
    /// Whether browsers reach the console over https even if no proxy says so.
    pub https: bool,
    /// Ends streams and the sampling of figures.
    pub stopping: CancellationToken,
    pub(in crate::http) streams: Streams,
    pub(super) sign_ins: Throttle,
    pub(super) figures: Figures,
}

impl Console {
    /// A console without open streams, failed sign-ins or figures.
    pub fn new(https: bool, stopping: CancellationToken) -> Self {
        let sign_ins = Throttle::new(MAX_FAILED_SIGN_INS, FAILED_SIGN_INS_WITHIN);
        Self { https, stopping, streams: Streams::default(), sign_ins, figures: Figures::default() }
    }
}
