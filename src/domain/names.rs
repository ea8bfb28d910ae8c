//! What may be repeated of the names and texts that a client made up, to it and in the log. A key that was sent as the name of a field, a
//! parameter or a column is still a key, so a name is repeated only if it looks like one.

/// The longest name that is repeated, in characters.
const MAX_CHARS: usize = 64;
/// Shorter names are never taken for secrets because of their characters.
const MIN_SECRET_CHARS: usize = 12;
/// No word of a name has this many letters; a random string may.
const MIN_RANDOM_LETTERS: usize = 20;
/// A name with this many digits is a number, a hash or a key.
const MIN_RANDOM_DIGITS: usize = 4;
/// How keys and tokens begin: this service's, those of the platforms, and some that are common elsewhere.
const SECRET_PREFIXES: [&str; 26] = [
    "stk_",
    "shpat_",
    "shpca_",
    "shppa_",
    "shpss_",
    "shpua_",
    "shptka_",
    "ck_",
    "cs_",
    "amzn1.",
    "atza",
    "atzr",
    "akia",
    "asia",
    "sk_",
    "pk_",
    "rk_",
    "whsec_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xox",
    "ya29.",
    "eyj",
];

/// Whether this name may be repeated. Every field that the service knows may be.
pub fn is_repeatable(name: &str) -> bool {
    let length = name.chars().count();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/' | '~');
    if length == 0 || length > MAX_CHARS || !name.chars().all(is_plain) {
        return false;
    }
    let lower = name.to_lowercase();
    let begins_like_a_secret = SECRET_PREFIXES.iter().any(|prefix| lower.len() > prefix.len() && lower.starts_with(prefix));
    !begins_like_a_secret && (length < MIN_SECRET_CHARS || !looks_random(name))
}

/// The text, cut off after so many characters.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Whether the characters follow each other as in a key rather than in words.
fn looks_random(name: &str) -> bool {
    let chars: Vec<char> = name.chars().collect();
    let digits = chars.iter().filter(|c| c.is_numeric()).count();
    let digit_within_letters = chars.array_windows().any(|[a, b, c]| a.is_alphabetic() && b.is_numeric() && c.is_alphabetic());
    let humps = chars.array_windows().filter(|[a, b]| a.is_lowercase() && b.is_uppercase()).count();
    let longest_word = chars.chunk_by(|a, b| a.is_alphabetic() && b.is_alphabetic() && !(a.is_lowercase() && b.is_uppercase()));
    let longest_word = longest_word.map(<[char]>::len).max().unwrap_or(0);
    digits >= MIN_RANDOM_DIGITS || digit_within_letters || humps * 4 > chars.len() || longest_word >= MIN_RANDOM_LETTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_off_between_characters() {
        assert_eq!((shortened("靴靴", 2), shortened("靴靴靴", 2)), ("靴靴".to_owned(), "靴靴…".to_owned()));
    }

    #[test]
    fn a_name_of_words_is_repeated() {
        for name in
            ["colour", "Größe", "price 2", "a/b", "a/b~c", "rateLimitPerSecond", "access_token_expires_at", "价格", "address_line_2", "sk"]
        {
            assert!(is_repeatable(name), "{name}");
        }
        // As they are, these are names; secrets only begin like them.
        assert!(SECRET_PREFIXES.into_iter().filter(|prefix| prefix.chars().all(char::is_alphanumeric)).all(is_repeatable));
    }

    #[test]
    fn a_name_may_be_as_long_as_64_characters_and_a_short_one_may_look_like_anything() {
        let words = "ab ".repeat(22);
        assert!(is_repeatable(&words[..64]) && !is_repeatable(&words[..65]));
        assert!(is_repeatable("0f1e2d3c4b5") && !is_repeatable("0f1e2d3c4b5a"));
        assert!(is_repeatable("abcDefGhiJkl") && !is_repeatable("abcDefGhJkLm"), "a capital in every fourth place is a word's");
    }

    #[test]
    fn a_name_that_may_be_a_secret_is_not_repeated() {
        for name in [
            "",
            "shpat_x",
            "SHPAT_0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "stk_kS8nd2",
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "ck_0123",
            "0f1e2d3c4b5a69788796",
            "qWeRtYuIoPaSdF",
            "correcthorsebatterystaple",
            "tok-c0ffee-planted-secret",
            "an-operator-key-for-tests-0123456789",
            "a\nb",
            "pass:word",
            "x\u{fffd}",
            &"ab ".repeat(22),
        ] {
            assert!(!is_repeatable(name), "{name}");
        }
    }
}
