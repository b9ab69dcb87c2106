//! The command line.

use std::path::PathBuf;

use crate::load;

const USAGE: &str = "usage: ratios [--home DIR] [--sigma DIR] [--peer FILE] [--rounds N] [--only ROW]\n\
    \x20             [--alone ROW] [--markdown]\n\
    rows: cloudtrail, worker, mix, tenfold, envelope, stock-mix, syslog, threads, stock-threads, sigma, rsigma,\n\
    \x20     rsigma-pruned, live, hour, load\n\
    --sigma names a folder in which all *.yml are Sigma rules, --peer the program rsigma-peer built from\n\
    benches/rsigma, beside which rsigma-peer-pruned stands\n\
    --only measures one row, --alone runs a row's candidate without its baseline, for a profiler";

/// See [`USAGE`].
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) home: Option<PathBuf>,
    pub(crate) sigma: Option<PathBuf>,
    pub(crate) peer: Option<PathBuf>,
    pub(crate) rounds: usize,
    pub(crate) only: Option<String>,
    pub(crate) alone: Option<String>,
    pub(crate) markdown: bool,
    pub(crate) load_only: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self { rounds: 60, ..Self::default() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--home" => arguments.home = Some(value()?.into()),
                "--sigma" => arguments.sigma = Some(value()?.into()),
                "--peer" => arguments.peer = Some(value()?.into()),
                "--rounds" => {
                    arguments.rounds =
                        value()?.parse().map_err(|_| format!("--rounds needs a number\n{USAGE}"))?;
                }
                "--only" => arguments.only = Some(value()?),
                "--alone" => arguments.alone = Some(value()?),
                "--markdown" => arguments.markdown = true,
                load::ALONE => arguments.load_only = Some(value()?.into()),
                other => return Err(format!("unknown argument {other}\n{USAGE}")),
            }
        }
        if arguments.home.is_none() {
            arguments.home = std::env::var_os("THREATLOCKDOWN_COMPAT")
                .map(|folder| PathBuf::from(folder).join("homes/stock"))
                .filter(|folder| folder.is_dir());
        }
        if arguments.sigma.is_none() {
            arguments.sigma = std::env::var_os("THREATLOCKDOWN_DATA")
                .map(|folder| PathBuf::from(folder).join("sigma-rules"))
                .filter(|folder| folder.is_dir());
        }
        Ok(arguments)
    }
}
