//! An authorization that a seller has begun: a visitor is sent to a platform's consent page, and comes back with what the
//! platform hands out. What proves that the one who comes back is the one who was sent, and when it is too late.
//!
//! The visitor carries a *state*, random text of which only a digest is kept. It counts once, for minutes, for the platform
//! to which it was sent, and, where the authorization was begun in the console, for the session that began it: otherwise
//! somebody could have a shop's owner complete an authorization that another seller has begun.
use super::Timestamp;
use std::time::Duration;

/// How long a visitor may take on the platform's pages.
pub const VALID_FOR: Duration = Duration::from_secs(15 * 60);
/// The most authorizations of one seller that are under way; beginning another ends the oldest.
pub const MAX_UNDER_WAY: i64 = 20;
/// One that begins further ahead began before the clock was set back, and would last too long.
const AHEAD: Duration = Duration::from_secs(60);

/// A SHA-256 digest of a secret.
pub type Digest = [u8; 32];

/// An authorization under way, as far as it decides who may end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The connector's name.
    pub platform: String,
    /// The console's session that began it; `None` if it was begun over HTTP.
    pub session: Option<Digest>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it is too late.
    pub expires_at: Timestamp,
    /// Whether somebody has come back with it.
    pub used: bool,
}

/// Why somebody who comes back does not end an authorization. Nothing is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// There is no such authorization, or it belongs to another platform or session.
    Unknown,
    /// Another visit has ended it.
    Used,
    /// It took too long.
    Late,
}

impl Begun {
    /// Whether a visitor with this session who comes back from this platform may end it.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, platform: &str, session: Option<&Digest>, now: Timestamp) -> Result<(), Unfit> {
        if self.platform != platform || (self.session.is_some() && self.session.as_ref() != session) {
            return Err(Unfit::Unknown);
        }
        if self.used {
            return Err(Unfit::Used);
        }
        if now >= self.expires_at || self.created_at > now + AHEAD {
            return Err(Unfit::Late);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn an_authorization_counts_once_for_its_platform_its_session_and_its_minutes() {
        let minute = 60_000;
        let begun =
            Begun { platform: "shopify".into(), session: Some([1; 32]), created_at: at(0), expires_at: at(15 * minute), used: false };
        let (own, other) = (Some(&[1; 32]), Some(&[2; 32]));
        assert_eq!(begun.admits("shopify", own, at(minute)), Ok(()));
        for (platform, session, now, why) in [
            ("ebay", own, minute, Unfit::Unknown),
            ("shopify", other, minute, Unfit::Unknown),
            ("shopify", None, minute, Unfit::Unknown),
            ("shopify", own, 15 * minute, Unfit::Late),
            ("shopify", own, -2 * minute, Unfit::Late),
        ] {
            assert_eq!(begun.admits(platform, session, at(now)), Err(why), "{platform} {session:?} {now}");
        }
        let over_http = Begun { session: None, ..begun.clone() };
        assert_eq!((over_http.admits("shopify", None, at(1)), over_http.admits("shopify", other, at(1))), (Ok(()), Ok(())));
        let used = Begun { used: true, ..begun };
        assert_eq!(used.admits("shopify", own, at(1)), Err(Unfit::Used));
        assert_eq!(used.admits("shopify", other, at(1)), Err(Unfit::Unknown), "who did not begin it learns nothing");
    }
}
