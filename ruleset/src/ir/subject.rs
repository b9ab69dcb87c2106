//! What conditions look at, and how.

use serde::{Deserialize, Serialize};

/// One condition: a test on one subject. A missing subject fails the condition, negated or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is tested.
    pub subject: Subject,
    /// How.
    pub test: Test,
    /// Inverts the result of the test, not of a missing subject.
    pub negate: bool,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// The log after its header.
    Log,
    /// The program of the header.
    ProgramName,
    /// The host of the header, or the agent's name.
    Hostname,
    /// Where the event comes from.
    Location,
    /// A static field.
    Static(StaticField),
    /// `dstuser` where it is present, else `srcuser`: what `<user>` means.
    User,
    /// `srcuser` where it is present, else `dstuser`: what `<list field="user">` means.
    ListUser,
    /// A dynamic field, by its lower-case name.
    Field(String),
}

/// The fields that the reference keeps apart from the dynamic ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum StaticField {
    DstUser,
    SrcUser,
    SrcIp,
    DstIp,
    SrcPort,
    DstPort,
    Protocol,
    Action,
    Id,
    Url,
    Data,
    ExtraData,
    Status,
    SystemName,
    /// Needs a geographical database, which this engine has not: never present.
    SrcGeoip,
    /// As above.
    DstGeoip,
}

impl StaticField {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::DstUser,
        Self::SrcUser,
        Self::SrcIp,
        Self::DstIp,
        Self::SrcPort,
        Self::DstPort,
        Self::Protocol,
        Self::Action,
        Self::Id,
        Self::Url,
        Self::Data,
        Self::ExtraData,
        Self::Status,
        Self::SystemName,
        Self::SrcGeoip,
        Self::DstGeoip,
    ];

    /// The name in `order`, in `$(…)` and in alerts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DstUser => "dstuser",
            Self::SrcUser => "srcuser",
            Self::SrcIp => "srcip",
            Self::DstIp => "dstip",
            Self::SrcPort => "srcport",
            Self::DstPort => "dstport",
            Self::Protocol => "protocol",
            Self::Action => "action",
            Self::Id => "id",
            Self::Url => "url",
            Self::Data => "data",
            Self::ExtraData => "extra_data",
            Self::Status => "status",
            Self::SystemName => "system_name",
            Self::SrcGeoip => "srcgeoip",
            Self::DstGeoip => "dstgeoip",
        }
    }

    /// The field with that name; `user` is another name of `dstuser` in the `order` of decoders.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// How a subject is tested (SEMANTICS section 4 names the languages).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Test {
    /// Substring language.
    OsMatch(String),
    /// The reference's own regular expressions.
    OsRegex(String),
    /// Perl-compatible regular expressions.
    Pcre2(String),
    /// The same bytes.
    Equals(String),
    /// An address in one of these networks.
    Networks(Vec<Network>),
    /// A look-up in a list.
    List(ListTest),
}

/// A range of addresses. IPv4 addresses mapped into IPv6 are IPv4 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Network {
    /// Address and mask, the address masked already.
    V4(u32, u32),
    /// As above.
    V6(u128, u128),
    /// `any`: every address of either family.
    Any,
}

/// A look-up in a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListTest {
    /// Index into the set's lists.
    pub list: u32,
    /// How.
    pub lookup: Lookup,
    /// OSMatch pattern on the entry's value, for the look-ups that have one.
    pub check_value: Option<String>,
}

/// How a list is consulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Lookup {
    MatchKey,
    NotMatchKey,
    MatchKeyValue,
    AddressMatchKey,
    NotAddressMatchKey,
    AddressMatchKeyValue,
}
