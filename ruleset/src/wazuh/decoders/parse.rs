//! Elements → decoder syntax: the grammar of decoder files.
//!
//! Enters: the elements of a file. Leaves: its decoders, and all faults in them. A decoder with a fault is marked and
//! read to its end, and those after it too, so that one run of the check shows everything there is to mend.

use super::super::source::{Faults, Text};
use super::super::syntax::Language;
use super::super::vocabulary::{nearest, suggest};
use super::super::xml::{Attribute, Element};
use super::syntax::{DecoderSyntax, Expression, Shift};
use crate::ir::{Category, Offset, Plugin};

/// A pattern or name of a decoder must be shorter, all of its elements together.
const MAX_TEXT: usize = 1024;

const ELEMENTS: &[&str] = &[
    "parent",
    "program_name",
    "prematch",
    "regex",
    "order",
    "type",
    "fts",
    "ftscomment",
    "use_own_name",
    "plugin_decoder",
    "json_null_field",
    "json_array_structure",
    "accumulate",
];

const PLUGINS: [(&str, Plugin); 5] = [
    ("PF_Decoder", Plugin::Pf),
    ("SymantecWS_Decoder", Plugin::SymantecWs),
    ("SonicWall_Decoder", Plugin::SonicWall),
    ("OSSECAlert_Decoder", Plugin::OssecAlert),
    ("JSON_Decoder", Plugin::Json),
];

const OFFSETS: [(&str, Offset); 3] = [
    ("after_parent", Offset::AfterParent),
    ("after_prematch", Offset::AfterPrematch),
    ("after_regex", Offset::AfterRegex),
];

const HOST_INFORMATION: &str = "host-information";

/// Reads the decoders of a file.
pub(super) fn parse(roots: &[Element<'_>], faults: &mut Faults<'_>) -> Vec<DecoderSyntax> {
    let mut decoders = Vec::new();
    // A decoder that is not closed swallows those after it: they are taken out again and read on their own.
    let mut waiting: Vec<&Element<'_>> = roots.iter().rev().collect();
    while let Some(element) = waiting.pop() {
        if is(element, "decoder") {
            decoders.push(decoder(element, faults));
            let swallowed =
                element.children.iter().rev().filter(|child| element.broken && is(child, "decoder"));
            waiting.extend(swallowed);
        } else if !is(element, "var") {
            not_a_decoder(element, faults);
        }
    }
    decoders
}

fn not_a_decoder(element: &Element<'_>, faults: &mut Faults<'_>) {
    let name = element.name;
    let help = match name.to_ascii_lowercase().as_str() {
        "group" | "rule" => "rules go into a file of their own".to_owned(),
        "ossec_config" => "this is a configuration file, not a decoder file".to_owned(),
        lower => match nearest(lower, ["decoder", "var"]) {
            Some(meant) => format!("did you mean <{meant}>?"),
            None => "a decoder file holds only <decoder> and <var>".to_owned(),
        },
    };
    let message = format!("<{name}> cannot stand at the top of a decoder file");
    faults.error(element.at, &tag(element), message, help);
}

fn decoder(element: &Element<'_>, faults: &mut Faults<'_>) -> DecoderSyntax {
    let errors = faults.errors();
    let name = decoder_name(element, faults);
    let mut reader = Reader { decoder: empty(element.at, name), faults };
    for child in &element.children {
        reader.element(child, element.broken);
    }
    let mut decoder = reader.decoder;
    // Faults of the tags themselves and of variables were told before.
    let told = element.broken || element.children.iter().any(|child| child.broken);
    decoder.broken = told || faults.errors() > errors;
    decoder
}

fn empty(at: usize, name: String) -> DecoderSyntax {
    DecoderSyntax {
        at,
        name,
        parent: None,
        program_name: None,
        prematch: None,
        regex: None,
        plugin: None,
        order: None,
        fts: None,
        fts_comment: None,
        category: Some(Category::Syslog),
        use_own_name: false,
        accumulate: false,
        discard_null: false,
        csv_arrays: false,
        broken: false,
    }
}

/// The first attribute must be `name`; a second one can only be `status`, which means nothing.
fn decoder_name(element: &Element<'_>, faults: &mut Faults<'_>) -> String {
    let mut told = element.broken;
    for (index, attribute) in element.attributes.iter().enumerate() {
        let name = attribute.name.to_ascii_lowercase();
        let help = match (index, name.as_str()) {
            (0, "name") | (1, "status") => continue,
            (_, "name") => "write name=\"…\" before all other attributes".to_owned(),
            _ => match nearest(&name, ["name"]) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "a decoder has the attribute name alone".to_owned(),
            },
        };
        let message = format!("the attribute {} cannot stand here in <decoder>", attribute.name);
        faults.error(attribute.at, attribute.name, message, help);
        told = true;
        break;
    }
    let name = element.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case("name"));
    let name = name.map_or("", |name| name.value.value.as_str());
    if name.is_empty() && !told {
        faults.error(element.at, &tag(element), "the decoder has no name", "write <decoder name=\"…\">");
    }
    name.to_owned()
}

struct Reader<'f, 's> {
    decoder: DecoderSyntax,
    faults: &'f mut Faults<'s>,
}

impl Reader<'_, '_> {
    fn element(&mut self, element: &Element<'_>, in_broken: bool) {
        let name = element.name.to_ascii_lowercase();
        if let (Some(child), false) = (element.children.first(), element.broken || name == "decoder") {
            let message = format!("<{}> cannot hold elements", element.name);
            self.faults.error(child.at, &tag(child), message, "write \\< for a < that belongs to the text");
        }
        let attributes: &[&str] = match name.as_str() {
            "program_name" => &["type"],
            "prematch" | "regex" => &["type", "offset"],
            "plugin_decoder" => &["offset"],
            _ => &[],
        };
        if ELEMENTS.contains(&name.as_str()) {
            self.check_attributes(element, attributes);
        }
        match name.as_str() {
            "parent" => join(&mut self.decoder.parent, self.faults, element),
            "program_name" => {
                join_pattern(&mut self.decoder.program_name, self.faults, element, Kind::Program)
            }
            "prematch" => join_pattern(&mut self.decoder.prematch, self.faults, element, Kind::Prematch),
            "regex" => join_pattern(&mut self.decoder.regex, self.faults, element, Kind::Regex),
            "ftscomment" => join(&mut self.decoder.fts_comment, self.faults, element),
            "order" => {
                self.last_counts(element, self.decoder.order.is_some());
                self.decoder.order = Some(text_of(element));
            }
            "fts" => {
                self.last_counts(element, self.decoder.fts.is_some());
                self.decoder.fts = Some((text_of(element), self.decoder.order.clone()));
            }
            "type" => self.category(element),
            "use_own_name" => {
                self.decoder.use_own_name = self.choice(element, &["true"]) == Some(0);
            }
            "plugin_decoder" => self.plugin(element),
            "json_null_field" => {
                self.decoder.discard_null = self.choice(element, &["string", "discard"]) == Some(1);
            }
            "json_array_structure" => {
                self.decoder.csv_arrays = self.choice(element, &["array", "csv"]) == Some(1);
            }
            "accumulate" => self.decoder.accumulate = true,
            // What an unclosed decoder has swallowed is read on its own.
            "decoder" if in_broken => {}
            _ => {
                let message = format!("a decoder has no element <{}>", element.name);
                self.faults.error(element.at, &tag(element), message, suggest(&name, ELEMENTS));
            }
        }
    }

    fn check_attributes(&mut self, element: &Element<'_>, known: &[&str]) {
        for attribute in element.attributes.iter().filter(|attribute| !known.contains(&attribute.name)) {
            let message = format!("<{}> has no attribute {}, it is ignored", element.name, attribute.name);
            let help = if known.is_empty() { "remove it".to_owned() } else { suggest(attribute.name, known) };
            self.faults.warning(attribute.at, attribute.name, message, help);
        }
    }

    fn last_counts(&mut self, element: &Element<'_>, repeated: bool) {
        if repeated {
            let message = format!("<{}> stands twice, the last one counts", element.name);
            self.faults.warning(element.at, &element.content.value, message, "write all names into one");
        }
    }

    /// A value of few; anything else leaves the default, with a warning.
    fn choice(&mut self, element: &Element<'_>, values: &[&str]) -> Option<usize> {
        let value = element.content.value.as_str();
        let found = values.iter().position(|known| *known == value);
        if found.is_none() {
            let message = format!("<{}> cannot be {value:?}, it has no effect", element.name);
            let help = format!("write {} without blanks around it", values.join(" or "));
            self.faults.warning(text_of(element).origin(0), value, message, help);
        }
        found
    }

    fn category(&mut self, element: &Element<'_>) {
        let name = element.content.value.as_str();
        self.decoder.category = Category::by_name(name);
        if self.decoder.category.is_none() && name != HOST_INFORMATION {
            let known: Vec<&str> =
                Category::ALL.iter().map(|category| category.name()).chain([HOST_INFORMATION]).collect();
            let help = suggest(name.trim(), &known);
            let at = text_of(element).origin(0);
            self.faults.error(at, name, format!("there is no decoder type {:?}", name), help);
        }
    }

    fn plugin(&mut self, element: &Element<'_>) {
        let name = element.content.value.as_str();
        let shift = shift(self.faults, element, &["after_parent", "after_prematch"]);
        if self.decoder.plugin.is_some() {
            let message = "<plugin_decoder> stands twice, the last one counts";
            self.faults.warning(element.at, name, message, "remove one of them");
        }
        match PLUGINS.iter().find(|(known, _)| *known == name) {
            Some((_, plugin)) => self.decoder.plugin = Some((*plugin, shift)),
            None => {
                let known = PLUGINS.map(|(known, _)| known);
                let help = match nearest(name.trim(), known) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("possible here: {}", known.join(", ")),
                };
                let at = text_of(element).origin(0);
                self.faults.error(at, name, format!("there is no plugin {:?}", name), help);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Program,
    Prematch,
    Regex,
}

/// Joins a repeated pattern without anything between; the language of the last one counts for all of it.
fn join_pattern(to: &mut Option<Expression>, faults: &mut Faults<'_>, element: &Element<'_>, kind: Kind) {
    let language = language(faults, element, kind);
    let shift = match kind {
        Kind::Program => None,
        // All three are read: which of them may stand at a <prematch> is not for the reader of attributes.
        Kind::Prematch | Kind::Regex => shift(faults, element, &OFFSETS.map(|(name, _)| name)),
    };
    match to {
        None => *to = Some(Expression { text: text_of(element), at: element.at, language, shift }),
        Some(known) => {
            if let Some(shift) = shift {
                let message = format!("only the first <{}> can have an offset", element.name);
                let help = "the elements are joined to one pattern; write the offset at the first one";
                faults.error(shift.at, "offset", message, help);
            }
            known.text.append(&element.content);
            known.language = language;
        }
    }
    check_length(to.as_ref().map(|known| &known.text), faults, element);
}

fn join(to: &mut Option<Text>, faults: &mut Faults<'_>, element: &Element<'_>) {
    match to {
        None => *to = Some(text_of(element)),
        Some(known) => {
            let message = format!("<{}> stands twice, the two texts are joined to one", element.name);
            faults.warning(element.at, &element.content.value, message, "remove one of them");
            known.append(&element.content);
        }
    }
    check_length(to.as_ref(), faults, element);
}

/// Said once, where the text grows too long.
fn check_length(joined: Option<&Text>, faults: &mut Faults<'_>, element: &Element<'_>) {
    let length = joined.map_or(0, |text| text.value.len());
    if length >= MAX_TEXT && length - element.content.value.len() < MAX_TEXT {
        let name = element.name;
        let message =
            format!("the text of <{name}> has {length} bytes in all, it must have fewer than {MAX_TEXT}");
        let help = "shorten it; what follows can be taken by a second decoder of the same name with offset=\"after_regex\"";
        faults.error(element.at, &element.content.value, message, help);
    }
}

fn language(faults: &mut Faults<'_>, element: &Element<'_>, kind: Kind) -> Language {
    let (default, known): (_, &[&str]) = match kind {
        Kind::Program => (Language::OsMatch, &["osmatch", "osregex", "pcre2"]),
        Kind::Prematch | Kind::Regex => (Language::OsRegex, &["osregex", "pcre2"]),
    };
    let Some(attribute) = attribute(element, "type") else { return default };
    let value = attribute.value.value.as_str();
    let language =
        Language::by_name(value).filter(|language| kind == Kind::Program || *language != Language::OsMatch);
    language.unwrap_or_else(|| {
        let message = format!("<{}> has no matching language {value}, the usual one is used", element.name);
        faults.warning(attribute.at, value, message, suggest(value, known));
        default
    })
}

/// Attribute `offset`; one that does not exist is ignored with a warning, as in the reference.
fn shift(faults: &mut Faults<'_>, element: &Element<'_>, known: &[&str]) -> Option<Shift> {
    let attribute = attribute(element, "offset")?;
    let value = attribute.value.value.as_str();
    let found = OFFSETS.iter().find(|(name, _)| *name == value && known.contains(name));
    if found.is_none() {
        let message = format!("<{}> has no offset {value}, it is ignored", element.name);
        faults.warning(attribute.at, value, message, suggest(value, known));
    }
    found.map(|(_, offset)| Shift { offset: *offset, at: attribute.at })
}

fn attribute<'e, 't>(element: &'e Element<'t>, name: &str) -> Option<&'e Attribute<'t>> {
    element.attributes.iter().find(|attribute| attribute.name == name)
}

/// The content; an empty one stands where its element does.
fn text_of(element: &Element<'_>) -> Text {
    match element.content.value.is_empty() {
        true => Text::verbatim("", element.at),
        false => element.content.clone(),
    }
}

fn is(element: &Element<'_>, name: &str) -> bool {
    element.name.eq_ignore_ascii_case(name)
}

fn tag(element: &Element<'_>) -> String {
    format!("<{}>", element.name)
}
