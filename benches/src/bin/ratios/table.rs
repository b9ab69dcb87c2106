//! The table, for people or as Markdown.

use std::io::{Result, Write};

use crate::rows::{Bar, Measured, Row};

const HEADINGS: [&str; 9] =
    ["row", "what", "bar", "median", "least", "best", "held", "baseline", "candidate"];

/// Writes one line a row.
pub(crate) fn write(rows: &[Row], markdown: bool, out: &mut impl Write) -> Result<()> {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    if markdown {
        for (index, line) in lines.iter().enumerate() {
            writeln!(out, "| {} |", line.join(" | "))?;
            if index == 0 {
                writeln!(out, "|{}", "---|".repeat(line.len()))?;
            }
        }
        return Ok(());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    for line in &lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", padded.join("  ").trim_end())?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 9] {
    let bar = match row.bar {
        Bar::AtLeast(ratio) => format!("≥ {ratio}"),
        Bar::Slower(ratio) => format!("≤ {ratio}"),
        Bar::Load(seconds, mebibytes) => format!("≤ {seconds} s, ≤ {mebibytes} MiB"),
        Bar::Live(nanoseconds) => format!("≤ {nanoseconds} ns, none forgotten"),
        Bar::None => String::new(),
    };
    let mut cells: [String; 9] = Default::default();
    (cells[0], cells[1], cells[2]) = (row.name.to_owned(), row.what.to_owned(), bar);
    match row.measured {
        Measured::Skipped(why) => cells[3] = format!("skipped: {why}"),
        Measured::Load(load) => {
            cells[3] = format!("{:.2} s", load.median_seconds);
            cells[4] = format!("{:.2} s", load.least_seconds);
            cells[8] = format!("peak {:.0} MiB, kept {:.0} MiB", load.mebibytes, load.kept_mebibytes);
            if let Bar::Load(seconds, mebibytes) = row.bar {
                cells[6] = held(load.median_seconds <= seconds && load.mebibytes <= mebibytes);
            }
        }
        Measured::Live(live) => {
            cells[3] = format!("{:.0} ns", live.stage);
            cells[4] = format!("{:.0} ns", live.most);
            cells[5] = format!("{:.0} ns", live.least);
            if let Bar::Live(nanoseconds) = row.bar {
                cells[6] = held(live.stage <= nanoseconds && live.evicted == 0);
            }
            cells[7] = format!("{:.0} ns in the worker before", live.worker);
            cells[8] = format!(
                "{:.0} ns in both, {} keys, {:.0} of {:.0} MiB accounted for, {:.0} MiB resident, {} forgotten",
                live.worker + live.stage,
                live.keys,
                live.accounted,
                live.allowed,
                live.resident,
                live.evicted
            );
        }
        Measured::Ratio(compared) => {
            // Where the bar is about time, the ratio is turned round, and the least favourable one is the greatest.
            let turned = |ratio: f64| if matches!(row.bar, Bar::Slower(_)) { 1.0 / ratio } else { ratio };
            cells[3] = format!("{:.2}", turned(compared.median));
            cells[4] = format!("{:.2}", turned(compared.least));
            cells[5] = format!("{:.2}", turned(compared.best));
            cells[6] = match row.bar {
                Bar::AtLeast(bar) => held(compared.median >= bar),
                Bar::Slower(bar) => held(turned(compared.median) <= bar),
                _ => String::new(),
            };
            cells[7] = speed(compared.baseline);
            cells[8] = speed(compared.candidate);
            if compared.matches > 0.0 {
                cells[8].push_str(&format!(", {:.0} % match", compared.matches));
            }
        }
    }
    cells
}

fn held(yes: bool) -> String {
    if yes { "yes" } else { "NO" }.to_owned()
}

fn speed(nanoseconds: f64) -> String {
    format!("{nanoseconds:.0} ns, {:.0}/s", 1e9 / nanoseconds)
}
