//! The tables for readers.

use crate::goals::goals;
use crate::sample::{Figure, Sample, Scenario};
use crate::server::Name;
use crate::summary::{Run, Spread};
use std::fmt::Write as _;

pub fn markdown(run: &Run) -> String {
    let mut text = String::new();
    for (scenario, title) in [
        (Scenario::Get, "`GET /hello/<username>`, 64 connections"),
        (
            Scenario::Put,
            "`PUT /hello/<username>`, durable, 64 connections",
        ),
        (
            Scenario::Health,
            "`GET /health`, without database, 64 connections",
        ),
        (
            Scenario::Rate,
            "`GET /hello/<username>` at 70 % of the highest load of each",
        ),
        (
            Scenario::SameRate,
            "`GET /hello/<username>` at one rate for all, 70 % of the highest load of the slowest",
        ),
    ] {
        text += &table(run, scenario, title);
    }
    text += &memory(run);
    text += &goals_table(run);
    text + "\n" + &run.machine.markdown()
}

fn goals_table(run: &Run) -> String {
    let mut text = "| goal | | measured | |\n|---|---|---|---|\n".to_owned();
    for goal in goals(run) {
        let (measured, mark) = match (goal.measured, goal.is_reached()) {
            (Some(measured), Some(true)) => (format!("{measured:.2}"), "reached"),
            (Some(measured), _) => (format!("{measured:.2}"), "**missed**"),
            (None, _) => ("not measured".to_owned(), ""),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {measured} | {mark} |",
            goal.what, goal.bound
        );
    }
    text
}

/// The lines of the README; `None` if a figure was not measured.
pub fn readme_lines(run: &Run) -> Option<String> {
    let goals = goals(run);
    let of = |what: &str| goals.iter().find(|goal| goal.what == what)?.measured;
    let sqlx = of("GET over Postgres, requests/s, to axum + sqlx")?;
    let deadpool = of("GET over Postgres, requests/s, to axum + deadpool-postgres")?;
    let put = of("PUT over Postgres, requests/s, to axum + deadpool-postgres")?;
    let cpu = of("CPU for a GET, server and database together, to axum + deadpool-postgres")?;
    let precompiled = of("start to first 200, precompiled, ms")?;
    let compiling = of("start to first 200, compiling, ms")?;
    let idle = of("memory idle, MB")?;
    let some = of("memory at 64 connections, MB")?;
    let many = of("memory at 1,000 connections, MB")?;
    Some(format!(
        "- GET over Postgres: {sqlx:.2} times the requests/s of axum + sqlx, \
         {deadpool:.2} of axum + deadpool-postgres.\n\
         - PUT over Postgres: {put:.2} times those of axum + deadpool-postgres, equally durable.\n\
         - CPU for a GET, server and database together: {cpu:.2} of axum + deadpool-postgres.\n\
         - Start to the first answer: {precompiled:.1} ms precompiled, \
         {compiling:.0} ms when it compiles the component first.\n\
         - Memory: {idle:.0} MB idle, {some:.0} MB at 64 connections, {many:.0} MB at 1,000.\n"
    ))
}

fn table(run: &Run, scenario: Scenario, title: &str) -> String {
    let mut rows = Vec::new();
    for server in Name::ALL {
        let median = |figure| {
            run.spread(scenario, server, figure)
                .map(|spread| spread.median)
        };
        let Some(rate) = run.spread(scenario, server, Figure::PerSecond) else {
            continue;
        };
        let figure =
            |figure| median(figure).map_or_else(String::new, |value| format!("{value:.1}"));
        let ms = |figure| median(figure).map_or_else(String::new, |us| format!("{:.2}", us / 1e3));
        rows.push(format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            server.text(),
            per_second(rate),
            figure(Figure::ServerCpu),
            figure(Figure::DatabaseCpu),
            ms(Figure::P50),
            ms(Figure::P99),
            ms(Figure::P999),
        ));
    }
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "**{title}**, median of {} rounds\n\n\
         | | requests/s (least to most) | µs CPU | µs CPU of Postgres | p50 ms | p99 ms | p99.9 ms |\n\
         |---|---|---|---|---|---|---|\n{}\n",
        run.rounds(scenario),
        rows.concat()
    )
}

fn memory(run: &Run) -> String {
    let cells = |server: Name, connections| {
        let figure = |figure| {
            let at = |sample: &Sample| sample.connections == connections;
            run.spread_where(Scenario::Memory, server.text(), figure, at)
        };
        let (memory, resident) = (figure(Figure::MemoryMb)?, figure(Figure::ResidentMb)?);
        Some(format!("{:.1} ({:.1})", memory.median, resident.median))
    };
    let row = |server: Name| {
        let [idle, some, many] = [0, 64, 1000].map(|connections| cells(server, connections));
        let (idle, some, many) = (idle?, some?, many?);
        Some(format!(
            "| {} | {idle} | {some} | {many} |\n",
            server.text()
        ))
    };
    let rows: Vec<String> = Name::ALL.into_iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "**Memory**, MB; a page that is mapped in many places counts once (in brackets: each time, like `ps`); median of {} rounds\n\n\
         | | idle | 64 connections | 1,000 connections |\n|---|---|---|---|\n{}\n",
        run.rounds(Scenario::Memory),
        rows.concat()
    )
}

fn per_second(spread: Spread) -> String {
    let Spread {
        median,
        least,
        most,
    } = spread;
    format!(
        "{} ({} to {})",
        thousands(median),
        thousands(least),
        thousands(most)
    )
}

/// In the form 12,345.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use birthday_tests::service::root;
    use std::fs;

    #[test]
    fn what_people_read_is_what_was_measured() {
        let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
        let run: Run = serde_json::from_str(&read("bench/results/raw.json")).unwrap();
        assert_eq!(read("bench/results/table.md"), markdown(&run));
        assert!(read("bench/README.md").contains(&goals_table(&run)));
        assert!(read("README.md").contains(&readme_lines(&run).unwrap()));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1000.0), "1,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
