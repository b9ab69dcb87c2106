//! A rule that is reported as converted matches the same events in both languages.

use super::events::records;
use super::*;
use crate::ir::sigma::Expr;

/// How often a rule was asked, and how often it matched.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Asked {
    pub(super) events: usize,
    pub(super) matches: usize,
}

/// Compares one rule of a program with what became of it, on records made from its condition.
pub(super) fn compare(
    sigma: &Loaded,
    rule: &SigmaRule,
    worded: &Expr,
    count: usize,
) -> Result<Asked, String> {
    let alone = to_wazuh(&sigma.set, &ToWazuh::default(), &|head| head.id == rule.head.id);
    let made = alone.rules[0].made.clone();
    let (program, wazuh) = (sigma.program.as_ref().unwrap(), reload(&alone));
    let (mut left, mut right) = (Scratch::new(program), Scratch::new(&wazuh));
    let mut asked = Asked::default();
    for mapping in mapping::builtin().unwrap().iter().filter(|mapping| mapping.sigma.fits(&rule.logsource)) {
        let has = |name: &str| mapping.sigma.may_have(name);
        if sigma_sources::never(worded, &has) {
            continue;
        }
        for record in records(worded, mapping, count, 0x9e37_79b9_7f4a_7c15 ^ rule.head.id.len() as u64) {
            let (_, ids) = judge(program, &mut left, &mapping.source, &record, 0);
            let (verdict, _) = judge(&wazuh, &mut right, &mapping.source, &record, 0);
            let matches = ids.contains(&rule.head.id);
            let alerts = verdict.as_ref().is_some_and(|id| made.contains(id));
            asked.events += 1;
            asked.matches += usize::from(matches);
            if matches != alerts {
                let text = alone.files.iter().map(|file| file.text.as_str()).collect::<String>();
                return Err(format!(
                    "{} on {}: sigma {matches}, wazuh {verdict:?}\n{record}\n{text}",
                    rule.head.title, mapping.source
                ));
            }
        }
    }
    Ok(asked)
}

const TRAIL: &str = "product: aws, service: cloudtrail";

/// Rules of all shapes, and whether they come out as converted.
const RULES: &[(&str, &str, bool)] = &[
    (
        TRAIL,
        "  s: {eventName: [StopLogging, DeleteTrail], eventSource: cloudtrail.amazonaws.com}\n  condition: s",
        true,
    ),
    (TRAIL, "  s: {eventName: 'Stop*', userAgent|contains: ['a.b', '<x>', 'c|d$']}\n  condition: s", true),
    (TRAIL, "  s: {eventName|startswith: Get, eventName|endswith: Data}\n  condition: s", true),
    (
        TRAIL,
        "  s: {eventName|startswith: Get}\n  f: {eventName: [GetX, GetY]}\n  condition: s and not f",
        true,
    ),
    (TRAIL, "  s: {eventName: X}\n  f: {errorCode: AccessDenied}\n  condition: s and not f", true),
    (TRAIL, "  s: {eventName: X}\n  f: {errorCode: A, userAgent: B}\n  condition: s and not f", true),
    (
        TRAIL,
        "  s: {eventName: X}\n  f: {errorCode: A, userAgent: B}\n  g: {awsRegion|startswith: eu-}\n  condition: s and not (f and not g)",
        true,
    ),
    (
        TRAIL,
        "  s: {eventName: X}\n  t: {eventName: Y}\n  f: {errorCode: A}\n  g: {userAgent: B}\n  condition: (s and not f) or (t and not g)",
        true,
    ),
    (
        TRAIL,
        "  s: {eventSource: X}\n  t: {eventName: Y}\n  f: {errorCode: A}\n  g: {userAgent: B}\n  condition: (s and not f) or (t and not g)",
        true,
    ),
    (
        TRAIL,
        "  s: {eventSource: X}\n  t: {eventName: Y}\n  u: {awsRegion: Z}\n  f: {errorCode: A}\n  g: {userAgent: B}\n  condition: (s and not f) or (t and not g) or (u and not (f or g))",
        true,
    ),
    (TRAIL, "  f: {eventName: [A, B]}\n  condition: not f", false),
    (
        TRAIL,
        "  s: {eventName|cased: RunX}\n  t: {eventName|re: '^Re(ad|ceive)\\d+$'}\n  condition: s or t",
        true,
    ),
    (TRAIL, "  s: {eventName|re|i: 'a<b', userAgent|re: '(?<!x)y'}\n  condition: s", true),
    (TRAIL, "  s: {sourceIPAddress|cidr: [10.0.0.0/8, 192.168.4.0/22]}\n  condition: s", true),
    (TRAIL, "  s: {userAgent: 'a?c', requestParameters.x: ''}\n  condition: s", true),
    (TRAIL, "  s: {requestParameters.n: [7, 12345678901, 1.5, true]}\n  condition: s", true),
    (TRAIL, "  s: {requestParameters.n|gte: 10}\n  condition: s", false),
    (TRAIL, "  s: {eventName: X, errorCode: null}\n  condition: s", false),
    (TRAIL, "  s: {eventName: X, errorCode|exists: false}\n  condition: s", false),
    (TRAIL, "  s: {eventName: X, sourceIPAddress|cidr: fe80::/10}\n  condition: s", false),
    (
        "product: gcp, service: gcp.audit",
        "  s: {gcp.audit.method_name: v1.Compute.Firewalls.Delete}\n  condition: s",
        true,
    ),
    (
        "product: gcp, service: gcp.audit",
        "  s: {severity: '*'}\n  f: {protoPayload.status.code: 7}\n  condition: s and not f",
        false,
    ),
    (
        "product: github, service: audit",
        "  s: {action: [repo.create, org.*], actor: x}\n  f: {user: y}\n  condition: s and not f",
        true,
    ),
    (
        "product: docker, service: events",
        "  s: {Action: exec_start, Type: container}\n  f: {Actor.Attributes.name: x}\n  condition: s and not f",
        true,
    ),
    (
        "product: okta, service: okta",
        "  s: {eventType: user.session.start, outcome.result: FAILURE}\n  condition: s",
        false,
    ),
    ("product: onelogin, service: onelogin.events", "  s: {event_type_id: 17}\n  condition: s", false),
    ("product: bitbucket, service: audit", "  s: {auditType.action: X}\n  condition: s", false),
    ("product: azure, service: pim", "  s: {riskLevel: high}\n  f: {id: x}\n  condition: s and not f", true),
    (
        "product: kubernetes, service: audit",
        "  s: {verb: create, objectRef.resource: pods}\n  f: {user.username: x}\n  condition: s and not f",
        false,
    ),
    ("product: m365, service: exchange", "  s: {Operation: New-X, Status: y}\n  condition: s", true),
];

#[test]
fn written_rules_match_what_they_come_from() {
    let mut faults = Vec::new();
    for (at, (logsource, detection, exact)) in RULES.iter().enumerate() {
        let loaded = sigma(&[&rule(logsource, detection)]);
        let outcome = convert(&loaded.set).rules[0].outcome.clone();
        if (outcome == Outcome::Converted) != *exact || matches!(outcome, Outcome::Impossible(_)) {
            faults.push(format!("{detection}: {outcome:?}"));
        }
        let worded = sigma_sources::in_words_of(&loaded.set.sigma, &mapping::builtin().unwrap());
        if !*exact {
            continue;
        }
        match compare(&loaded, &loaded.set.sigma.rules[0], &worded.rules[0].expr, 300) {
            Ok(asked) if asked.matches >= 5 && asked.matches + 5 <= asked.events => {}
            Ok(asked) => faults.push(format!("{at} {detection}: {asked:?}")),
            Err(fault) => faults.push(format!("{at}: {fault}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
