//! Writes a seeded CloudTrail corpus: `corpus [--events N] [--seed N] [--records] > FILE`.
//!
//! One record a line, or with `--records` one `{"Records":[…]}` document as CloudTrail delivers it.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use threatlockdown_benches::cloudtrail::CloudTrail;

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
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--events" => events = arguments.next().ok_or("--events needs a number")?.parse()?,
            "--seed" => seed = arguments.next().ok_or("--seed needs a number")?.parse()?,
            "--records" => document = true,
            other => {
                return Err(
                    format!("unknown argument {other}; known: --events N, --seed N, --records").into()
                );
            }
        }
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut generator = CloudTrail::new(seed);
    let mut record = String::new();
    if document {
        out.write_all(b"{\"Records\":[")?;
    }
    for index in 0..events {
        record.clear();
        generator.write(&mut record);
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
