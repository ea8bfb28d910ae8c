//! SKUs that people take for the same: `abc-1`, `ABC-1`, `АВС-1` in Cyrillic, `ABC 1` with a zero-width character.
//!
//! Nothing is ever merged because of this. A new SKU is only pointed out when it looks like one that exists.
use unicode_security::confusable_detection::skeleton;

/// The most characters of a folded SKU. Some characters fold to a whole phrase, and what is stored is indexed.
const MAX_FOLDED: usize = 200;

/// The form that SKUs share if they differ only in case, spaces, width, invisible characters or letters that look alike,
/// by the confusables of UTS 39, or, where they consist of digits, only in zeros in front, which spreadsheet programs take away.
/// It is stored: if it changes, what is stored has to be folded again.
pub fn fold(sku: &str) -> String {
    let is_number = sku.bytes().all(|byte| byte.is_ascii_digit());
    let sku = if is_number { sku.trim_start_matches('0') } else { sku };
    let visible: String = sku.chars().filter(|c| !c.is_whitespace()).collect();
    // Once before the case is folded, because capitals of other scripts look like ours where the small letters do not;
    // once after it, for small letters that do.
    let capitals: String = skeleton(&visible).collect();
    let lower = capitals.to_lowercase();
    let alike = |c| match c {
        'i' | '1' | '|' => 'l',
        '0' => 'o',
        other => other,
    };
    skeleton(&lower).filter(|c| !c.is_whitespace()).map(alike).take(MAX_FOLDED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_that_look_the_same_have_the_same_form() {
        for (known, new) in [
            ("ABC-1", "abc-1"),
            ("ABC-1", "ABC -1"),
            ("ABC-1", "ABC\u{a0}-1"),
            ("ABC-1", "ABC\u{200b}-1"),
            ("ABC-1", "\u{feff}ABC-1"),
            ("ABC-1", "\u{ff21}\u{ff22}\u{ff23}-\u{ff11}"),
            ("ABC-1", "\u{410}\u{412}\u{421}-1"),
            ("SKU-10", "SKU-1O"),
            ("SKI", "ski"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("A-1", "A\u{2013}1"),
            ("00123", "123"),
            ("0", "000"),
        ] {
            assert_eq!(fold(known), fold(new), "{known} {new:?}");
        }
    }

    #[test]
    fn other_skus_have_other_forms_and_none_is_long() {
        for (one, other) in
            [("ABC-1", "ABC-2"), ("ABC1", "ABC-1"), ("A", "AA"), ("0A", "A"), ("123", "1230"), ("赤い靴", "青い靴"), ("caf\u{e9}", "cafe")]
        {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
        assert_eq!(fold(&"\u{fdfa}".repeat(128)).chars().count().max(MAX_FOLDED), MAX_FOLDED);
    }
}
