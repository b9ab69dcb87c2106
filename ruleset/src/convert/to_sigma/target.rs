//! The log source of a converted rule, and what the names of its conditions are there.
//!
//! Enters: the conditions along the ways to a rule, and the mappings. Leaves: the sources on which they can hold, in the words
//! of Sigma, and for each subject the field as Sigma rules name it, a constant, or why there is none.

use crate::decode::mapping::{Format, Mapping, Normalise};
use crate::ir::sigma::Logsource;
use crate::ir::{Rule, StaticField, Subject};

use super::sources::{Bound, below, constant, constant_holds, narrowest};
use super::spelling::Spelling;

/// Decoder of what agents on Windows send.
const WINDOWS: &str = "windows_eventchannel";

/// What is said of lines that have no name in Sigma.
const LINES: &str = "Lines of text, with the fields that decoders capture in them.";

/// The sources that a converted rule is about.
pub(super) struct Target<'m> {
    pub(super) logsource: Logsource,
    /// What is said of it in words, where Sigma's own do not say it.
    pub(super) definition: Option<&'static str>,
    pub(super) kind: Kind<'m>,
    /// Other sources that the log source has, on which the conditions can hold as far as is known.
    pub(super) others: Vec<String>,
    /// Fields that records of yet other sources have, which tell those that the conditions are about.
    services: Vec<String>,
    spelling: &'m Spelling,
}

/// How events reach the rule.
pub(super) enum Kind<'m> {
    /// As records of these sources.
    Records(Vec<&'m Mapping>),
    /// As lines, whose fields decoders capture; or which are JSON.
    Lines {
        /// A decoder for JSON gives the fields.
        json: bool,
    },
    /// As Sigma knows the events of Windows.
    Windows,
}

/// What a subject is.
pub(super) enum Meaning {
    Field(Field),
    /// The same text in every record.
    Constant(String),
    /// No record has it.
    Absent,
    /// The log.
    Log,
    /// The program's name in the line.
    Program,
    /// `first` where it is present, else `second`.
    Either(Field, Field),
    /// Sigma rules cannot see it.
    Hidden(String),
}

/// A field as Sigma rules name it.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// A null member is a text to the reference.
    pub(super) null_is_text: bool,
    /// Records are known to have one value there.
    pub(super) single: bool,
    /// Holds only where the value begins with a dotted address.
    pub(super) ipv4: bool,
    /// Records are known to have an object there, which is no field to the reference.
    pub(super) object: bool,
    /// Why the name may lead elsewhere.
    pub(super) remark: Option<String>,
}

impl Field {
    fn plain(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            null_is_text: false,
            single: true,
            ipv4: false,
            object: false,
            remark: None,
        }
    }
}

impl<'m> Target<'m> {
    /// The target of a rule, from all conditions that every way to it has.
    pub(super) fn of(rules: &[&Rule], mappings: &'m [Mapping], spelling: &'m Spelling) -> Self {
        if rules.iter().any(|rule| rule.decoded_as.as_deref() == Some(WINDOWS)) {
            let logsource = Logsource { product: Some("windows".to_owned()), ..Logsource::default() };
            let kind = Kind::Windows;
            return Self {
                others: Vec::new(),
                services: Vec::new(),
                definition: None,
                logsource,
                kind,
                spelling,
            };
        }
        let conditions = || rules.iter().flat_map(|rule| &rule.conditions);
        let known = mappings.iter().filter(|mapping| !mapping.sigma.logsources.is_empty());
        let known = known.filter(|mapping| mapping.format == Format::Json);
        let score = |mapping: &Mapping| {
            let mut said = conditions().filter_map(|condition| constant_holds(mapping, condition));
            said.try_fold(0_usize, |sum, holds| holds.then_some(sum + 1))
        };
        let scored: Vec<(usize, &Mapping)> = known
            .filter_map(|mapping| Some((score(mapping)?, mapping)))
            .filter(|(score, _)| *score > 0)
            .collect();
        let best = scored.iter().map(|(score, _)| *score).max().unwrap_or(0);
        let chosen: Vec<&Mapping> =
            scored.into_iter().filter(|(score, _)| *score == best).map(|(_, mapping)| mapping).collect();
        if !chosen.is_empty()
            && let Some(bound) = narrowest(&chosen, mappings, &conditions().collect::<Vec<_>>())
        {
            let Bound { logsource, others, services } = bound;
            let kind = Kind::Records(chosen);
            return Self { logsource, definition: None, kind, others, services, spelling };
        }
        let service = rules.iter().filter_map(|rule| rule.decoded_as.as_deref()).find_map(service);
        let logsource = Logsource {
            product: Some("linux".to_owned()),
            service: Some(service.unwrap_or("syslog").to_owned()),
            category: None,
        };
        Self {
            logsource,
            definition: service.is_none().then_some(LINES),
            kind: Kind::Lines { json: rules.iter().any(|rule| rule.decoded_as.as_deref() == Some("json")) },
            others: Vec::new(),
            services: Vec::new(),
            spelling,
        }
    }

    /// The same, for lines of whatever service.
    pub(super) fn of_any_service(self) -> Option<Self> {
        let Kind::Lines { .. } = self.kind else { return None };
        let logsource = Logsource { service: Some("syslog".to_owned()), ..self.logsource };
        Some(Self { logsource, definition: Some(LINES), ..self })
    }

    /// What a subject is here.
    pub(super) fn meaning(&self, subject: &Subject) -> Meaning {
        let meaning = match &self.kind {
            Kind::Records(mappings) => of_records(mappings, subject, self.spelling),
            Kind::Lines { json } => of_lines(subject, *json),
            Kind::Windows => of_windows(subject, self.spelling),
        };
        match meaning {
            Meaning::Field(field) if matches!(self.kind, Kind::Lines { .. }) => {
                Meaning::Field(Field { name: self.spelling.of(&field.name), ..field })
            }
            other => other,
        }
    }

    /// The field by which records of a source that is not one of those meant tell what the same subject is there.
    pub(super) fn service(&self, subject: &Subject) -> Option<Field> {
        let Subject::Field(name) = subject else { return None };
        let known = self.services.iter().find(|known| known.eq_ignore_ascii_case(name))?;
        Some(Field::plain(known))
    }

    /// The decoder of all its events, where there is one.
    pub(super) fn decoder(&self) -> Option<&str> {
        match &self.kind {
            Kind::Records(mappings) => {
                Some(mappings.first().and_then(|mapping| mapping.decoder.as_deref()).unwrap_or("json"))
            }
            Kind::Lines { .. } => None,
            Kind::Windows => Some(WINDOWS),
        }
    }
}

/// Services of Linux that have a name in Sigma, by decoder.
fn service(decoder: &str) -> Option<&'static str> {
    const SERVICES: [(&str, &str); 9] = [
        ("sshd", "sshd"),
        ("sudo", "sudo"),
        ("crond", "cron"),
        ("auditd", "auditd"),
        ("vsftpd", "vsftpd"),
        ("clamd", "clamav"),
        ("freshclam", "clamav"),
        ("pam", "auth"),
        ("su", "auth"),
    ];
    SERVICES.iter().find(|(known, _)| *known == decoder).map(|(_, service)| *service)
}

fn of_records(mappings: &[&Mapping], subject: &Subject, spelling: &Spelling) -> Meaning {
    let Some(first) = mappings.first() else { return Meaning::Absent };
    match subject {
        Subject::Log => Meaning::Log,
        Subject::ProgramName => Meaning::Absent,
        Subject::Hostname => {
            Meaning::Hidden("the host that received it, which is no part of the record".to_owned())
        }
        Subject::Location => match &first.location {
            Some(location) => Meaning::Constant(location.clone()),
            None => Meaning::Hidden("the location, which is no part of the record".to_owned()),
        },
        Subject::Static(field) => static_member(mappings, spelling, *field),
        Subject::User => either(mappings, spelling, StaticField::DstUser, StaticField::SrcUser),
        Subject::ListUser => either(mappings, spelling, StaticField::SrcUser, StaticField::DstUser),
        Subject::Field(name) => member(mappings, spelling, name),
    }
}

fn either(mappings: &[&Mapping], spelling: &Spelling, first: StaticField, second: StaticField) -> Meaning {
    match (static_member(mappings, spelling, first), static_member(mappings, spelling, second)) {
        (Meaning::Field(first), Meaning::Field(second)) => Meaning::Either(first, second),
        _ => Meaning::Absent,
    }
}

/// Static fields are members at the top of what rules see.
fn static_member(mappings: &[&Mapping], spelling: &Spelling, field: StaticField) -> Meaning {
    let name = match field {
        StaticField::SrcGeoip | StaticField::DstGeoip => return Meaning::Absent,
        StaticField::SystemName => "systemname",
        other => other.name(),
    };
    if mappings.iter().any(|mapping| !mapping.under.is_empty()) {
        return Meaning::Absent;
    }
    match member(mappings, spelling, name) {
        Meaning::Field(field) => Meaning::Field(Field { ipv4: false, ..field }),
        other => other,
    }
}

fn member(mappings: &[&Mapping], spelling: &Spelling, name: &str) -> Meaning {
    let Some(first) = mappings.first() else { return Meaning::Absent };
    if let Some(value) = constant(first, name)
        && mappings.iter().all(|mapping| constant(mapping, name) == Some(value))
    {
        return Meaning::Constant(value.to_owned());
    }
    let is_service = |mapping: &&Mapping| mapping.service_path(name).is_some();
    let service = first.wrapper.as_ref().and_then(|wrapper| wrapper.service.as_ref());
    if let Some(service) = service.filter(|_| mappings.iter().all(is_service)) {
        return Meaning::Field(Field::plain(service));
    }
    let is_fact = |mapping: &&Mapping| {
        mapping.envelope.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
            || constant(mapping, name).is_some()
            || mapping.wrapper.as_ref().and_then(|wrapper| wrapper.service.as_deref()) == Some(name)
    };
    if mappings.iter().any(is_fact) {
        return Meaning::Hidden("what a connector knows beside the record".to_owned());
    }
    let Some(path) = below(name, &first.under) else { return Meaning::Absent };
    let made = matches!(first.normalise, Normalise::AwsBucket | Normalise::AwsEvent);
    if made && path == "source_ip_address" {
        return match field(mappings, spelling, "sourceIPAddress") {
            Meaning::Field(field) => Meaning::Field(Field { ipv4: true, ..field }),
            other => other,
        };
    }
    let wrapped = ["requestparameters", "responseelements", "additionaleventdata"];
    if made && path.split_once('.').is_some_and(|(top, rest)| wrapped.contains(&top) && rest == "string") {
        return Meaning::Hidden("what a collector makes of a member that is no object".to_owned());
    }
    field(mappings, spelling, path)
}

/// The name by which Sigma rules reach the member at a path, in the letter case in which the mapping knows it.
fn field(mappings: &[&Mapping], spelling: &Spelling, path: &str) -> Meaning {
    let Some(first) = mappings.first() else { return Meaning::Absent };
    let sigma = &first.sigma;
    let is_itself = |mapping: &&Mapping| {
        let mut paths = mapping.sigma.paths_of(path);
        paths.next().is_some_and(|own| own.eq_ignore_ascii_case(path)) && paths.next().is_none()
    };
    let has_wording =
        |mapping: &&Mapping| mapping.sigma.values.iter().any(|words| words.field.eq_ignore_ascii_case(path));
    let alias = sigma.fields.iter().find(|(name, paths)| {
        let leads = paths.len() == 1 && paths.iter().all(|own| own.eq_ignore_ascii_case(path));
        leads
            && !name.contains('/')
            && !sigma.values.iter().any(|words| words.field.eq_ignore_ascii_case(name))
            && mappings.iter().all(|mapping| mapping.sigma.paths_of(name).eq(sigma.paths_of(name)))
    });
    let known = sigma.paths.iter().find(|known| known.eq_ignore_ascii_case(path));
    let written = known.cloned().unwrap_or_else(|| spelling.of(path));
    let (name, remark) = match alias {
        _ if mappings.iter().all(is_itself) && !mappings.iter().any(has_wording) => (written, None),
        Some((name, _)) => (name.clone(), None),
        None => {
            let places: Vec<&str> = sigma.paths_of(path).collect();
            let remark = format!(
                "Sigma rules for this log source mean {} by {written}, so another member may be tested.",
                places.join(", else ")
            );
            (written, Some(remark))
        }
    };
    Meaning::Field(Field {
        name,
        null_is_text: first.normalise == Normalise::None && first.decoder.is_none(),
        single: known.is_some(),
        ipv4: false,
        object: mappings.iter().any(|mapping| mapping.sigma.is_object(path)),
        remark,
    })
}

fn of_lines(subject: &Subject, json: bool) -> Meaning {
    match subject {
        Subject::Log => Meaning::Log,
        Subject::ProgramName => Meaning::Program,
        Subject::Hostname => Meaning::Hidden("the host in the header of a line".to_owned()),
        Subject::Location => Meaning::Hidden("the location, which is no part of the line".to_owned()),
        Subject::Static(StaticField::SrcGeoip | StaticField::DstGeoip) => Meaning::Absent,
        Subject::Static(field) => Meaning::Field(Field::plain(field.name())),
        Subject::User => Meaning::Either(Field::plain("dstuser"), Field::plain("srcuser")),
        Subject::ListUser => Meaning::Either(Field::plain("srcuser"), Field::plain("dstuser")),
        Subject::Field(name) => {
            Meaning::Field(Field { null_is_text: json, single: !json, ..Field::plain(name) })
        }
    }
}

fn of_windows(subject: &Subject, spelling: &Spelling) -> Meaning {
    match subject {
        Subject::Log => Meaning::Log,
        Subject::Field(name) => match name.split('.').collect::<Vec<_>>().as_slice() {
            ["win", "system", name] => Meaning::Field(Field::plain(system_name(&spelling.of(name)))),
            ["win", "eventdata", name] => Meaning::Field(Field::plain(capital(&spelling.of(name)))),
            _ => Meaning::Hidden("no field that Sigma knows of events of Windows".to_owned()),
        },
        _ => Meaning::Hidden("no field that Sigma knows of events of Windows".to_owned()),
    }
}

fn system_name(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "eventid" => "EventID".to_owned(),
        "providername" => "Provider_Name".to_owned(),
        _ => capital(name),
    }
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
