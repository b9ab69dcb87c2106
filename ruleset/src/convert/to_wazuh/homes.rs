//! Where the events of each source are in the tree of Wazuh rules, and what the reference makes of their fields.
//!
//! Enters: the name of a source. Leaves: its [`Home`]: the public rule that all its events pass, or what tells them from other
//! JSON where there is none. The numbers of the parents are those of the public rule set, so that what is written can be
//! loaded there and here; a set that lacks one gets it with the same number and meaning.

/// The rule that all events of a source pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) id: u32,
    pub(super) level: u8,
    pub(super) decoder: &'static str,
    pub(super) field: &'static str,
    pub(super) value: &'static str,
    pub(super) group: &'static str,
    /// What its events are.
    pub(super) what: &'static str,
}

/// Where the events of a source are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    /// Name of the source.
    pub(super) source: &'static str,
    /// Homes with the same name are one place in the tree.
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// Null members are no fields.
    pub(super) without_nulls: bool,
    /// Paths of lists: what stands below is seen only in the list's JSON text.
    pub(super) lists: &'static [&'static str],
}

/// How events of a home are told from others.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// By a public rule.
    Below(Parent),
    /// By fields that all of them have: name and PCRE2 pattern.
    Marked(&'static [(&'static str, &'static str)]),
    /// Not at all: everything that the category for system logs holds.
    Syslog,
}

const AWS: Place = Place::Below(Parent {
    id: 80_200,
    level: 0,
    decoder: "json",
    field: "integration",
    value: "aws",
    group: "amazon,aws,",
    what: "AWS",
});
const AZURE_STORAGE: Place = Place::Below(azure(87_803, "azure-storage", "Azure storage"));
const AZURE_LOG_ANALYTICS: Place = Place::Below(azure(87_801, "azure-log-analytics", "Azure Log Analytics"));
const AZURE_GRAPH: Place = Place::Below(azure(87_802, "azure-ad-graph", "Microsoft Entra"));

const fn azure(id: u32, value: &'static str, what: &'static str) -> Parent {
    Parent { id, level: 3, decoder: "json", field: "azure_tag", value, group: "azure,", what }
}

const fn integration(id: u32, value: &'static str, group: &'static str, what: &'static str) -> Place {
    Place::Below(Parent { id, level: 0, decoder: "json", field: "integration", value, group, what })
}

const MS_GRAPH: Place = Place::Below(Parent {
    id: 99_500,
    level: 0,
    decoder: "json-msgraph",
    field: "integration",
    value: "ms-graph",
    group: "ms-graph,",
    what: "Microsoft Graph",
});

const ENTRA_LISTS: &[&str] = &[
    "targetResources",
    "additionalDetails",
    "authenticationDetails",
    "authenticationProcessingDetails",
    "appliedConditionalAccessPolicies",
    "networkLocationDetails",
    "riskEventTypes",
    "riskEventTypes_v2",
    "alertIncidents",
];
const ENTRA_STORAGE_LISTS: &[&str] = &[
    "properties.targetResources",
    "properties.additionalDetails",
    "properties.authenticationDetails",
    "properties.authenticationProcessingDetails",
    "properties.appliedConditionalAccessPolicies",
    "properties.networkLocationDetails",
    "properties.riskEventTypes",
    "properties.riskEventTypes_v2",
];
const ENTRA_COLUMNS: &[&str] = &[
    "TargetResources",
    "AdditionalDetails",
    "AuthenticationDetails",
    "AuthenticationProcessingDetails",
    "ConditionalAccessPolicies",
    "NetworkLocationDetails",
    "RiskEventTypes",
    "RiskEventTypes_V2",
];

const HOMES: &[Home] = &[
    Home { source: "aws.cloudtrail", name: "aws", place: AWS, without_nulls: true, lists: &[] },
    Home { source: "aws.eventbridge", name: "aws", place: AWS, without_nulls: true, lists: &[] },
    Home { source: "aws.guardduty", name: "aws", place: AWS, without_nulls: true, lists: &[] },
    Home {
        source: "azure.activity",
        name: "azure-storage",
        place: AZURE_STORAGE,
        without_nulls: false,
        lists: ENTRA_STORAGE_LISTS,
    },
    Home {
        source: "azure.storage",
        name: "azure-storage",
        place: AZURE_STORAGE,
        without_nulls: false,
        lists: ENTRA_STORAGE_LISTS,
    },
    Home {
        source: "azure.log_analytics",
        name: "azure-log-analytics",
        place: AZURE_LOG_ANALYTICS,
        without_nulls: false,
        lists: ENTRA_COLUMNS,
    },
    Home {
        source: "azure.graph",
        name: "azure-graph",
        place: AZURE_GRAPH,
        without_nulls: false,
        lists: ENTRA_LISTS,
    },
    Home { source: "ms_graph", name: "ms-graph", place: MS_GRAPH, without_nulls: true, lists: ENTRA_LISTS },
    Home {
        source: "gcp.pubsub",
        name: "gcp",
        place: integration(65_000, "gcp", "gcp,", "Google Cloud"),
        without_nulls: false,
        lists: &["protoPayload.authorizationInfo", "protoPayload.metadata.event"],
    },
    Home {
        source: "github",
        name: "github",
        place: integration(91_100, "github", "github,git,", "GitHub"),
        without_nulls: false,
        lists: &["config", "events", "token_scopes"],
    },
    Home {
        source: "office365",
        name: "office365",
        place: integration(91_531, "office365", "office365,", "Microsoft 365"),
        without_nulls: false,
        lists: &[
            "Parameters",
            "ExtendedProperties",
            "ModifiedProperties",
            "OperationProperties",
            "Actor",
            "Target",
            "AffectedItems",
        ],
    },
    Home {
        source: "docker",
        name: "docker",
        place: integration(87_900, "docker", "docker,", "Docker"),
        without_nulls: false,
        lists: &[],
    },
    Home {
        source: "k8s.audit",
        name: "k8s",
        place: Place::Marked(&[("kind", "^Event$"), ("apiVersion", r"^audit\.k8s\.io/")]),
        without_nulls: false,
        lists: &[
            "sourceIPs",
            "user.groups",
            "impersonatedUser.groups",
            "requestObject.spec.containers",
            "requestObject.spec.volumes",
            "requestObject.rules",
            "requestObject.subjects",
            "responseObject.spec.containers",
            "responseObject.spec.volumes",
        ],
    },
    Home {
        source: "okta",
        name: "okta",
        place: Place::Marked(&[("eventType", "^"), ("published", "^"), ("uuid", "^")]),
        without_nulls: false,
        lists: &["target", "request.ipChain"],
    },
    Home {
        source: "onelogin",
        name: "onelogin",
        place: Place::Marked(&[("event_type_id", "^"), ("account_id", "^")]),
        without_nulls: false,
        lists: &[],
    },
    Home {
        source: "bitbucket",
        name: "bitbucket",
        place: Place::Marked(&[("auditType.action", "^"), ("auditType.category", "^")]),
        without_nulls: false,
        lists: &["affectedObjects", "changedValues", "extraAttributes"],
    },
    Home {
        source: "cisco.duo",
        name: "duo",
        place: Place::Marked(&[("txid", "^"), ("event_type", "^")]),
        without_nulls: false,
        lists: &["user.groups"],
    },
    Home { source: "syslog", name: "syslog", place: Place::Syslog, without_nulls: false, lists: &[] },
];

/// The home of a source, where Wazuh rules can tell its events.
pub(super) fn of(source: &str) -> Option<&'static Home> {
    HOMES.iter().find(|home| home.source == source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::mapping;

    #[test]
    fn every_source_that_sigma_rules_look_at_has_a_home() {
        for mapping in mapping::builtin().unwrap() {
            let wanted = !mapping.sigma.logsources.is_empty();
            assert_eq!(of(&mapping.source).is_some(), wanted, "{}", mapping.source);
        }
    }

    #[test]
    fn constants_of_mappings_lead_to_the_parents() {
        for mapping in mapping::builtin().unwrap() {
            if let Some(Home { place: Place::Below(parent), .. }) = of(&mapping.source) {
                let constant = (parent.field.to_owned(), parent.value.to_owned());
                assert!(mapping.constants.contains(&constant), "{}", mapping.source);
            }
        }
    }
}
