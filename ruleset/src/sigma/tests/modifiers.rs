//! Every modifier, alone and with others.

use super::*;

#[test]
fn texts() {
    for (written, expected) in [
        ("f: abc", "f=abc"),
        ("f: 'a*b?c'", "f=a<*>b<?>c"),
        (r"f: 'C:\\*\x'", r"f=C:\<*>\x"),
        ("f: ''", "f="),
        ("f: null", "f null"),
        ("f:", "f null"),
        ("f: ~", "f null"),
        ("f: 'null'", "f=null"),
        ("f: 5", "f=5"),
        ("f: 0x10", "f=16"),
        ("f: 1.50", "f=1.5"),
        ("f: true", "f=true"),
        ("f: '*'", "f=<*>"),
        ("f: [a, 5, false]", "(f=a | f=5 | f=false)"),
        ("a.b c-d: x", "a.b c-d=x"),
        ("f|contains: abc", "f=<*>abc<*>"),
        ("f|contains: '*abc'", "f=<*>abc<*>"),
        ("f|contains: ''", "f=<*>"),
        ("f|contains: 44", "f=<*>44<*>"),
        ("f|startswith: abc", "f=abc<*>"),
        ("f|endswith: abc", "f=<*>abc"),
        ("f|endswith: [a, b]", "(f=<*>a | f=<*>b)"),
        ("f|cased: Abc", "f==Abc"),
        ("f|contains|cased: Abc", "f==<*>Abc<*>"),
        ("f|all: [a*, b]", "(f=a<*> & f=b)"),
        ("f|contains|all: [a, b]", "(f=<*>a<*> & f=<*>b<*>)"),
        ("f|all|contains: [a, b]", "(f=<*>a<*> & f=<*>b<*>)"),
        ("f|neq: a", "!f=a"),
        ("f|neq: 5", "!f=5"),
        ("f|neq: null", "!f null"),
        ("f|neq: [a, b]", "!(f=a | f=b)"),
        ("f|contains|neq: a", "!f=<*>a<*>"),
        ("f|all|neq: [a, b]", "!(f=a & f=b)"),
    ] {
        assert_eq!(item(written), expected, "{written}");
    }
}

#[test]
fn encodings_and_dashes() {
    for (written, expected) in [
        ("f|base64: cmd", "f=Y21k"),
        ("f|base64|contains: cmd", "f=<*>Y21k<*>"),
        ("f|base64offset|contains: foobar", "(f=<*>Zm9vYmFy<*> | f=<*>Zvb2Jhc<*> | f=<*>mb29iYX<*>)"),
        ("f|utf16le: ab", "f=a0b0"),
        ("f|wide|contains: ab", "f=<*>a0b0<*>"),
        ("f|utf16be: ab", "f=0a0b"),
        ("f|utf16|base64: ab", "f=//5hAGIA"),
        ("f|wide|base64: ab", "f=YQBiAA=="),
        ("f|windash: a-b", "f=a-b"),
        ("f|windash: -x", "(f=-x | f=/x | f=–x | f=—x | f=―x)"),
        (
            "f|contains|windash: ' /x'",
            "(f=<*> -x<*> | f=<*> /x<*> | f=<*> –x<*> | f=<*> —x<*> | f=<*> ―x<*>)",
        ),
    ] {
        assert_eq!(item(written), expected, "{written}");
    }
    let all = item("f|windash|contains|all: [' -a', ' -b']");
    assert_eq!((all.matches('&').count(), all.matches('|').count()), (1, 8), "{all}");
}

#[test]
fn regular_expressions() {
    for (written, expected) in [
        ("f|re: '^a.*b$'", "f~^a.*b$"),
        (r"f|re: 'a\*\\b'", r"f~a\*\\b"),
        ("f|re|i: abc", "f~(?i)abc"),
        ("f|re|s|i|m: abc", "f~(?ims)abc"),
        ("f|re|ignorecase: abc", "f~(?i)abc"),
        ("f|re|startswith: a|b", r"f~\A(?:a|b)"),
        ("f|re|i|endswith: a|b", r"f~(?i)(?:a|b)\z"),
        ("f|re|contains: abc", "f~abc"),
        ("f|re: [a, b]", "(f~a | f~b)"),
        ("f|re|all: [a, b]", "(f~a & f~b)"),
        ("f|re|neq: a", "!f~a"),
        ("f|re: 12", "f~12"),
    ] {
        let written = &written.replace("a|b", "'a|b'");
        assert_eq!(item(written), expected, "{written}");
    }
}

#[test]
fn networks_numbers_times_fields() {
    for (written, expected) in [
        ("f|cidr: 10.0.0.0/8", "f in 10.0.0.0/8"),
        ("f|cidr: [10.0.0.0/8, '2001:db8::/32']", "f in 10.0.0.0/8,2001:db8::/32"),
        ("f|cidr|all: [10.0.0.0/8, 10.1.0.0/16]", "(f in 10.0.0.0/8 & f in 10.1.0.0/16)"),
        ("f|cidr|neq: 10.0.0.0/8", "!f in 10.0.0.0/8"),
        ("f|lt: 5", "f<5"),
        ("f|lte: 5.5", "f<=5.5"),
        ("f|gt: -1", "f>-1"),
        ("f|gte: 0", "f>=0"),
        ("f|gt: [1, 2]", "(f>1 | f>2)"),
        ("f|exists: true", "f exists true"),
        ("f|exists: false", "f exists false"),
        ("f|fieldref: g.h", "f Whole g.h"),
        ("f|fieldref|startswith: g", "f Start g"),
        ("f|fieldref|endswith: g", "f End g"),
        ("f|fieldref|contains|cased: g", "f Anywhere g cased"),
        ("f|fieldref|neq: g", "!f Whole g"),
        ("f|fieldref: [g, h]", "(f Whole g | f Whole h)"),
        ("f|minute: 59", "f Minute 59"),
        ("f|hour: [22, 23]", "(f Hour 22 | f Hour 23)"),
        ("f|hour|gte: 22", "(f Hour 22 | f Hour 23)"),
        ("f|hour|lt: 1", "f Hour 0"),
        ("f|day: 31", "f Day 31"),
        ("f|week: 53", "f Week 53"),
        ("f|month: 12", "f Month 12"),
        ("f|year: 2026", "f Year 2026"),
        ("f|year|neq: 2026", "!f Year 2026"),
    ] {
        assert_eq!(item(written), expected, "{written}");
    }
}

#[test]
fn keywords() {
    for (selection, expected) in [
        ("[a, 'b*c']", "(#=a | #=b<*>c)"),
        ("word", "#=word"),
        ("[5]", "#=5"),
        ("{'|all': [a, b]}", "(#=a & #=b)"),
        ("{'|contains': [a]}", "#=<*>a<*>"),
        ("{'|re': 'a.b'}", "#~a.b"),
        ("{'|cased': Ab}", "#==Ab"),
    ] {
        let text = around(&format!("  s: {selection}\n  condition: s"));
        assert_eq!(shown(&rules(&text)[0].expr), expected, "{selection}");
    }
}

#[test]
fn placeholders_are_filled_in_or_the_rule_never_matches() {
    let mut placeholders = Placeholders::default();
    placeholders.set("admins", vec!["root".into(), "adm_*".into()]);
    placeholders.set("nets", vec!["10.0.0.0/8".into(), "::1".into()]);
    let loaded = |text: &str| load(&[file("r.yml", &with_item(text))], &placeholders);
    for (written, expected) in [
        ("f|expand: '%admins%'", "(f=root | f=adm_<*>)"),
        ("f|contains|expand: 'x-%admins%'", "(f=<*>x-root<*> | f=<*>x-adm_<*>)"),
        ("f|expand|base64: 'x%nobody'", ""),
        (r"f|expand: '\%admins% %admins%'", "(f=%admins% root | f=%admins% adm_<*>)"),
        ("f|re|expand: '^%admins%$'", "(f~^root$ | f~^adm\\_.*$)"),
        ("f|cidr|expand: '%nets%'", "f in 10.0.0.0/8,::1/128"),
        ("f|expand|cidr: '%nets%'", "f in 10.0.0.0/8,::1/128"),
        ("f: '%admins%'", "f=%admins%"),
    ] {
        let loaded = loaded(written);
        let found = loaded.set.rules.first().map(|rule| shown(&rule.expr)).unwrap_or_default();
        assert_eq!(found, expected, "{written}");
    }
    let unknown = loaded("f|expand: '%admin%'");
    let fault = unknown.diagnostics[0].to_string();
    assert!(
        fault.contains("5:15: warning: the placeholder %admin% has no values: the rule never"),
        "{fault}"
    );
    assert!(fault.contains("did you mean admins?"), "{fault}");
    assert_eq!(shown(&unknown.set.rules[0].expr), "()");
    // A rule that leaves out what the placeholder means does not match everything without it.
    let text = around("  s: {a: b}\n  known: {f|expand: '%admin%'}\n  condition: s and not known");
    let loaded = load(&[file("r.yml", &text)], &placeholders);
    assert_eq!(shown(&loaded.set.rules[0].expr), "()");
}

#[test]
fn faults_have_their_place() {
    for (written, expected) in [
        ("f|contians: x", "5:7: error: there is no modifier contians"),
        ("'f|contains|base64': x", "5:17: error: base64 cannot encode a value that has wildcards by now"),
        ("f|re: 'a(b'", "5:15: error: this is no regular expression"),
        ("f|re: '(a'", "5:14: error: this is no regular expression"),
        ("f|lt: 'x'", "5:11: error: a value to compare with must be a number"),
        ("f|lt: '5'", "5:11: error: a value to compare with must be a number"),
        ("f|cidr: 10.0.0", "5:13: error: 10.0.0 is neither a network nor an address"),
        ("f|cidr: 10.1.0.0/8", "5:13: warning: the address goes on behind its prefix"),
        ("f|exists: x", "5:15: error: `exists` needs a truth value"),
        ("f|exists: [true, false]", "5:15: error: `exists` needs one truth value"),
        ("f|fieldref: 'a*'", "5:17: error: the name of a field has no wildcards"),
        ("f|hour: 24", "5:13: error: this must be a whole number from 0 to 23"),
        ("f|hour: x", "5:13: error: this must be a whole number from 0 to 23"),
        ("f|hour|gt: 23", "5:16: error: no time is like that"),
        ("f|year|gt: 2020", "5:16: error: years are not compared"),
        ("f|base64: 'a*'", "5:15: error: a value with wildcards has no Base64 form"),
        ("f|base64offset: foobar", "5:5: warning: base64offset makes parts of values"),
        ("f|base64offset|contains: a", "5:30: error: a value that short"),
        ("f|windash: '-a -a -a -a -a -a'", "5:16: error: so many dashes"),
        ("f|all: x", "5:5: warning: all has no meaning with a single value"),
        ("f|contains: null", "5:17: error: null has no value that a modifier could change"),
        ("f|expand: x", "5:15: error: there is no placeholder in the value"),
        ("f: {g: x}", "5:8: error: a value must be a single value, this is a mapping"),
        ("f: [[x]]", "5:9: error: a value must be a single value, this is a list"),
        ("f: []", "5:8: error: there is nothing in it to look for"),
        ("f: [a, null]", "5:12: warning: null among other values"),
        ("'': x", "5:5: error: the name of the field is missing"),
        ("'|lt': 5", "5:5: error: this modifier needs a field"),
        ("'|startswith': a", "5:5: warning: a keyword is looked for anywhere"),
        ("'|all': [a, '']", "5:17: error: an empty keyword is in every event"),
        ("'|all': [a, null]", "5:17: error: nothing is no keyword"),
        ("[a]: x", "5:5: error: the name of a field must be a text"),
        ("f: a\n    f: b", "6:5: error: f stands here twice"),
    ] {
        let found = faults(&load_text(&with_item(written)));
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{written}: {found:#?}");
    }
}
