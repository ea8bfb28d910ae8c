//! A small SVG plot: one line over the last minutes, with its current and its highest value.
use super::show::units;
use askama::Template;
use askama::filters::HtmlSafe;
use std::fmt::Write as _;

/// The size of the drawing, in SVG units.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 60.0;

#[derive(Debug, Template)]
#[template(path = "part/plot.html")]
pub(super) struct Plot {
    title: String,
    unit: &'static str,
    now: Option<String>,
    highest: String,
    lines: Vec<String>,
    area: Vec<String>,
    minutes: u64,
}
impl HtmlSafe for Plot {}

fn short(value: f64) -> String {
    match value {
        v if v >= 100.0 || v.fract() == 0.0 =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "what is plotted is far below 2^63")]
            units(v.round() as i64)
        }
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

impl Plot {
    /// Plots evenly spaced values, oldest first, over this many minutes. A missing value leaves a gap.
    pub fn new(title: impl Into<String>, unit: &'static str, minutes: u64, values: Vec<Option<f64>>) -> Self {
        let highest = values.iter().flatten().copied().fold(0.0, f64::max);
        let scale = if highest > 0.0 { HEIGHT / highest } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
        let step = WIDTH / (values.len().saturating_sub(1).max(1)) as f64;
        let (mut lines, mut area) = (Vec::new(), Vec::new());
        for stretch in stretches(&values) {
            let (mut line, mut last_x, mut first_x) = (String::new(), 0.0, None);
            for (index, value) in stretch {
                #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
                let x = index as f64 * step;
                write!(line, "{x:.1},{:.1} ", HEIGHT - value * scale).ok();
                first_x.get_or_insert(x);
                last_x = x;
            }
            area.push(format!("{:.1},{HEIGHT} {line}{last_x:.1},{HEIGHT}", first_x.unwrap_or(0.0)));
            lines.push(line.trim_end().to_owned());
        }
        let now = values.last().copied().flatten();
        Self { title: title.into(), unit, minutes, now: now.map(short), highest: short(highest), lines, area }
    }
}

/// The stretches without a gap, each value with its index.
fn stretches(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut found: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut open = false;
    for (index, value) in values.iter().enumerate() {
        match (value, found.last_mut()) {
            (Some(value), Some(stretch)) if open => stretch.push((index, *value)),
            (Some(value), _) => found.push(vec![(index, *value)]),
            (None, _) => {}
        }
        open = value.is_some();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line_and_the_highest_value_reaches_the_top() {
        let plot = Plot::new("t", "u", 1, vec![Some(1.0), Some(2.0), None, Some(0.0)]);
        assert_eq!(plot.lines, ["0.0,30.0 100.0,0.0", "300.0,60.0"]);
        assert_eq!((plot.now.as_deref(), plot.highest.as_str()), (Some("0"), "2"));
        assert_eq!(Plot::new("t", "u", 1, vec![None, None]).now, None);
    }
}
