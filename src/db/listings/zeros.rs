//! SKUs of digits that differ only by zeros in front, of which a spreadsheet may have lost some.
use std::collections::{HashMap, HashSet};

/// Which of these SKUs are digits that differ from another one only by zeros in front.
pub fn alike_but_for_zeros(skus: &[&str]) -> Vec<bool> {
    let without_zeros = |sku: &str| sku.bytes().all(|byte| byte.is_ascii_digit()).then(|| sku.trim_start_matches('0').to_owned());
    let mut forms: HashMap<String, HashSet<&str>> = HashMap::new();
    for sku in skus {
        if let Some(form) = without_zeros(sku) {
            forms.entry(form).or_default().insert(sku);
        }
    }
    let has_several = |form: String| forms.get(&form).is_some_and(|skus| skus.len() > 1);
    skus.iter().map(|sku| without_zeros(sku).is_some_and(has_several)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_that_differ_by_zeros_in_front_belong_together() {
        assert_eq!(alike_but_for_zeros(&["123", "A", "00123", "1230", "0123"]), [true, false, true, false, true]);
        assert_eq!(alike_but_for_zeros(&["00123", "00123", "A1", "0A1", "0", "000"]), [false, false, false, false, true, true]);
    }
}
