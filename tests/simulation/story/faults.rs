//! What can go wrong in a story.
use stocktide::simulator::Misbehavior;

/// What happens to the next call to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetFault {
    Refused,
    Throttled {
        retry_after_s: u64,
    },
    ErrorBefore,
    ErrorAfter,
    CutBefore,
    LostAnswer,
    /// Nothing is applied and no answer comes.
    Silence,
    /// Applied, but the answer is garbage with status 200.
    Garbage,
    /// Applied; the answer takes this long.
    Slow {
        ms: u32,
    },
    /// Cut at once, applied after this delay, which is within the settle time.
    LateWithin {
        ms: u32,
    },
    /// Cut at once, applied after this delay, which is longer than the settle time.
    LateAfter {
        ms: u32,
    },
    /// The shop, its proxy or its firewall misbehaves.
    Odd(Misbehavior),
    /// Applied; each row delays the answer this much. Befalls calls with so many rows that the answer comes too late.
    SlowRows {
        ms: u32,
    },
    /// Applied; the answer is too large because of its rows. Befalls calls with several.
    LargeRows,
}

/// Why a listing is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Item,
    WholeCall,
    Untracked,
}

/// What is wrong with the way into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayIn {
    /// The token has expired.
    Token,
    /// The token may read, but not write.
    Scopes,
    /// The shop has moved to another address; a firewall answers at the old one.
    Address,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbFault {
    /// The work is not done, and an error is returned.
    Fails,
    /// The work is done, but the answer to the commit is lost.
    AnswerLost,
    /// The work takes this long.
    Slow { ms: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    Refused,
    Errors,
    Silence,
    Throttled,
}
