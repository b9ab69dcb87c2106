//! The results as a table.
//!
//! Enters: what was measured. Leaves: Markdown. Bars compare middle figures.

use std::io::{Result, Write};

use crate::rounds::{Measured, Taken, middle};

/// Steps, and what they are.
const STEPS: &[(&str, &str)] = &[
    ("scan", "`scan` of the same file"),
    ("bare", "a consumer that does nothing"),
    ("plain", "the worker's loop, nothing exact"),
    ("one", "`analyze`, one worker"),
    ("two", "`analyze`, two workers"),
];

pub(crate) fn write(measured: &Measured, out: &mut impl Write) -> Result<()> {
    let Measured { events, bytes, rounds, threads, latencies } = measured;
    writeln!(out, "{events} events of {:.0} bytes\n", *bytes as f64 / *events as f64)?;
    writeln!(out, "| step | events/s | µs of processor an event | MiB at the end, most | rounds, µs |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for (step, what) in STEPS {
        let of = |figure: fn(&Taken) -> f64| middle(rounds.get(step), figure).unwrap_or(f64::NAN);
        let Some(all) = rounds.get(step) else { continue };
        let each: Vec<String> = all.iter().map(|taken| format!("{:.2}", taken.processor)).collect();
        let memory = of(|taken| taken.memory.1);
        let memory = if memory > 0.0 {
            format!("{:.0}, {memory:.0}", of(|taken| taken.memory.0))
        } else {
            String::new()
        };
        let (rate, processor) = (of(|taken| taken.rate), of(|taken| taken.processor));
        writeln!(out, "| {what} | {rate:.0} | {processor:.2} | {memory} | {} |", each.join(", "))?;
    }
    writeln!(out, "\n| bar | | held |\n|---|---|---|")?;
    let ratio = |a: &str, b: &str, figure: fn(&Taken) -> f64| {
        Some(middle(rounds.get(a), figure)? / middle(rounds.get(b), figure)?)
    };
    type Figure = fn(&Taken) -> f64;
    let (rate, processor): (Figure, Figure) = (|taken| taken.rate, |taken| taken.processor);
    let bars = [
        ("processor time, nothing exact : scan ≤ 1.6", ratio("plain", "scan", processor), 1.6, true),
        ("processor time, transactions : scan ≤ 2", ratio("one", "scan", processor), 2.0, true),
        ("rate : a bare consumer's ≥ 0.8", ratio("one", "bare", rate), 0.8, false),
        ("rate, transactions : nothing exact ≥ 0.8", ratio("one", "plain", rate), 0.8, false),
        ("rate, two workers : one", ratio("two", "one", rate), f64::NAN, false),
    ];
    for (name, found, bar, is_most) in bars {
        let Some(found) = found else { continue };
        let held = match if is_most { found <= bar } else { found >= bar } {
            _ if bar.is_nan() => "",
            true => "yes",
            false => "NO",
        };
        writeln!(out, "| {name} | {found:.2} | {held} |")?;
    }
    for latency in latencies {
        let held = if latency.p99 <= 1.0 { "yes" } else { "NO" };
        writeln!(
            out,
            "| {}, {:.0} events/s: p99 ≤ 1 s | p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms, {} alerts | {held} |",
            latency.name,
            latency.rate,
            latency.median * 1e3,
            latency.p99 * 1e3,
            latency.most * 1e3,
            latency.alerts
        )?;
    }
    let mut threads: Vec<_> = threads.iter().filter(|(_, time)| **time >= 0.005).collect();
    threads.sort_by(|a, b| b.1.total_cmp(a.1));
    let threads: Vec<String> = threads.iter().map(|(name, time)| format!("{name} {time:.2}")).collect();
    writeln!(out, "\nThreads of one worker's process, µs an event: {}", threads.join(", "))
}
