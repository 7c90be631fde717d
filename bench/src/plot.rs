//! The picture: requests per second of each server, and by number of connections.

use crate::goals::steps;
use crate::report::thousands;
use crate::sample::{Figure, Scenario};
use crate::server::Name;
use crate::summary::Run;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 1000;
const ROW: u32 = 26;
const TITLE: u32 = 34;
/// Where bars begin, in px.
const LEFT: i32 = 230;

/// # Panics
/// If `file` cannot be written.
pub fn draw(run: &Run, file: &Path) {
    try_draw(run, file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn try_draw(run: &Run, file: &Path) -> Result {
    let panels = [
        (
            Scenario::Get,
            "GET /hello/<username>, requests/s, 64 connections",
        ),
        (
            Scenario::Put,
            "PUT /hello/<username>, requests/s, 64 connections, durable",
        ),
    ];
    let rows = panels.map(|(scenario, title)| (title, bars(run, scenario)));
    let height = |bars: &[Bar]| {
        if bars.is_empty() {
            0
        } else {
            TITLE + ROW * u32::try_from(bars.len()).unwrap_or(0)
        }
    };
    let lines = if steps(run, Name::Postgres).is_empty() {
        0
    } else {
        320
    };
    let total = rows.iter().map(|(_, bars)| height(bars)).sum::<u32>() + lines;
    let root = SVGBackend::new(file, (WIDTH, total.max(ROW))).into_drawing_area();
    root.fill(&WHITE)?;
    let mut rest = root.clone();
    for (title, bars) in &rows {
        if bars.is_empty() {
            continue;
        }
        let (area, below) = rest.split_vertically(height(bars));
        draw_bars(&area, title, bars)?;
        rest = below;
    }
    if lines > 0 {
        draw_lines(&rest, run)?;
    }
    root.present()?;
    Ok(())
}

struct Bar {
    server: Name,
    per_second: f64,
}

/// The fastest first.
fn bars(run: &Run, scenario: Scenario) -> Vec<Bar> {
    let bar = |server| {
        let per_second = run.spread(scenario, server, Figure::PerSecond)?.median;
        Some(Bar { server, per_second })
    };
    let mut bars: Vec<Bar> = Name::ALL.into_iter().filter_map(bar).collect();
    bars.sort_by(|one, other| other.per_second.total_cmp(&one.per_second));
    bars
}

fn colour(server: Name) -> RGBColor {
    match server {
        Name::Postgres => RGBColor(200, 60, 40),
        Name::Sqlite => RGBColor(230, 130, 60),
        Name::Memory => RGBColor(240, 180, 90),
        Name::Deadpool => RGBColor(40, 90, 160),
        Name::Sqlx => RGBColor(100, 150, 200),
        Name::Spin => RGBColor(110, 110, 110),
        Name::FastApi => RGBColor(160, 160, 160),
    }
}

fn draw_bars(area: &Area<'_>, title: &str, bars: &[Bar]) -> Result {
    let text = ("sans-serif", 14).into_text_style(area);
    area.draw_text(title, &("sans-serif", 16).into_text_style(area), (10, 10))?;
    let most = bars.first().map_or(1.0, |bar| bar.per_second);
    let room = f64::from(WIDTH) - f64::from(LEFT) - 90.0;
    for (row, bar) in bars.iter().enumerate() {
        let top = i32::try_from(TITLE + ROW * u32::try_from(row)?)?;
        #[expect(clippy::cast_possible_truncation, reason = "pixels")]
        let right = LEFT + (room * bar.per_second / most) as i32;
        let filled = colour(bar.server).filled();
        area.draw(&Rectangle::new([(LEFT, top), (right, top + 18)], filled))?;
        area.draw_text(bar.server.text(), &text, (10, top + 3))?;
        area.draw_text(&thousands(bar.per_second), &text, (right + 6, top + 3))?;
    }
    Ok(())
}

fn draw_lines(area: &Area<'_>, run: &Run) -> Result {
    let lines: Vec<(Name, Vec<(u32, f64)>)> = Name::ALL
        .into_iter()
        .map(|server| (server, steps(run, server)))
        .filter(|(_, steps)| !steps.is_empty())
        .collect();
    let most = lines
        .iter()
        .flat_map(|(_, steps)| steps)
        .map(|(_, rate)| *rate)
        .fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(
            "GET /hello/<username>, requests/s, by connections",
            ("sans-serif", 16),
        )
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d((1_u32..1200_u32).log_scale(), 0.0..most * 1.4)?;
    chart
        .configure_mesh()
        .x_desc("connections")
        .y_label_formatter(&|rate| thousands(*rate))
        .draw()?;
    for (server, steps) in lines {
        let colour = colour(server);
        chart
            .draw_series(LineSeries::new(steps, colour.stroke_width(2)).point_size(3))?
            .label(server.text())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
