//! The plain formulation of the scan, to check the real one against: one token at a time, no shortcut, no bound.
//!
//! Enters: a pattern that compiles and a text. Leaves: where the text after the match begins, and the groups. Tokens are
//! those of the pattern's text: a quantifier is a literal after a class.

use super::class::Class;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Token {
    Mark,
    Literal(u8),
    Class(Class),
}
use Token::{Class as C, Literal as L, Mark as M};

pub(super) struct Outcome {
    pub(super) rest: usize,
    pub(super) groups: Vec<(usize, usize)>,
}

pub(super) fn run(pattern: &str, text: &[u8], recording: bool) -> Option<Outcome> {
    split(pattern).into_iter().find_map(|alternative| {
        let mut scan = Scan::new(alternative, recording);
        let end = usize::try_from(scan.run(text)?).ok()?;
        let edges: Vec<Option<usize>> = scan.edges();
        let groups = edges.chunks(2).map_while(|edge| Some((edge[0]?, edge[1]?)));
        let groups = groups.take_while(|(open, close)| open <= close).collect();
        Some(Outcome { rest: (end + 1).min(text.len()), groups })
    })
}

struct Source {
    tokens: Vec<Token>,
    from_start: bool,
    to_end: bool,
}

fn split(pattern: &str) -> Vec<Source> {
    let bytes = pattern.as_bytes();
    let mut all = vec![Source { tokens: vec![], from_start: false, to_end: false }];
    let mut fresh = true;
    let mut at = 0;
    while at < bytes.len() {
        let current = all.last_mut().unwrap();
        let last = matches!(bytes.get(at + 1), None | Some(b'|'));
        match bytes[at] {
            b'\\' => {
                at += 1;
                current.tokens.push(C(Class::of_escape(bytes[at]).unwrap()));
            }
            b'|' => {
                all.push(Source { tokens: vec![], from_start: false, to_end: false });
                fresh = true;
                at += 1;
                continue;
            }
            b'^' if fresh => current.from_start = true,
            b'$' if last => current.to_end = true,
            b'(' | b')' => current.tokens.push(M),
            byte => current.tokens.push(L(byte.to_ascii_lowercase())),
        }
        fresh = false;
        at += 1;
    }
    all
}

struct Scan {
    source: Source,
    recording: bool,
    places: Vec<Option<usize>>,
}

impl Scan {
    fn new(source: Source, recording: bool) -> Self {
        let recording = recording && source.tokens.contains(&M);
        Self { places: vec![None; source.tokens.len()], source, recording }
    }

    fn edges(&self) -> Vec<Option<usize>> {
        let marks = (0..self.places.len()).filter(|&at| self.source.tokens[at] == M);
        if self.recording { marks.map(|at| self.places[at]).collect() } else { vec![] }
    }

    fn token(&self, at: usize) -> Option<Token> {
        self.source.tokens.get(at).copied()
    }

    fn quantifier(&self, at: usize) -> Option<u8> {
        match (self.token(at), self.token(at + 1)) {
            (Some(C(_)), Some(L(byte @ (b'+' | b'*')))) => Some(byte),
            _ => None,
        }
    }

    fn left(&self, at: usize) -> usize {
        self.source.tokens[at..].iter().map(|token| if matches!(token, C(_)) { 2 } else { 1 }).sum()
    }

    fn ends(&self, at: usize) -> bool {
        self.source.tokens.len() == at || self.token(at) == Some(M) && self.source.tokens.len() == at + 1
    }

    fn run(&mut self, s: &[u8]) -> Option<i64> {
        let (mut pi, mut si, mut end, mut retry) = (0, 0, Some(0_i64), None);
        let mut looping = false;
        let mut saved: Vec<(usize, usize)> = vec![];
        let length = self.source.tokens.len();
        'next: while si < s.len() {
            let here = i64::try_from(si).unwrap();
            'fail: {
                if pi == length {
                    if !self.source.to_end {
                        return end;
                    }
                } else if self.token(pi) == Some(M) {
                    self.places[pi] = Some(si);
                    pi += 1;
                    if pi == length && !self.source.to_end {
                        return end;
                    }
                }
                match self.token(pi) {
                    Some(C(class)) if class.accepts(s[si]) => {
                        let Some(quantifier) = self.quantifier(pi) else {
                            pi += 1;
                            retry = retry.or(Some(si));
                            end = Some(here);
                            si += 1;
                            continue 'next;
                        };
                        looping |= quantifier == b'*';
                        if looping {
                            let mut q = pi + 2;
                            let mark = (self.token(q) == Some(M)).then_some(q);
                            q += usize::from(mark.is_some());
                            let ok = match self.token(q) {
                                None => Some(1),
                                Some(C(next)) if next.accepts(s[si]) => {
                                    Some(usize::from(self.quantifier(q).is_none()))
                                }
                                Some(L(byte)) if byte == s[si].to_ascii_lowercase() => {
                                    looping = false;
                                    Some(1)
                                }
                                _ => None,
                            };
                            if let Some(ok) = ok {
                                if let Some(mark) = mark {
                                    self.places[mark] = Some(if q == length { si + 1 } else { si });
                                }
                                if q == length {
                                    si += 1;
                                    continue 'next;
                                }
                                if saved.len() < 4 {
                                    saved.push((pi, si));
                                }
                                pi = q + ok;
                            }
                        } else {
                            if self.token(pi + 2) == Some(M) {
                                self.places[pi + 2] = Some(if si + 1 == s.len() { si + 1 } else { si });
                            }
                            looping = true;
                        }
                        end = Some(here);
                        si += 1;
                        continue 'next;
                    }
                    Some(C(_)) => {
                        let quantifier = self.quantifier(pi);
                        if matches!(self.left(pi), 2 | 3) && looping && end.is_some() {
                            end = Some(here);
                            if !self.source.to_end {
                                return end;
                            }
                            looping = false;
                            break 'fail;
                        }
                        if quantifier == Some(b'+') && looping {
                            pi += 2;
                            looping = false;
                            continue 'next;
                        }
                        if quantifier == Some(b'*') {
                            pi += 2;
                            end = Some(here - 1);
                            looping = false;
                            continue 'next;
                        }
                        looping = false;
                    }
                    Some(L(byte)) if byte == s[si].to_ascii_lowercase() => {
                        pi += 1;
                        retry = retry.or(Some(si));
                        end = Some(here);
                        si += 1;
                        continue 'next;
                    }
                    Some(M) if s[si] == b'(' => {
                        pi += 1;
                        retry = retry.or(Some(si));
                        end = Some(here);
                        si += 1;
                        continue 'next;
                    }
                    _ => {}
                }
            }
            if let Some(place) = saved.pop() {
                (pi, si) = place;
                si += 1;
                continue;
            }
            if self.source.from_start {
                return None;
            }
            si = retry.take().unwrap_or(si) + 1;
            pi = 0;
            end = None;
        }
        self.exhausted(pi, looping, s.len()).then_some(end)?
    }

    fn exhausted(&mut self, mut pi: usize, looping: bool, length: usize) -> bool {
        if self.recording {
            while self.quantifier(pi) == Some(b'*') {
                pi += 2;
            }
            if self.token(pi) == Some(M) {
                self.places[pi] = Some(length);
            }
        }
        let starred = |at| self.quantifier(at) == Some(b'*');
        self.ends(pi)
            || starred(pi) && self.ends(pi + 2)
            || looping
                && self.quantifier(pi).is_some()
                && (self.ends(pi + 2) || starred(pi + 2) && self.ends(pi + 4))
    }
}
