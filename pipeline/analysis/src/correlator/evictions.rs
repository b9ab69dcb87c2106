//! What rules had to forget before its time, told by name.
//!
//! Enters: what each component remembers, now and then and at the end. Leaves: a warning once a minute, as long as anything is
//! forgotten for want of room, and a last one: counts of these rules may come out too low.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Remembered;

const EVERY: Duration = Duration::from_secs(60);
/// Components that are named in one warning.
const NAMED: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    told_at: Option<Instant>,
    /// Evictions that were told, by component.
    told: HashMap<String, u64>,
}

impl Evictions {
    /// Whether it is time to look: the last warning is a minute old, or there was none.
    pub(super) fn are_due(&self) -> bool {
        self.told_at.is_none_or(|at| at.elapsed() >= EVERY)
    }

    /// Tells what was forgotten since the last time.
    pub(super) fn tell(&mut self, remembered: &[Remembered]) {
        let evicted: Vec<(String, u64)> =
            remembered.iter().map(|one| (one.component.clone(), one.evicted)).collect();
        if let Some(text) = self.news(&evicted) {
            self.told_at = Some(Instant::now());
            tracing::warn!(
                evicted = text,
                "rules had to forget events before their time: raise state.max_bytes, or their counts may be too low"
            );
        }
    }

    /// All that was forgotten, most first, and by whom.
    pub(super) fn all(remembered: &[Remembered]) -> Option<String> {
        let evicted: Vec<(String, u64)> =
            remembered.iter().map(|one| (one.component.clone(), one.evicted)).collect();
        Self::default().news(&evicted)
    }

    /// How much was forgotten since the last time, most first, and by whom.
    fn news(&mut self, evicted: &[(String, u64)]) -> Option<String> {
        let mut news: Vec<(u64, &str)> = evicted
            .iter()
            .map(|(component, count)| {
                (
                    count.saturating_sub(self.told.get(component).copied().unwrap_or_default()),
                    component.as_str(),
                )
            })
            .filter(|(count, _)| *count > 0)
            .collect();
        news.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let more = news.len().saturating_sub(NAMED);
        let mut texts: Vec<String> =
            news.iter().take(NAMED).map(|(count, component)| format!("{count} of {component}")).collect();
        if more > 0 {
            texts.push(format!("and of {more} more"));
        }
        self.told = evicted.iter().cloned().collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again() {
        let mut evictions = Evictions::default();
        let evicted = |counts: &[(&str, u64)]| -> Vec<(String, u64)> {
            counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        assert_eq!(evictions.news(&evicted(&[("5710", 0), ("5720", 0)])), None);
        let news = evictions.news(&evicted(&[("5710", 3), ("5720", 7)]));
        assert_eq!(news.as_deref(), Some("7 of 5720; 3 of 5710"));
        assert_eq!(evictions.news(&evicted(&[("5710", 3), ("5720", 7)])), None);
        assert_eq!(evictions.news(&evicted(&[("5710", 4), ("5720", 7)])).as_deref(), Some("1 of 5710"));
        let many: Vec<(String, u64)> = (0..20).map(|number| (number.to_string(), 1)).collect();
        assert!(evictions.news(&many).unwrap().ends_with("; and of 12 more"));
    }
}
