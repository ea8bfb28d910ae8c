//! The header `traceparent` of the W3C's Trace Context, level 1.

/// The span of whoever has sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// Whether its sender records the trace.
    pub is_sampled: bool,
}

/// Reads the header; `None` if it is to be ignored.
pub fn parse(text: &str) -> Option<Parent> {
    let mut parts = text.trim().split('-');
    let [version, trace, span, flags] = [hex(parts.next()?)?, hex(parts.next()?)?, hex(parts.next()?)?, hex(parts.next()?)?];
    // What a later version adds comes after these.
    if version == [0xff] || version.len() != 1 || (version == [0] && parts.next().is_some()) {
        return None;
    }
    let [flags]: [u8; 1] = flags.try_into().ok()?;
    let (trace, span): ([u8; 16], [u8; 8]) = (trace.try_into().ok()?, span.try_into().ok()?);
    (trace != [0; 16] && span != [0; 8]).then_some(Parent { trace, span, is_sampled: flags & 1 == 1 })
}

/// Lowercase digits only, as the standard wants it.
fn hex(text: &str) -> Option<Vec<u8>> {
    if text.contains(|c: char| c.is_ascii_uppercase()) { None } else { hex::decode(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_header_of_the_standard_is_read() {
        let parent = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((hex::encode(parent.trace).as_str(), hex::encode(parent.span).as_str(), parent.is_sampled), (TRACE, SPAN, true));
        let sampled = |text: String| parse(&text).map(|parent| parent.is_sampled);
        assert_eq!(sampled(format!("00-{TRACE}-{SPAN}-00")), Some(false));
        assert_eq!(sampled(format!("00-{TRACE}-{SPAN}-03")), Some(true));
        assert_eq!(sampled(format!(" 00-{TRACE}-{SPAN}-01 ")), Some(true));
        assert_eq!(sampled(format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings")), Some(true));
    }

    #[test]
    fn anything_else_is_ignored() {
        for text in [
            String::new(),
            "nonsense".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}00-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00_{TRACE}_{SPAN}_01"),
            "é".repeat(55),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
