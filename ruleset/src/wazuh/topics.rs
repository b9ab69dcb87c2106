//! Which ids the public rule set of the reference uses for what.
//!
//! Only facts, so that a rule which refers to a parent that is not there can be told where that parent is defined.

/// First and last id of a range, and its topic; ascending, without overlaps.
const TOPICS: &[(u32, u32, &str)] = &[
    (200, 299, "Wazuh agent events"),
    (400, 499, "Wazuh API"),
    (500, 799, "OSSEC agent and integrity events"),
    (1000, 1099, "general syslog"),
    (2100, 2999, "general syslog"),
    (3100, 3199, "Sendmail"),
    (3300, 3399, "Postfix"),
    (3500, 3599, "SpamAssassin"),
    (3600, 3699, "imapd"),
    (3700, 3799, "MailScanner"),
    (3800, 3899, "Microsoft Exchange"),
    (3900, 3999, "Courier"),
    (4100, 4199, "firewall"),
    (4300, 4399, "Cisco PIX"),
    (4500, 4599, "NetScreen firewall"),
    (4700, 4799, "Cisco IOS"),
    (4800, 4899, "SonicWall"),
    (5100, 5499, "general syslog"),
    (5500, 5599, "PAM"),
    (5600, 5699, "telnetd"),
    (5700, 5799, "sshd"),
    (5900, 5999, "general syslog"),
    (6100, 6199, "Solaris BSM"),
    (6200, 6299, "Asterisk"),
    (6300, 6399, "Microsoft DHCP"),
    (7100, 7199, "general syslog"),
    (7200, 7299, "arpwatch"),
    (7300, 7399, "Symantec AV"),
    (7400, 7499, "Symantec Web Security"),
    (7500, 7599, "McAfee AV"),
    (7600, 7699, "Trend Micro OfficeScan"),
    (7700, 7799, "Microsoft Security Essentials"),
    (9100, 9299, "general syslog"),
    (9300, 9399, "Horde IMP"),
    (9400, 9499, "Roundcube"),
    (9500, 9599, "WordPress"),
    (9600, 9699, "cimserver"),
    (9700, 9799, "Dovecot"),
    (9800, 9899, "vm-pop3d"),
    (9900, 9999, "vpopmail"),
    (10_100, 10_199, "general syslog"),
    (11_100, 11_199, "ftpd"),
    (11_200, 11_299, "ProFTPD"),
    (11_300, 11_399, "Pure-FTPd"),
    (11_400, 11_499, "vsftpd"),
    (11_500, 11_599, "Microsoft FTP"),
    (12_100, 12_199, "named (BIND)"),
    (13_100, 13_199, "Samba"),
    (14_100, 14_199, "racoon"),
    (14_200, 14_299, "Cisco VPN concentrator"),
    (17_000, 17_099, "Kaspersky"),
    (17_100, 17_199, "policy"),
    (18_100, 18_299, "Windows authentication"),
    (18_600, 18_699, "Microsoft IPsec"),
    (19_000, 19_099, "configuration assessment"),
    (19_100, 19_199, "VMware"),
    (20_100, 20_199, "IDS"),
    (22_400, 22_499, "Vuls"),
    (23_500, 23_599, "vulnerability detection"),
    (24_000, 24_899, "osquery"),
    (30_100, 30_499, "Apache"),
    (31_100, 31_199, "web access log"),
    (31_200, 31_299, "Zeus"),
    (31_300, 31_399, "nginx"),
    (31_400, 31_499, "PHP"),
    (31_500, 31_599, "web attack"),
    (35_000, 35_099, "Squid"),
    (40_100, 40_699, "attack pattern"),
    (40_700, 40_799, "systemd"),
    (40_900, 40_999, "firewalld"),
    (42_000, 42_099, "ESET"),
    (44_400, 44_599, "FortiDDoS"),
    (44_600, 44_639, "FortiGate"),
    (44_640, 44_729, "FortiMail"),
    (44_730, 44_799, "FortiAuthenticator"),
    (50_100, 50_199, "MySQL"),
    (50_500, 50_599, "PostgreSQL"),
    (51_000, 51_099, "Dropbear"),
    (51_500, 51_599, "OpenBSD"),
    (52_000, 52_099, "AppArmor"),
    (52_500, 52_599, "ClamAV"),
    (53_500, 53_599, "OpenSMTPD"),
    (60_000, 60_099, "Windows base"),
    (60_100, 60_299, "Windows security log"),
    (60_600, 61_099, "Windows application log"),
    (61_100, 61_199, "Windows system log"),
    (61_600, 61_699, "Windows Sysmon"),
    (62_100, 62_299, "Windows Defender"),
    (62_600, 62_699, "McAfee on Windows"),
    (63_100, 63_199, "Windows event log service"),
    (63_600, 63_699, "Security Essentials on Windows"),
    (64_000, 64_099, "Cisco ASA"),
    (64_100, 64_199, "generic Windows"),
    (64_200, 64_219, "Panda PAPS"),
    (64_220, 64_269, "Check Point"),
    (64_270, 64_299, "Sophos"),
    (64_500, 64_599, "Palo Alto"),
    (65_000, 65_099, "Google Cloud"),
    (65_200, 65_399, "F5 BIG-IP"),
    (65_500, 65_599, "McAfee ePO"),
    (65_600, 65_699, "GitLab"),
    (66_000, 66_099, "Zeek"),
    (67_000, 67_010, "Windows Firewall"),
    (67_011, 67_099, "Windows event forwarding"),
    (67_100, 67_199, "Junos"),
    (70_000, 70_019, "FreePBX"),
    (70_020, 70_099, "Sophos firewall"),
    (80_000, 80_099, "Puppet"),
    (80_100, 80_199, "NetScaler"),
    (80_200, 80_499, "Amazon AWS"),
    (80_500, 80_599, "Serv-U"),
    (80_700, 80_799, "auditd"),
    (81_100, 81_199, "USB"),
    (81_300, 81_399, "Redis"),
    (81_400, 81_599, "OpenSCAP"),
    (81_600, 81_699, "FortiGate"),
    (81_700, 81_799, "HP switch"),
    (81_800, 81_899, "OpenVPN"),
    (81_900, 81_999, "RSA Authentication Manager"),
    (82_000, 82_099, "Imperva"),
    (82_100, 82_199, "Sophos"),
    (82_200, 82_299, "FreeIPA"),
    (82_400, 82_499, "Cisco eStreamer"),
    (83_000, 83_099, "Windows Defender (older)"),
    (83_200, 83_299, "Windows log clearing"),
    (85_000, 85_099, "Microsoft SQL Server"),
    (85_500, 85_599, "Identity Guard"),
    (85_700, 85_799, "MongoDB"),
    (86_000, 86_099, "Docker daemon"),
    (86_200, 86_299, "Jenkins"),
    (86_600, 86_699, "Suricata"),
    (86_800, 86_899, "VShell"),
    (86_900, 86_999, "QualysGuard"),
    (87_000, 87_099, "Cylance"),
    (87_100, 87_199, "VirusTotal"),
    (87_200, 87_299, "Proxmox VE"),
    (87_300, 87_399, "ownCloud"),
    (87_400, 87_499, "CIS-CAT"),
    (87_500, 87_599, "Exim"),
    (87_600, 87_699, "OpenVAS"),
    (87_700, 87_799, "pfSense"),
    (87_800, 87_899, "Microsoft Azure"),
    (87_900, 87_999, "Docker events"),
    (88_000, 88_099, "MySQL audit"),
    (88_100, 88_199, "MariaDB"),
    (88_200, 88_299, "Nextcloud"),
    (88_800, 88_899, "Arbor"),
    (89_000, 89_099, "MySQL audit"),
    (89_100, 89_199, "Oracle Database"),
    (89_200, 89_299, "Huawei USG"),
    (89_500, 89_599, "Sysmon event 20"),
    (89_600, 89_699, "macOS"),
    (90_400, 90_599, "VIPRE"),
    (91_000, 91_099, "Exchange ProxyLogon"),
    (91_100, 91_499, "GitHub"),
    (91_500, 91_530, "Cisco FTD"),
    (91_531, 91_799, "Office 365"),
    (91_800, 91_899, "PowerShell"),
    (92_000, 92_099, "Sysmon event 1"),
    (92_100, 92_150, "Sysmon event 3"),
    (92_151, 92_199, "Sysmon event 7"),
    (92_200, 92_299, "Sysmon event 11"),
    (92_300, 92_399, "Sysmon event 13"),
    (92_400, 92_499, "Sysmon event 8"),
    (92_500, 92_599, "Cloudflare WAF"),
    (92_600, 92_649, "audit"),
    (92_650, 92_699, "Windows event channel"),
    (92_900, 92_999, "Sysmon event 10"),
    (99_000, 99_099, "Amazon Security Lake"),
    (99_500, 99_699, "Microsoft Graph"),
    (99_700, 99_799, "Maltiverse"),
    (99_800, 99_899, "AWS Security Hub"),
    (99_900, 99_999, "malicious indicator"),
    (150_100, 150_199, "FireEye"),
    (184_600, 185_099, "Sysmon (older)"),
    (500_000, 500_199, "Unbound"),
];

/// Ids that the public rule set leaves to its users.
const OWN_IDS: std::ops::RangeInclusive<u32> = 100_000..=120_000;

/// What a person who misses this rule should do.
pub(super) fn origin(id: u32) -> String {
    match topic(id) {
        Some((first, last, topic)) => format!(
            "it belongs to the {topic} rules ({first}–{last}) of the public rule set and is not built in; load the file \
             that defines it before this one, or choose a built-in parent"
        ),
        None if OWN_IDS.contains(&id) => {
            format!(
                "{id} is an id for own rules, but no loaded file defines it; load that file before this one"
            )
        }
        None => "no loaded file defines it, and the public rule set has nothing in that range; check the id"
            .to_owned(),
    }
}

fn topic(id: u32) -> Option<(u32, u32, &'static str)> {
    let next = TOPICS.partition_point(|(first, ..)| *first <= id);
    TOPICS.get(next.checked_sub(1)?).copied().filter(|(_, last, _)| id <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_ascend() {
        for pair in TOPICS.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{pair:?}");
        }
    }

    #[test]
    fn names_the_topic_of_an_id() {
        for (id, expected) in [
            (5710, "sshd"),
            (80202, "Amazon AWS"),
            (87801, "Microsoft Azure"),
            (65042, "Google Cloud"),
            (91449, "GitHub"),
            (91531, "Office 365"),
        ] {
            assert_eq!(topic(id).unwrap().2, expected);
            assert!(origin(id).contains(expected));
        }
        assert!(origin(100_300).contains("own rules"));
        assert!(origin(300_000).contains("check the id"));
        assert!(origin(5).contains("check the id"));
    }
}
