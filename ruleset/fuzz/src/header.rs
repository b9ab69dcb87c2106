//! Headers of lines: the engine's reading and the oracle's are the same.

use threatlockdown_ruleset::decode::header::parse;
use threatlockdown_ruleset::naive::header::{Cut, cut};

pub fn run(bytes: &[u8]) {
    // Lines end at the first NUL.
    let (line, _) = super::cut(bytes, 0);
    let header = parse(line);
    let own = Cut { hostname: header.hostname, program_name: header.program_name, log: header.log };
    assert_eq!(own, cut(line), "{:?}", String::from_utf8_lossy(line));
}
