//! The geometry of a report's pictures: scales, axes and shapes, as numbers for the page's template.
//!
//! Horizontal places are percentages, so that a picture is as wide as its page while its letters keep their size; vertical
//! ones are pixels.
use super::numbers::{seconds_text, short};

/// The height of the area in which values are drawn, in pixels.
const PLOT: f64 = 200.0;
/// The space above it for the highest label of the scale.
const MARGIN: f64 = 20.0;
/// The height of a row of labels.
const ROW: f64 = 18.0;
/// The most labels below a picture: they must fit on a phone.
const MOST_LABELS: usize = 6;
/// The most lines of the vertical scale above zero.
const MOST_LINES: usize = 4;
/// Shapes are drawn on a square of this size, which is then stretched.
const SQUARE: f64 = 1000.0;

/// A picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Chart {
    pub(super) height: f64,
    /// The top edge of the area in which values are drawn.
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) plot: f64,
    pub(super) lines: Vec<ScaleLine>,
    pub(super) labels: Vec<Label>,
    pub(super) bars: Vec<Bar>,
    pub(super) curves: Vec<Curve>,
    pub(super) marks: Vec<Mark>,
}

/// A horizontal line of the scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScaleLine {
    pub(super) y: f64,
    pub(super) text: String,
}

/// A label below the picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) percent: f64,
    /// The value of `text-anchor`.
    pub(super) anchor: &'static str,
    pub(super) text: String,
}

/// A bar, on the square.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) text: String,
}

/// A step line and the area below it, on the square.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    pub(super) class: &'static str,
    pub(super) line: String,
    pub(super) area: String,
}

/// A labelled vertical line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) percent: f64,
    pub(super) anchor: &'static str,
    /// The distance from the line to its label.
    pub(super) dx: f64,
    pub(super) text_y: f64,
    pub(super) from_y: f64,
    pub(super) text: String,
}

/// One figure for each interval.
pub(super) struct Series {
    pub(super) class: &'static str,
    pub(super) values: Vec<f64>,
}

/// A value with its label.
pub(super) type Named = (f64, String);

/// Step lines over time: each value holds for one of the intervals, which last `interval` seconds.
pub(super) fn over_time(series: &[Series], interval: f64) -> Chart {
    let count = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
    let highest = series.iter().flat_map(|one| &one.values).copied().fold(0.0, f64::max);
    let (lines, top_value) = scale(highest, MARGIN);
    let span = interval * number(count);
    let at = |seconds: f64| if span > 0.0 { seconds / span * 100.0 } else { 0.0 };
    let last = steps(span, MOST_LABELS - 1).into_iter().filter(|seconds| *seconds <= span * 1.000_001);
    let labels = last.map(|seconds| label(at(seconds), seconds_text(seconds))).collect();
    let curve = |one: &Series| {
        let width = SQUARE / number(one.values.len().max(1));
        let y = |value: f64| SQUARE - (value / top_value).clamp(0.0, 1.0) * SQUARE;
        let steps = one.values.iter().enumerate().flat_map(|(n, value)| {
            let (x, y) = (number(n) * width, y(*value));
            [format!("{x:.1},{y:.1}"), format!("{:.1},{y:.1}", x + width)]
        });
        let line = steps.collect::<Vec<_>>().join(" ");
        let area = format!("0,{SQUARE} {line} {SQUARE},{SQUARE}");
        Curve { class: one.class, line, area }
    };
    let curves = series.iter().map(curve).collect();
    Chart { lines, labels, curves, ..frame(MARGIN) }
}

/// A histogram over a logarithmic scale: bars `(from, to, count, text)`, and marks at some values.
pub(super) fn logarithmic(bars: &[(f64, f64, f64, String)], marks: &[Named], label_of: impl Fn(f64) -> String) -> Chart {
    // A bar that begins at zero has no place on the scale: it is drawn half a decade wide.
    let from = |bar: &(f64, f64, f64, String)| if bar.0 > 0.0 { bar.0 } else { bar.1 / 10_f64.sqrt() };
    let Some((first, last)) = bars.first().zip(bars.last()) else { return Chart::default() };
    let lowest = from(first).log10().floor();
    let highest = (last.1.log10() - 1e-9).ceil().max(lowest + 1.0);
    let at = |value: f64| ((value.log10() - lowest) / (highest - lowest)).clamp(0.0, 1.0);
    let top = MARGIN + ROW * number(marks.len());
    let (lines, top_value) = scale(bars.iter().map(|bar| bar.2).fold(0.0, f64::max), top);
    let drawn = |bar: &(f64, f64, f64, String)| {
        let (x, height) = (at(from(bar)) * SQUARE, bar.2 / top_value * SQUARE);
        Bar { x, width: at(bar.1) * SQUARE - x, y: SQUARE - height, height, text: bar.3.clone() }
    };
    let mark = |(row, (value, text)): (usize, &Named)| {
        let percent = at(*value) * 100.0;
        let text_y = ROW * (number(row) + 0.75);
        let (anchor, dx) = if percent > 50.0 { ("end", -6.0) } else { ("start", 6.0) };
        Mark { percent, anchor, dx, text_y, from_y: ROW * number(row), text: text.clone() }
    };
    Chart {
        lines,
        labels: decades(lowest, highest).into_iter().map(|value| label(at(value) * 100.0, label_of(value))).collect(),
        bars: bars.iter().filter(|bar| bar.2 > 0.0).map(drawn).collect(),
        marks: marks.iter().enumerate().map(mark).collect(),
        ..frame(top)
    }
}

/// The labels of a logarithmic scale between these powers of ten: few enough, and one for each decade or several.
fn decades(lowest: f64, highest: f64) -> Vec<f64> {
    let spanned = highest - lowest;
    let every = (spanned / number(MOST_LABELS - 1)).ceil().max(1.0);
    let mut found = Vec::new();
    let mut power = lowest;
    while power <= highest {
        found.push(10_f64.powf(power));
        if spanned <= 1.0 && power < highest {
            found.extend([2.0, 5.0].map(|step| step * 10_f64.powf(power)));
        }
        power += every;
    }
    found
}

fn frame(top: f64) -> Chart {
    Chart { height: top + PLOT + ROW, top, bottom: top + PLOT, plot: PLOT, ..Chart::default() }
}

/// The lines of a linear scale from zero, below `top`, and the value at its top.
fn scale(highest: f64, top: f64) -> (Vec<ScaleLine>, f64) {
    let values = steps(highest, MOST_LINES);
    let top_value = values.last().copied().filter(|value| *value > 0.0).unwrap_or(1.0);
    let line = |value: &f64| ScaleLine { y: top + PLOT - value / top_value * PLOT, text: short(*value) };
    (values.iter().map(line).collect(), top_value)
}

/// Zero and the multiples of a round step (1, 2 or 5 × a power of ten) up to the first that reaches `highest`; at most
/// `most` besides zero.
fn steps(highest: f64, most: usize) -> Vec<f64> {
    if !(highest.is_finite() && highest > 0.0) {
        return vec![0.0, 1.0];
    }
    let least = highest / number(most.max(1));
    let decade = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade).into_iter().find(|step| *step >= least * 0.999_999);
    let step = step.unwrap_or(10.0 * decade);
    (0..=most).map(|n| number(n) * step).take_while(|value| *value < highest * 0.999_999 + step).collect()
}

fn label(percent: f64, text: String) -> Label {
    let anchor = match percent {
        p if p < 4.0 => "start",
        p if p > 96.0 => "end",
        _ => "middle",
    };
    Label { percent, anchor, text }
}

#[expect(clippy::cast_precision_loss, reason = "positions and counts of a picture")]
fn number(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::super::numbers::ms_text;
    use super::*;

    #[test]
    fn scales_have_few_round_steps_and_reach_the_highest_value() {
        assert_eq!(steps(7.0, 4), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(steps(8.0, 4), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(steps(101.0, 4), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(steps(0.0, 4), [0.0, 1.0]);
        for highest in [1e-9, 0.3, 1.0, 999.0, 1e18, u64::MAX as f64] {
            let found = steps(highest, 4);
            assert!((2..=5).contains(&found.len()) && *found.last().unwrap() >= highest * 0.999, "{highest}: {found:?}");
        }
    }

    #[test]
    fn a_step_line_holds_each_value_for_its_interval_and_begins_and_ends_at_the_edges() {
        let chart = over_time(&[Series { class: "a", values: vec![2.0, 0.0] }], 0.5);
        assert_eq!(chart.curves[0].line, "0.0,0.0 500.0,0.0 500.0,1000.0 1000.0,1000.0");
        assert_eq!(chart.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["0", "0.5", "1", "1.5", "2"]);
        let labels: Vec<_> = chart.labels.iter().map(|label| (label.text.as_str(), label.percent, label.anchor)).collect();
        assert_eq!(labels[0], ("0 s", 0.0, "start"));
        assert_eq!(labels.last().unwrap(), &("1 s", 100.0, "end"));
    }

    #[test]
    fn a_single_interval_is_a_line_over_the_whole_width_and_none_is_nothing() {
        assert_eq!(over_time(&[Series { class: "a", values: vec![1.0] }], 1.0).curves[0].line, "0.0,0.0 1000.0,0.0");
        let empty = over_time(&[Series { class: "a", values: vec![] }], 0.0);
        assert_eq!((empty.curves[0].line.as_str(), empty.lines.len()), ("", 2));
        assert!(empty.labels.iter().all(|label| label.percent.is_finite()));
    }

    #[test]
    fn bars_lie_between_their_bounds_on_a_logarithmic_scale() {
        let bar = |from, to, count: f64| (from, to, count, String::new());
        let chart = logarithmic(&[bar(0.0, 0.1, 1.0), bar(10.0, 100.0, 4.0)], &[(10.0, "p50".to_owned())], ms_text);
        let places: Vec<_> = chart.bars.iter().map(|bar| (bar.x.round(), bar.width.round(), bar.height.round())).collect();
        assert_eq!(places, [(125.0, 125.0, 250.0), (750.0, 250.0, 1000.0)]);
        assert_eq!((chart.marks[0].percent, chart.marks[0].anchor), (75.0, "end"));
        let labels: Vec<_> = chart.labels.iter().map(|label| label.text.as_str()).collect();
        assert_eq!(labels, ["0.01 ms", "0.1 ms", "1 ms", "10 ms", "100 ms"]);
        assert_eq!(logarithmic(&[], &[], ms_text), Chart::default());
    }

    #[test]
    fn one_bar_gets_a_decade_of_its_own() {
        let chart = logarithmic(&[(16.0, 20.0, 3.0, String::new())], &[], ms_text);
        let labels: Vec<_> = chart.labels.iter().map(|label| label.text.as_str()).collect();
        assert_eq!(labels, ["10 ms", "20 ms", "50 ms", "100 ms"]);
        assert_eq!(decades(2.0, 4.0), [100.0, 1_000.0, 10_000.0], "more would not fit on a phone");
        assert!(chart.bars[0].width > 90.0 && chart.bars[0].width < 100.0, "{:?}", chart.bars);
    }
}
