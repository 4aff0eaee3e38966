//! Curves in panels, as one SVG for light and dark pages.

use std::fmt::Write as _;

/// Panels side by side, whose curves have the same names and colours.
#[derive(Debug)]
pub struct Chart {
    /// The title, which readers of the page's source and screen readers get.
    pub title: String,
    /// The names of the curves, seven at most.
    pub curves: Vec<String>,
    /// The panels, two in a row.
    pub panels: Vec<Panel>,
}

/// One panel.
#[derive(Debug)]
pub struct Panel {
    /// Its title, with the unit.
    pub title: String,
    /// The axis from left to right.
    pub x: Axis,
    /// The axis from bottom to top.
    pub y: Axis,
    /// The points of each curve, in the order of the names.
    pub points: Vec<Vec<(f64, f64)>>,
}

/// An axis from its first tick to its last one.
#[derive(Debug)]
pub struct Axis {
    /// Its name, with the unit.
    pub label: String,
    /// The marked values.
    pub ticks: Vec<f64>,
    /// Whether equal distances are equal factors; otherwise they are equal differences.
    pub is_logarithmic: bool,
}

impl Axis {
    /// An axis on which a factor is a distance.
    #[must_use]
    pub fn logarithmic(label: &str, ticks: &[f64]) -> Axis {
        Axis { label: label.to_owned(), ticks: ticks.to_vec(), is_logarithmic: true }
    }

    /// An axis from 0 to the next round number above `most`.
    #[must_use]
    pub fn linear(label: &str, most: f64) -> Axis {
        let magnitude = 10_f64.powf(most.max(1e-9).log10().floor());
        let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
        let end = steps.map(|step| step * magnitude).into_iter().find(|end| *end >= most);
        let quarter = end.unwrap_or(most) / 4.0;
        let ticks = (0..=4).map(|step| quarter * f64::from(step)).collect();
        Axis { label: label.to_owned(), ticks, is_logarithmic: false }
    }

    /// Returns where a value lies: 0 at the first tick, 1 at the last.
    fn place(&self, value: f64) -> f64 {
        let scaled = |value: f64| if self.is_logarithmic { value.log10() } else { value };
        let first = scaled(self.ticks[0]);
        let last = scaled(self.ticks[self.ticks.len() - 1]);
        ((scaled(value) - first) / (last - first)).clamp(0.0, 1.0)
    }
}

/// Sizes, in pixels.
const WIDTH: f64 = 900.0;
const LEFT: f64 = 56.0;
const PANEL_WIDTH: f64 = 376.0;
const PANEL_HEIGHT: f64 = 170.0;
const COLUMN: f64 = 448.0;
const ROW: f64 = 252.0;
const TOP: f64 = 64.0;
/// About the width of a letter.
const LETTER: f64 = 7.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.f{stroke:#8888;fill:none}\
.g{stroke:#8884}polyline{fill:none;stroke-width:1.8}.h{font-weight:600}.p{fill:#fff}\
.c0{stroke:#0969da;fill:#0969da}.c1{stroke:#cf222e;fill:#cf222e}.c2{stroke:#1a7f37;fill:#1a7f37}\
.c3{stroke:#bf8700;fill:#bf8700}.c4{stroke:#8250df;fill:#8250df}.c5{stroke:#6e7781;fill:#6e7781}\
.c6{stroke:#1b7c83;fill:#1b7c83}polyline[class]{fill:none}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.p{fill:#0d1117}\
.c0{stroke:#58a6ff;fill:#58a6ff}.c1{stroke:#ff7b72;fill:#ff7b72}.c2{stroke:#3fb950;fill:#3fb950}\
.c3{stroke:#d29922;fill:#d29922}.c4{stroke:#bc8cff;fill:#bc8cff}.c5{stroke:#8b949e;fill:#8b949e}\
.c6{stroke:#39c5cf;fill:#39c5cf}}";

impl Chart {
    /// Draws all panels.
    #[must_use]
    pub fn svg(&self) -> String {
        let rows = self.panels.len().div_ceil(2) as f64;
        let height = TOP + rows * ROW - 28.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"p\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
            self.title
        );

        let mut x = LEFT;
        for (place, name) in self.curves.iter().enumerate() {
            let text = x + 22.0;
            let _ = writeln!(
                svg,
                "<rect class=\"c{place}\" x=\"{x:.0}\" y=\"18\" width=\"16\" height=\"3\"/>\
                 <text x=\"{text:.0}\" y=\"24\">{name}</text>"
            );
            x = text + LETTER * name.chars().count() as f64 + 24.0;
        }

        for (place, panel) in self.panels.iter().enumerate() {
            let left = LEFT + COLUMN * (place % 2) as f64;
            panel.draw(&mut svg, left, TOP + ROW * (place / 2) as f64);
        }

        svg + "</svg>\n"
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, left: f64, top: f64) {
        let bottom = top + PANEL_HEIGHT;
        let right = left + PANEL_WIDTH;
        let across = |value: f64| left + PANEL_WIDTH * self.x.place(value);
        let up = |value: f64| bottom - PANEL_HEIGHT * self.y.place(value);
        let _ = writeln!(
            svg,
            "<rect class=\"f\" x=\"{left}\" y=\"{top}\" width=\"{PANEL_WIDTH}\" \
             height=\"{PANEL_HEIGHT}\"/>\n\
             <text class=\"h\" x=\"{left}\" y=\"{:.0}\">{}</text>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            top - 10.0,
            self.title,
            left + PANEL_WIDTH / 2.0,
            bottom + 36.0,
            self.x.label,
        );

        for tick in &self.x.ticks {
            let x = across(*tick);
            let below = bottom + 16.0;
            let text = written(*tick);
            let _ = writeln!(
                svg,
                "<line class=\"g\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.1}\" y=\"{below:.0}\" text-anchor=\"middle\">{text}</text>"
            );
        }
        for tick in &self.y.ticks {
            let y = up(*tick);
            let _ = writeln!(
                svg,
                "<line class=\"g\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 4.0,
                written(*tick),
            );
        }

        for (place, points) in self.points.iter().enumerate() {
            let at = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", across(*x), up(*y));
            let places: Vec<String> = points.iter().map(at).collect();
            let line = places.join(" ");
            let _ = writeln!(svg, "<polyline class=\"c{place}\" points=\"{line}\"/>");
            for point in &places {
                let (x, y) = point.split_once(',').expect("a point has two numbers");
                let _ =
                    writeln!(svg, "<circle class=\"c{place}\" cx=\"{x}\" cy=\"{y}\" r=\"2.4\"/>");
            }
        }
    }
}

/// Returns a number as an axis has it: short, and with commas between thousands.
#[must_use]
pub fn written(number: f64) -> String {
    if number.fract().abs() > 1e-9 && number < 100.0 {
        let digits = if number < 1.0 { 2 } else { 1 };
        return format!("{number:.digits$}");
    }

    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
