//! Writes a seeded corpus: `corpus [--kind cloudtrail|envelope|mix|syslog] [--events N] [--seed N] [--records] > FILE`.
//!
//! One event a line, or, of CloudTrail, with `--records` one `{"Records":[…]}` document as CloudTrail delivers it.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use threatlockdown_benches::cloudtrail::CloudTrail;
use threatlockdown_benches::envelope::Enveloped;
use threatlockdown_benches::mix::Mix;
use threatlockdown_benches::syslog::Syslog;

const USAGE: &str = "known: --kind cloudtrail|envelope|mix|syslog, --events N, --seed N, --records";

/// Appends an event to a text.
type Generator = Box<dyn FnMut(&mut String)>;

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), Box<dyn std::error::Error>> {
    let (mut events, mut seed, mut document) = (500_000_u64, 1_u64, false);
    let mut kind = "cloudtrail".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--kind" => kind = arguments.next().ok_or("--kind needs a name")?,
            "--events" => events = arguments.next().ok_or("--events needs a number")?.parse()?,
            "--seed" => seed = arguments.next().ok_or("--seed needs a number")?.parse()?,
            "--records" => document = true,
            other => return Err(format!("unknown argument {other}; {USAGE}").into()),
        }
    }
    let mut generate = generator(&kind, seed)?;
    if document && kind != "cloudtrail" {
        return Err("--records is how CloudTrail delivers: leave it out, or --kind".into());
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut record = String::new();
    if document {
        out.write_all(b"{\"Records\":[")?;
    }
    for index in 0..events {
        record.clear();
        generate(&mut record);
        if document && index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(record.as_bytes())?;
        if !document {
            out.write_all(b"\n")?;
        }
    }
    if document {
        out.write_all(b"]}")?;
    }
    out.flush()?;
    Ok(())
}

fn generator(kind: &str, seed: u64) -> Result<Generator, String> {
    match kind {
        "cloudtrail" => {
            let mut generator = CloudTrail::new(seed);
            Ok(Box::new(move |out| generator.write(out)))
        }
        "envelope" => {
            let mut generator = Enveloped::new(seed);
            Ok(Box::new(move |out| generator.write(out)))
        }
        "mix" => {
            let mut generator = Mix::new(seed);
            Ok(Box::new(move |out| {
                generator.write(out);
            }))
        }
        "syslog" => {
            let mut generator = Syslog::new(seed);
            Ok(Box::new(move |out| generator.write(out)))
        }
        other => Err(format!("there is no kind {other}; {USAGE}")),
    }
}
