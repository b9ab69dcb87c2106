//! Syslog lines of a small fleet that is reachable from the internet: mostly sshd, and what else such hosts log.
//!
//! Enters: a seed. Leaves: lines with a header, in time order. Lines come in episodes (an attempt to log in, a session,
//! a job), several under way at once, so that they mix as the logs of many hosts do. The clock moves on by about 40 ms a
//! line: rules that count see as many events in their time frames as they would in a log of 25 lines a second.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::clock::Clock;
use crate::random::Random;

/// Episodes under way at once.
const UNDER_WAY: usize = 24;
/// Addresses that try passwords at the same time; each keeps to one host for a while.
const ATTACKERS: usize = 12;
const HOSTS: u64 = 60;
const USERS: u64 = 400;

const INVALID: &[&str] = &[
    "admin",
    "test",
    "oracle",
    "ubuntu",
    "guest",
    "postgres",
    "user",
    "ftpuser",
    "git",
    "hadoop",
    "minecraft",
    "pi",
    "deploy",
    "nagios",
    "tomcat",
    "jenkins",
    "support",
    "www",
    "ec2-user",
    "zabbix",
];
const COMMANDS: &[&str] = &[
    "/usr/bin/systemctl restart nginx",
    "/usr/bin/apt-get update",
    "/usr/bin/journalctl -u postgresql --since today",
    "/bin/ls /var/log/audit",
    "/usr/bin/tail -n 100 /var/log/syslog",
    "/usr/sbin/service haproxy reload",
];
const JOBS: &[&str] = &[
    "   cd / && run-parts --report /etc/cron.hourly",
    "command -v debian-sa1 > /dev/null && debian-sa1 1 1",
    "/opt/backup/rotate --keep 14 >/dev/null 2>&1",
    "[ -x /usr/lib/php/sessionclean ] && /usr/lib/php/sessionclean",
];
const UNITS: &[(&str, &str)] = &[
    ("apt-daily.service", "Daily apt download activities"),
    ("logrotate.service", "Rotate log files"),
    ("phpsessionclean.service", "Clean php session files"),
    ("sysstat-collect.service", "system activity accounting tool"),
    ("systemd-tmpfiles-clean.service", "Cleanup of Temporary Directories"),
];
/// Chances of the kinds of episodes, out of their sum.
const CHANCES: [(u64, Kind); 9] = [
    (60, Kind::Guess),
    (9, Kind::Scan),
    (8, Kind::Session),
    (4, Kind::Mistake),
    (9, Kind::Sudo),
    (11, Kind::Cron),
    (6, Kind::Systemd),
    (8, Kind::Firewall),
    (3, Kind::Daemon),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Guess,
    Scan,
    Session,
    Mistake,
    Sudo,
    Cron,
    Systemd,
    Firewall,
    Daemon,
}

#[derive(Debug, Clone, Default)]
struct Attacker {
    host: u64,
    address: String,
    left: u64,
}

/// Makes one line after another.
#[derive(Debug, Clone)]
pub struct Syslog {
    random: Random,
    clock: Clock,
    episodes: Vec<VecDeque<String>>,
    attackers: Vec<Attacker>,
}

impl Syslog {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            clock: Clock::default(),
            episodes: vec![VecDeque::new(); UNDER_WAY],
            attackers: vec![Attacker::default(); ATTACKERS],
        }
    }

    /// The time of the last line.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Appends the next line, without its end.
    pub fn write(&mut self, out: &mut String) {
        let pause = self.random.below(80);
        self.clock.advance(pause);
        let at = usize::try_from(self.random.below(UNDER_WAY as u64)).unwrap_or(0);
        if self.episodes[at].is_empty() {
            self.episodes[at] = self.episode();
        }
        self.clock.write_syslog(out);
        out.push(' ');
        out.push_str(&self.episodes[at].pop_front().unwrap_or_default());
    }

    fn episode(&mut self) -> VecDeque<String> {
        let mut at = self.random.below(CHANCES.iter().map(|(chance, _)| chance).sum());
        let mut kind = Kind::Guess;
        for (chance, candidate) in CHANCES {
            kind = candidate;
            if at < chance {
                break;
            }
            at -= chance;
        }
        match kind {
            Kind::Guess => self.guess(),
            Kind::Scan => self.scan(),
            Kind::Session => self.session(),
            Kind::Mistake => self.mistake(),
            Kind::Sudo => self.sudo(),
            Kind::Cron => self.cron(),
            Kind::Systemd => self.systemd(),
            Kind::Firewall => self.firewall(),
            Kind::Daemon => self.daemon(),
        }
    }

    /// One password tried from outside.
    fn guess(&mut self) -> VecDeque<String> {
        let index = usize::try_from(self.random.below(ATTACKERS as u64)).unwrap_or(0);
        if self.attackers[index].left == 0 {
            let address = self.outside();
            self.attackers[index] =
                Attacker { host: self.random.below(HOSTS), address, left: 3 + self.random.below(60) };
        }
        self.attackers[index].left -= 1;
        let Attacker { host, address, .. } = self.attackers[index].clone();
        let (sshd, port) = (of(host, "sshd", self.pid()), self.port());
        let mut lines = VecDeque::new();
        if self.random.below(100) < 62 {
            let user = *self.random.pick(INVALID);
            lines.push_back(format!("{sshd}Invalid user {user} from {address} port {port}"));
            lines.push_back(format!("{sshd}pam_unix(sshd:auth): check pass; user unknown"));
            lines.push_back(format!("{sshd}pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address} "));
            lines.push_back(format!(
                "{sshd}Failed password for invalid user {user} from {address} port {port} ssh2"
            ));
            lines.push_back(match self.random.below(3) {
                0 => {
                    format!("{sshd}Connection closed by invalid user {user} {address} port {port} [preauth]")
                }
                1 => format!("{sshd}Disconnected from invalid user {user} {address} port {port} [preauth]"),
                _ => format!("{sshd}Received disconnect from {address} port {port}:11: Bye Bye [preauth]"),
            });
        } else {
            lines.push_back(format!("{sshd}pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address}  user=root"));
            lines.push_back(format!("{sshd}Failed password for root from {address} port {port} ssh2"));
            lines.push_back(match self.random.below(3) {
                0 => format!(
                    "{sshd}Connection closed by authenticating user root {address} port {port} [preauth]"
                ),
                1 => format!(
                    "{sshd}Disconnected from authenticating user root {address} port {port} [preauth]"
                ),
                _ => format!("{sshd}Received disconnect from {address} port {port}:11:  [preauth]"),
            });
        }
        lines
    }

    /// Somebody who looks which ports answer.
    fn scan(&mut self) -> VecDeque<String> {
        let (sshd, port) = (of(self.random.below(HOSTS), "sshd", self.pid()), self.port());
        let address = self.outside();
        VecDeque::from([match self.random.below(5) {
            0 => format!("{sshd}Did not receive identification string from {address} port {port}"),
            1 => format!("{sshd}Connection closed by {address} port {port} [preauth]"),
            2 => format!("{sshd}Connection reset by {address} port {port} [preauth]"),
            3 => format!("{sshd}banner exchange: Connection from {address} port {port}: invalid format"),
            _ => format!(
                "{sshd}Unable to negotiate with {address} port {port}: no matching key exchange method found. Their offer: diffie-hellman-group14-sha1,diffie-hellman-group1-sha1 [preauth]"
            ),
        }])
    }

    fn session(&mut self) -> VecDeque<String> {
        let (host, pid, port) = (self.random.below(HOSTS), self.pid(), self.port());
        let (user, address, number) = (self.user(), self.inside(), self.random.below(90_000));
        let (sshd, logind, systemd) =
            (of(host, "sshd", pid), of(host, "systemd-logind", 712), of(host, "systemd", 1));
        let how = match self.random.below(4) {
            0 => format!("Accepted password for {user} from {address} port {port} ssh2"),
            _ => {
                let (high, low) = (self.random.number(), self.random.number());
                format!(
                    "Accepted publickey for {user} from {address} port {port} ssh2: ED25519 SHA256:{high:016x}{low:016x}"
                )
            }
        };
        VecDeque::from([
            format!("{sshd}{how}"),
            format!(
                "{sshd}pam_unix(sshd:session): session opened for user {user}(uid=1{number:05}) by (uid=0)"
            ),
            format!("{logind}New session {number} of user {user}."),
            format!("{systemd}Started Session {number} of user {user}."),
            format!("{sshd}Received disconnect from {address} port {port}:11: disconnected by user"),
            format!("{sshd}Disconnected from user {user} {address} port {port}"),
            format!("{sshd}pam_unix(sshd:session): session closed for user {user}"),
            format!("{logind}Session {number} logged out. Waiting for processes to exit."),
            format!("{logind}Removed session {number}."),
        ])
    }

    /// A user who types the password wrong before it is right.
    fn mistake(&mut self) -> VecDeque<String> {
        let sshd = of(self.random.below(HOSTS), "sshd", self.pid());
        let (user, address, port) = (self.user(), self.inside(), self.port());
        VecDeque::from([
            format!(
                "{sshd}pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address}  user={user}"
            ),
            format!("{sshd}Failed password for {user} from {address} port {port} ssh2"),
            format!("{sshd}Accepted password for {user} from {address} port {port} ssh2"),
            format!("{sshd}pam_unix(sshd:session): session opened for user {user} by (uid=0)"),
        ])
    }

    fn sudo(&mut self) -> VecDeque<String> {
        let (host, user, tty) = (host(self.random.below(HOSTS)), self.user(), self.random.below(8));
        let command = *self.random.pick(COMMANDS);
        VecDeque::from([
            format!(
                "{host} sudo:   {user} : TTY=pts/{tty} ; PWD=/home/{user} ; USER=root ; COMMAND={command}"
            ),
            format!(
                "{host} sudo: pam_unix(sudo:session): session opened for user root(uid=0) by {user}(uid=1000)"
            ),
            format!("{host} sudo: pam_unix(sudo:session): session closed for user root"),
        ])
    }

    fn cron(&mut self) -> VecDeque<String> {
        let (host, pid) = (self.random.below(HOSTS), self.pid());
        let cron = of(host, "CRON", pid);
        let job = *self.random.pick(JOBS);
        VecDeque::from([
            format!("{cron}pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            format!("{}(root) CMD ({job})", of(host, "CRON", pid + 1)),
            format!("{cron}pam_unix(cron:session): session closed for user root"),
        ])
    }

    fn systemd(&mut self) -> VecDeque<String> {
        let systemd = of(self.random.below(HOSTS), "systemd", 1);
        let (unit, what) = *self.random.pick(UNITS);
        VecDeque::from([
            format!("{systemd}Starting {unit} - {what}..."),
            format!("{systemd}{unit}: Deactivated successfully."),
            format!("{systemd}Finished {unit} - {what}."),
        ])
    }

    fn firewall(&mut self) -> VecDeque<String> {
        let (host, address) = (host(self.random.below(HOSTS)), self.outside());
        let (up, to, id) = (self.random.below(9_000_000), self.random.below(250), self.random.below(65_000));
        let (from_port, port) = (self.port(), *self.random.pick(&[23, 445, 3389, 8080, 5900, 1433]));
        VecDeque::from([format!(
            "{host} kernel: [{up:>7}.{id:06}] [UFW BLOCK] IN=eth0 OUT= MAC=02:42:ac:11:00:02:02:42:5c:10:9e:01:08:00 SRC={address} DST=10.20.4.{to} LEN=40 TOS=0x00 PREC=0x00 TTL=243 ID={id} PROTO=TCP SPT={from_port} DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0 "
        )])
    }

    fn daemon(&mut self) -> VecDeque<String> {
        let (host, pid) = (self.random.below(HOSTS), self.pid());
        let server = self.inside();
        VecDeque::from([match self.random.below(4) {
            0 => format!("{}Selected source {server} (2.pool.ntp.org)", of(host, "chronyd", 640)),
            1 => format!("{}DHCPACK of {server} from 10.20.0.1", of(host, "dhclient", pid)),
            2 => format!(
                "{}[origin software=\"rsyslogd\" swVersion=\"8.2112.0\" x-pid=\"{pid}\" x-info=\"https://www.rsyslog.com\"] rsyslogd was HUPed",
                of(host, "rsyslogd", pid)
            ),
            _ => format!("{}starting daily run of {} jobs", of(host, "anacron", pid), pid % 7),
        }])
    }

    fn pid(&mut self) -> u64 {
        1_000 + self.random.below(4_000_000)
    }

    fn port(&mut self) -> u64 {
        32_768 + self.random.below(28_000)
    }

    fn user(&mut self) -> String {
        const NAMES: &[&str] = &["anna", "ben", "chen", "dora", "emre", "fatou", "goran", "hana"];
        let number = self.random.below(USERS / NAMES.len() as u64);
        format!("{}{number:02}", self.random.pick(NAMES))
    }

    fn inside(&mut self) -> String {
        format!("10.20.{}.{}", self.random.below(4), 1 + self.random.below(250))
    }

    fn outside(&mut self) -> String {
        const NETS: &[&str] = &["192.0.2", "198.51.100", "203.0.113"];
        format!("{}.{}", self.random.pick(NETS), 1 + self.random.below(250))
    }
}

fn host(number: u64) -> String {
    const ROLES: &[&str] = &["web", "db", "bastion", "app", "build"];
    let role = ROLES[usize::try_from(number).unwrap_or(0) % ROLES.len()];
    format!("{role}-{number:02}")
}

/// What stands between time and message.
fn of(number: u64, program: &str, pid: u64) -> String {
    let mut out = host(number);
    let _ = write!(out, " {program}[{pid}]: ");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(seed: u64, count: usize) -> Vec<String> {
        let mut generator = Syslog::new(seed);
        let line = |_| {
            let mut line = String::new();
            generator.write(&mut line);
            line
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_lines() {
        assert_eq!(lines(7, 100), lines(7, 100));
        assert_ne!(lines(7, 100), lines(8, 100));
    }

    #[test]
    fn most_lines_are_sshd_s_and_they_have_the_length_of_real_ones() {
        let lines = lines(1, 10_000);
        let share = |what: &str| lines.iter().filter(|line| line.contains(what)).count() / 100;
        assert!((55..80).contains(&share(" sshd[")), "{}", share(" sshd["));
        assert!((12..30).contains(&share("Failed password")), "{}", share("Failed password"));
        assert!(share("Accepted") > 1 && share(" sudo: ") > 2 && share(" CRON[") > 2 && share("UFW") > 0);
        let average = lines.iter().map(String::len).sum::<usize>() / lines.len();
        assert!((80..130).contains(&average), "{average}");
    }

    #[test]
    fn an_attacker_tries_often_within_a_time_frame() {
        let lines = lines(3, 3_000);
        let mut by_address = std::collections::HashMap::new();
        for line in lines.iter().filter(|line| line.contains("Failed password")) {
            let address = line.split(" from ").nth(1).and_then(|rest| rest.split(' ').next());
            *by_address.entry(address).or_insert(0) += 1;
        }
        assert!(by_address.values().any(|count| *count >= 8), "{by_address:?}");
    }
}
