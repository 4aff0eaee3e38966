//! The curves of a run as one SVG, for light and dark pages.

use std::fmt::Write as _;

use crate::sample::Sample;

type Curve = (&'static str, fn(&Sample) -> f64);

/// The panels, each with its curves.
const PANELS: [(&str, &[Curve]); 7] = [
    ("memory, MiB", &[("system", |s| s.memory), ("largest function", |s| s.function_memory)]),
    (
        "descriptors",
        &[("system", |s| s.descriptors), ("fullest function", |s| s.function_descriptors)],
    ),
    ("processes of functions", &[("processes", |s| s.processes)]),
    ("outbox", &[("conversations due", |s| s.outbox), ("leases", |s| s.leases)]),
    ("queues and connections", &[("records", |s| s.queued), ("connections", |s| s.connections)]),
    ("files", &[("kept", |s| s.files), ("temporary", |s| s.temporary)]),
    ("201 after, ms", &[("p50", |s| s.half), ("p99", |s| s.most)]),
];

/// Sizes, in pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 96.0;
const GAP: f64 = 46.0;
const LEFT: f64 = 64.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.a{stroke:#0969da}\
.b{stroke:#cf222e}.ka{fill:#0969da}.kb{fill:#cf222e}polyline{fill:none;stroke-width:1.5}.f{stroke:#8888;fill:none}\
.p{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.p{fill:#0d1117}.a{stroke:#58a6ff}\
.b{stroke:#ff7b72}.ka{fill:#58a6ff}.kb{fill:#ff7b72}}";

/// Draws all panels, one below the other, over the same time.
pub(crate) fn draw(samples: &[Sample]) -> String {
    let height = (HEIGHT + GAP) * PANELS.len() as f64 + 24.0;
    let end = samples.last().map_or(1.0, |sample| sample.at).max(1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>What a soak holds over time</title>\n<style>{STYLE}</style>\n\
         <rect class=\"p\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );

    for (place, (title, curves)) in PANELS.iter().enumerate() {
        let top = (HEIGHT + GAP) * place as f64 + 30.0;
        draw_panel(&mut svg, top, title, curves, samples, end);
    }

    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.0}\">0 s</text>", height - 8.0);
    let right = WIDTH - 8.0;
    let bottom = height - 8.0;
    let _ = writeln!(
        svg,
        "<text x=\"{right}\" y=\"{bottom:.0}\" text-anchor=\"end\">{end:.0} s</text>"
    );
    svg + "</svg>\n"
}

fn draw_panel(
    svg: &mut String,
    top: f64,
    title: &str,
    curves: &[Curve],
    samples: &[Sample],
    end: f64,
) {
    let width = WIDTH - LEFT - 8.0;
    let values = curves.iter().flat_map(|(_, of)| samples.iter().map(of));
    let most = values.filter(|value| value.is_finite()).fold(1.0, f64::max);
    let above = top - 8.0;
    let bottom = top + HEIGHT;
    let _ = writeln!(
        svg,
        "<rect class=\"f\" x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{HEIGHT}\"/>\n\
         <text x=\"{LEFT}\" y=\"{above}\" font-weight=\"600\">{title}</text>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most:.0}</text>\n\
         <text x=\"{:.0}\" y=\"{bottom}\" text-anchor=\"end\">0</text>",
        LEFT - 6.0,
        top + 10.0,
        LEFT - 6.0,
    );

    for ((name, of), (class, column)) in curves.iter().zip([("a", 0.0), ("b", 1.0)]) {
        let finite = samples.iter().filter(|sample| of(sample).is_finite());
        let points: Vec<String> = finite
            .map(|sample| {
                let x = LEFT + width * sample.at / end;
                let y = bottom - HEIGHT * of(sample) / most;
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
        let x = LEFT + 220.0 + 170.0 * column;
        let _ = writeln!(svg, "<text class=\"k{class}\" x=\"{x}\" y=\"{above}\">{name}</text>");
    }
}
