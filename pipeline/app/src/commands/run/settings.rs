//! What `run` does: the configuration file, or the defaults of a run without one, and the flags over it.
//!
//! Enters: flags. Leaves: a checked [`Config`], or all faults on stderr and an error. Without a file the common case
//! needs no more than an input: alerts go to a file in the data directory and to stdout, and the ingest endpoint is open.

use std::io::IsTerminal as _;

use anyhow::bail;

use crate::cli::{Input, ListenArg, RunArgs};
use crate::commands::{counted, report_faults};
use crate::config::{
    self, Config, FileSource, HttpSource, Listen, Sink, SinkKind, Source, SourceKind, StdoutFormat,
};
use crate::guess;

/// The configuration of a run.
pub(super) fn settle(args: &RunArgs) -> anyhow::Result<Config> {
    let (mut config, mut faults) = match &args.config {
        Some(path) => config::load(path),
        None => (without_file(args), Vec::new()),
    };
    apply(args, &mut config)?;
    faults.extend(config::validate(&config));
    if !faults.is_empty() {
        report_faults(&mut faults);
        bail!("the configuration has {}", counted(faults.len(), "fault"));
    }
    if config.sources.is_empty() {
        bail!("nothing to read: give --input SOURCE=PATH, or a configuration with sources");
    }
    Ok(config)
}

/// The defaults of a run without a file.
fn without_file(args: &RunArgs) -> Config {
    let mut config = Config::default();
    // A run that is to end with its inputs has no use for an endpoint, unless one is asked for.
    if args.once {
        config.listen = None;
    } else if args.listen != Some(ListenArg::Off) {
        config.sources.push(Source {
            name: "ingest".into(),
            kind: SourceKind::Http(HttpSource::default()),
            place: None,
        });
    }
    if args.stdout.is_none() {
        let format = if std::io::stdout().is_terminal() { StdoutFormat::Pretty } else { StdoutFormat::Json };
        config.sinks.push(Sink { name: "stdout".into(), kind: SinkKind::Stdout { format }, place: None });
    }
    config
}

fn apply(args: &RunArgs, config: &mut Config) -> anyhow::Result<()> {
    if let Some(path) = &args.data_dir {
        config.data_dir.clone_from(path);
    }
    match args.listen {
        Some(ListenArg::At(address)) => config.listen = Some(Listen { address, place: None }),
        Some(ListenArg::Off) => config.listen = None,
        None => {}
    }
    if let Some(instance) = &args.instance {
        let Some(kafka) = &mut config.kafka else {
            bail!("--instance names a member of a cluster: the configuration has no `kafka` section");
        };
        kafka.settings.instance.clone_from(instance);
    }
    if let Some(workers) = args.workers {
        config.workers = workers.into();
    }
    if let Some(composites) = args.composites {
        config.state.composites = composites.into();
    }
    if let Some(format) = args.log_format {
        config.log.format = format;
    }
    if !args.rules.paths.is_empty() {
        config.rules.paths.clone_from(&args.rules.paths);
    }
    if args.rules.home.is_some() {
        config.rules.home.clone_from(&args.rules.home);
    }
    if let Some(zone) = &args.zone.time_zone {
        config.rules.time_zone.clone_from(zone);
    }
    config.rules.builtin &= !args.rules.no_builtin;
    if !args.inputs.is_empty() {
        config.sources.retain(|source| matches!(source.kind, SourceKind::Http(_)));
        add_inputs(args, config)?;
    }
    if args.once {
        // Nobody can say when the last request has come.
        config.sources.retain(|source| !matches!(source.kind, SourceKind::Http(_)));
    }
    apply_sinks(args, config);
    Ok(())
}

/// One file source for each log source, named after it: its checkpoints hold from run to run, whatever the order.
fn add_inputs(args: &RunArgs, config: &mut Config) -> anyhow::Result<()> {
    for input in &args.inputs {
        let source = log_source(input, args.source.as_deref())?;
        let name = unused_name(&source, config);
        if input.path == "-" {
            config.sources.push(Source {
                name: "stdin".into(),
                kind: SourceKind::Stdin { source },
                place: None,
            });
            continue;
        }
        let same = config.sources.iter_mut().find_map(|known| match &mut known.kind {
            SourceKind::File(file) if file.source == source => Some(file),
            SourceKind::File(_) | SourceKind::Http(_) | SourceKind::Stdin { .. } => None,
        });
        if let Some(file) = same {
            file.paths.push(input.path.clone());
        } else {
            let paths = vec![input.path.clone()];
            let kind = SourceKind::File(FileSource { source, paths, envelope: Vec::new(), shared: false });
            config.sources.push(Source { name, kind, place: None });
        }
    }
    Ok(())
}

/// The log source's name, unless the HTTP source of the file has that name already.
fn unused_name(source: &str, config: &Config) -> String {
    let taken =
        |source: &Source, name: &str| source.name == name && matches!(source.kind, SourceKind::Http(_));
    if config.sources.iter().any(|other| taken(other, source)) {
        format!("{source}.files")
    } else {
        source.to_owned()
    }
}

/// The source that is named, else what the first file of the path looks like.
fn log_source(input: &Input, default: Option<&str>) -> anyhow::Result<String> {
    if let Some(source) = input.source.as_deref().or(default) {
        return Ok(source.to_owned());
    }
    let mut found = threatlockdown_connectors::walk::Found::default();
    if input.path != "-" {
        found.add_pattern(&input.path);
    }
    match found.files.first() {
        Some(file) => Ok(guess::log_source_of_file(file).to_owned()),
        None => bail!("what are the records of {0}? write --input SOURCE={0}, or add --source", input.path),
    }
}

fn apply_sinks(args: &RunArgs, config: &mut Config) {
    if let Some(stdout) = args.stdout {
        config.sinks.retain(|sink| !matches!(sink.kind, SinkKind::Stdout { .. }));
        if let Some(format) = stdout.format() {
            config.sinks.push(Sink { name: "stdout".into(), kind: SinkKind::Stdout { format }, place: None });
        }
    }
    let mut files = config.sinks.iter_mut().filter_map(|sink| match &mut sink.kind {
        SinkKind::File { path, .. } => Some(path),
        SinkKind::Stdout { .. } | SinkKind::Topic { .. } | SinkKind::Webhook(_) | SinkKind::OpenSearch(_) => {
            None
        }
    });
    match (&args.alerts, files.next()) {
        (Some(wanted), Some(path)) => path.clone_from(wanted),
        (None, Some(_)) => {}
        (wanted, None) => {
            let wanted = wanted.clone();
            // A file that only shows alerts on the screen is a choice; a run without any sink is not.
            if wanted.is_none() && args.config.is_some() && !config.sinks.is_empty() {
                return;
            }
            let path = wanted.unwrap_or_else(|| config.data_dir.join("alerts.jsonl"));
            let (rotate_bytes, keep) = (SinkKind::ROTATE_BYTES, SinkKind::KEEP);
            let kind = SinkKind::File { path, rotate_bytes, keep, dead_letters: false };
            config.sinks.push(Sink { name: "alerts".into(), kind, place: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(line: &str) -> RunArgs {
        let words = std::iter::once("threatlockdown").chain(line.split_whitespace());
        let Command::Run(args) = Cli::try_parse_from(words).unwrap().command else { panic!("{line}") };
        args
    }

    fn kinds(config: &Config) -> Vec<(&str, &SourceKind)> {
        config.sources.iter().map(|source| (source.name.as_str(), &source.kind)).collect()
    }

    #[test]
    fn without_a_file_an_input_is_enough() {
        let config =
            settle(&args("run --input aws.cloudtrail=a --input aws.cloudtrail=b --source json --input c"))
                .unwrap();
        let names: Vec<&str> = kinds(&config).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["ingest", "aws.cloudtrail", "json"]);
        let SourceKind::File(trail) = &config.sources[1].kind else { panic!() };
        assert_eq!(trail.paths, ["a", "b"]);
        let sinks: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
        assert_eq!(sinks, ["stdout", "alerts"]);
        assert!(
            matches!(&config.sinks[1].kind, SinkKind::File { path, .. } if path.ends_with("alerts.jsonl"))
        );
    }

    #[test]
    fn the_name_of_a_member_needs_a_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, "kafka: {brokers: ['127.0.0.1:9092'], instance: a}\n").unwrap();
        let line = format!("run -c {} --input json=a", path.display());
        let instance = |line: &str| settle(&args(line)).unwrap().kafka.unwrap().settings.instance;
        assert_eq!(instance(&line), "a");
        assert_eq!(instance(&format!("{line} --instance b")), "b");
        let error = settle(&args("run --input json=a --instance b")).unwrap_err();
        assert!(error.to_string().contains("`kafka` section"), "{error}");
        let error = settle(&args(&format!("run -c {}", path.display()))).unwrap_err();
        assert!(error.to_string().contains("nothing to read"), "{error}");
    }

    #[test]
    fn once_opens_no_endpoint_unless_asked() {
        let config = settle(&args("run --once --input json=a --stdout none --alerts x")).unwrap();
        assert_eq!((config.listen, config.sources.len(), config.sinks.len()), (None, 1, 1));
        let config = settle(&args("run --once --input json=a --listen 127.0.0.1:0")).unwrap();
        assert!(config.listen.is_some() && config.http().is_none());
        assert!(settle(&args("run --once")).is_err(), "nothing to read");
        assert!(settle(&args("run --listen 0.0.0.0:0 --input json=a")).is_err(), "an open door");
    }

    #[test]
    fn flags_go_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        let text = "workers: 3\nsources:\n- {name: push, type: http}\n- {name: old, type: file, source: json, paths: [x]}\n\
                    sinks:\n- {name: own, type: file, path: old.jsonl, keep: 9}\n- {name: s, type: stdout}\n";
        std::fs::write(&path, text).unwrap();
        let line = format!(
            "run -c {} --input syslog=new --alerts new.jsonl --stdout none --workers 1",
            path.display()
        );
        let config = settle(&args(&line)).unwrap();
        assert_eq!(config.workers, 1);
        let names: Vec<&str> = kinds(&config).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["push", "syslog"]);
        let [Sink { name, kind: SinkKind::File { path, keep, .. }, .. }] = config.sinks.as_slice() else {
            panic!()
        };
        assert_eq!((name.as_str(), path.to_str(), *keep), ("own", Some("new.jsonl"), 9));
        // Without flags the file stands as it is.
        let config = settle(&args(&format!("run -c {}", folder.path().join("c.yaml").display()))).unwrap();
        assert_eq!((config.sources.len(), config.sinks.len()), (2, 2));
    }

    #[test]
    fn the_source_of_an_input_is_guessed_from_its_first_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("auth.log"), "Mar  2 08:01:11 host sshd[1]: x\n").unwrap();
        let config = settle(&args(&format!("run --once --input {}", folder.path().display()))).unwrap();
        assert!(matches!(&config.sources[0].kind, SourceKind::File(file) if file.source == "syslog"));
        let error = settle(&args("run --once --input /nonexistent/x")).unwrap_err().to_string();
        assert!(error.contains("--input SOURCE=/nonexistent/x"), "{error}");
    }
}
