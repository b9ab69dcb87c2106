//! SEMANTICS 5.4: lines of each format, and lines that depart from it.

use super::*;

fn plugin(plugin: Plugin, log: &str) -> (Decoding, Vec<String>) {
    let decoders = Tree::default().add("p", |decoder| {
        decoder.program_name = Some(Test::OsMatch(String::new()));
        decoder.plugin = Some((plugin, Offset::Log));
        decoder.category = Some(Category::WebLog);
    });
    run(&decoders.build(), Some("p"), log)
}

#[test]
fn packet_filter() {
    let fields = |log: &str| plugin(Plugin::Pf, log).1;
    assert_eq!(
        fields("rule 4/(match) block in on lo0: 192.0.2.1.48784 > 198.51.100.2.23: S 1381:1381(0) win 16384"),
        [
            "action=block",
            "srcip=192.0.2.1",
            "srcport=48784",
            "dstip=198.51.100.2",
            "dstport=23",
            "protocol=TCP"
        ]
    );
    assert_eq!(
        fields("rule 3/(match) pass out on xl0: 192.0.2.1.1514 > 198.51.100.2.1030:  udp 73")[5],
        "protocol=UDP"
    );
    assert_eq!(
        fields("rule 2/(match) pass in on lo0: 192.0.2.1 > 198.51.100.2: icmp: echo reply"),
        ["action=pass", "srcip=192.0.2.1", "dstip=198.51.100.2", "protocol=ICMP"]
    );
    assert_eq!(fields("rule 2/(match) scrub in on lo0: 192.0.2.1 > 198.51.100.2: x"), Vec::<String>::new());
    assert_eq!(
        fields("rule 2/(match) pass in on lo0: 192.0.2.1 < 198.51.100.2: x"),
        ["action=pass", "srcip=192.0.2.1"]
    );
    assert_eq!(
        fields("(a) p: 192.0.2.1 > 192.0.2.2:  "),
        ["action=pass", "srcip=192.0.2.1", "dstip=192.0.2.2"]
    );
}

#[test]
fn symantec() {
    let fields = |log: &str| plugin(Plugin::SymantecWs, log).1;
    assert_eq!(
        fields(
            "20240717,73614,1=5,11=192.0.2.4,1106=News,60=http://www.example.com/,10=anna,1000=192.0.2.9,2=27"
        ),
        ["srcip=192.0.2.4", "url=http://www.example.com/", "dstuser=anna", "id=2=27"]
    );
    assert_eq!(
        fields("20240717,73613,10=anna,10=bob,3=1,2=123456789,11=,"),
        ["dstuser=anna", "id=3=1,2=123", "srcip="]
    );
    assert_eq!(fields(&format!("d,t,10={}", "u".repeat(200))), [format!("dstuser={}", "u".repeat(128))]);
    assert_eq!(fields("no values"), Vec::<String>::new());
}

const CONNECTION: &str = "src=192.0.2.2:36701:WAN dst=198.51.100.1:443:LAN";

fn sonicwall(message: &str, rest: &str) -> (Option<Category>, Vec<String>) {
    let (decoding, fields) =
        plugin(Plugin::SonicWall, &format!("id=fw sn=1 pri=6 {message} msg=\"x\" {rest}"));
    (decoding.category, fields)
}

#[test]
fn sonicwall_fields() {
    let (category, fields) = sonicwall("c=262144 m=98", &format!("{CONNECTION} proto=tcp/https"));
    assert_eq!(category, Some(Category::Firewall));
    assert_eq!(
        fields,
        [
            "status=6",
            "id=98",
            "srcip=192.0.2.2",
            "srcport=36701",
            "dstip=198.51.100.1",
            "dstport=443",
            "protocol=tcp",
            "action=pass"
        ]
    );
    let (_, fields) = sonicwall("c=1 m=2", &format!("{CONNECTION} proto=abcdefghi"));
    assert_eq!(fields[6], "protocol=abcdef");
}

#[test]
fn sonicwall_types() {
    let kind = |message: &str| {
        let (category, fields) = sonicwall(message, CONNECTION);
        (category.unwrap(), fields.get(6).cloned().unwrap_or_default())
    };
    assert_eq!(kind("c=32 m=98"), (Category::Ids, String::new()));
    assert_eq!(kind("c=3 m=597"), (Category::Firewall, "action=pass".into()));
    assert_eq!(kind("c=3 m=173"), (Category::Firewall, "action=drop".into()));
    assert_eq!(kind("c=3 m=537"), (Category::Firewall, "action=close".into()));
    assert_eq!(kind("c=3 m=5"), (Category::Syslog, String::new()));
    assert_eq!(sonicwall("c=32 m=98", "no addresses").0, Some(Category::Syslog));
    assert_eq!(plugin(Plugin::SonicWall, "nothing").0.category, Some(Category::Syslog));
}

#[test]
fn sonicwall_pages() {
    let page = format!("{CONNECTION} proto=tcp/http op=1 result=403 dstname=www.example.com arg=/index.html");
    let (category, fields) = sonicwall("c=1024 m=97", &page);
    assert_eq!(category, Some(Category::Squid));
    assert_eq!(fields[6..], ["protocol=tcp", "id=403", "url=www.example.com/index.html"]);
    let (category, fields) = sonicwall("c=1024 m=97", CONNECTION);
    assert_eq!((category, fields.len()), (Some(Category::Squid), 6));
}

#[test]
fn alerts_of_other_instances() {
    let (decoding, fields) = plugin(
        Plugin::OssecAlert,
        "Alert Level: 3; Rule: 5501 - Login.; Location: web1->/var/log/auth; srcip: 192.0.2.9; user: anna;  the log",
    );
    assert_eq!(decoding, Decoding { decoder: Some(0), category: None, rule: Some(5501) });
    assert_eq!(fields, ["location web1->/var/log/auth", "srcip=192.0.2.9", "dstuser=anna", "log the log"]);

    let without = |log: &str| {
        let (decoding, fields) = plugin(Plugin::OssecAlert, log);
        assert_eq!((decoding.category, decoding.rule), (None, None), "{log}");
        fields
    };
    assert!(without("Alert Level: 3; Rule: 100001 - unknown; Location: a;  x").is_empty());
    assert!(without("Alert Level: 3; Rule: 05501 - other name; Location: a;  x").is_empty());
    assert!(without("Level: 3; Rule: 5501 - Login.; Location: a;  x").is_empty());
    assert_eq!(without("Alert Level: 3; Rule: 5501 - Login.; Location: a; x without end"), ["location a"]);
}
