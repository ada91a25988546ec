//! The figures, ratios first: only those can be compared between machines.

use crate::load::Sample;

/// One thing that was measured, several times.
pub struct Row {
    /// What was done.
    pub what: &'static str,
    /// How often per second, per round.
    pub rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Row {
    /// Nothing measured yet.
    pub fn new(what: &'static str) -> Self {
        Self { what, rates: Vec::new(), p50: Vec::new(), p99: Vec::new() }
    }

    /// One round over HTTP.
    pub fn add(&mut self, sample: &Sample) {
        self.rates.push(sample.per_second);
        self.p50.push(sample.p50);
        self.p99.push(sample.p99);
    }

    fn cells(&self) -> [String; 4] {
        let rate = |rate: f64| format!("{rate:.0}");
        let time = |times: &[f64]| match median(times) {
            Some(median) if median < 1.0 => format!("{median:.3}"),
            Some(median) if median < 10.0 => format!("{median:.2}"),
            Some(median) => format!("{median:.1}"),
            None => "-".to_owned(),
        };
        let (least, most) = range(&self.rates);
        [
            median(&self.rates).map(rate).unwrap_or_default(),
            format!("{} to {}", rate(least), rate(most)),
            time(&self.p50),
            time(&self.p99),
        ]
    }
}

/// Everything that was measured on one engine.
pub struct Table {
    /// The engine.
    pub title: &'static str,
    /// What is divided by what, and the median and range of the rounds' quotients.
    pub ratios: Vec<(String, [String; 2])>,
    /// The figures.
    pub rows: Vec<Row>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

impl Table {
    /// Nothing measured yet.
    pub fn new(title: &'static str) -> Self {
        Self { title, ratios: Vec::new(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Compares two rows round by round: both had the same machine then.
    pub fn ratio(&mut self, of: &Row, to: &Row) {
        let quotients: Vec<f64> = of.rates.iter().zip(&to.rates).map(|(of, to)| of / to).collect();
        let (least, most) = range(&quotients);
        let name = format!("{} : {}", of.what, to.what);
        let median = median(&quotients).unwrap_or_default();
        self.ratios.push((name, [format!("{median:.2}"), format!("{least:.2} to {most:.2}")]));
    }

    /// Compares how long two rows took, round by round.
    pub fn latency(&mut self, of: &Row, to: &Row) {
        for (percent, of_times, to_times) in [("p50", &of.p50, &to.p50), ("p99", &of.p99, &to.p99)]
        {
            let quotients: Vec<f64> =
                of_times.iter().zip(to_times).map(|(of, to)| of / to).collect();
            let (least, most) = range(&quotients);
            let middle = median(&quotients).unwrap_or_default();
            let name = format!("{percent} {} : {}", of.what, to.what);
            self.ratios.push((name, [format!("{middle:.2}"), format!("{least:.2} to {most:.2}")]));
        }
    }

    /// Compares the medians of all rows with that of the first.
    pub fn growth(&mut self) {
        let Some(first) = self.rows.first().and_then(|row| median(&row.p50)) else { return };
        for row in self.rows.iter().skip(1) {
            let times = |p50: f64| format!("{:.2}", p50 / first);
            let (least, most) = range(&row.p50);
            let middle = median(&row.p50).map(times).unwrap_or_default();
            let name = format!("p50 {} : the first", row.what);
            self.ratios.push((name, [middle, format!("{} to {}", times(least), times(most))]));
        }
    }

    /// For the terminal.
    pub fn as_text(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        for (what, [median, range]) in &self.ratios {
            text += &format!("  {what:<66} {median:>5}  ({range})\n");
        }
        text += &format!(
            "\n  {:<48} {:>7}  {:>16}  {:>8} {:>8}\n",
            "", "per s", "range", "p50 ms", "p99 ms"
        );
        for row in &self.rows {
            let [rate, range, p50, p99] = row.cells();
            text += &format!("  {:<48} {rate:>7}  {range:>16}  {p50:>8} {p99:>8}\n", row.what);
        }
        for note in &self.notes {
            text += &format!("\n  {note}\n");
        }
        text
    }

    /// For docs/performance.md.
    pub fn as_markdown(&self) -> String {
        let mut text = format!("### {}\n\n| ratio | median | range |\n|---|---|---|\n", self.title);
        for (what, [median, range]) in &self.ratios {
            text += &format!("| {what} | **{median}** | {range} |\n");
        }
        text += "\n| | per second | range | p50 ms | p99 ms |\n|---|---|---|---|---|\n";
        for row in &self.rows {
            text += &format!("| {} | {} |\n", row.what, row.cells().join(" | "));
        }
        for note in &self.notes {
            text += &format!("\n{note}\n");
        }
        text
    }
}

fn range(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(0.0, f64::max))
}

/// The middle one; `None` where there is nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
