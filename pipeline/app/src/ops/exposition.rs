//! Metrics in the format that who scrapes understands.
//!
//! Enters: OpenMetrics text. Leaves: the same, or the older text format of Prometheus, which everything else reads: `promtool
//! check metrics`, agents, people with `curl`. The two differ in what stands before the samples: the older one names each kind by
//! the sample's own name (`x_total`), knows no `info`, no units and no end.

use axum::http::{HeaderMap, header};

/// Content type of [`classic`].
pub(super) const CLASSIC_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether OpenMetrics is asked for.
pub(super) fn wants_open(asked: &HeaderMap) -> bool {
    let mut accepted = asked.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("application/openmetrics-text"))
}

/// OpenMetrics in the older format.
pub(super) fn classic(open: &str) -> String {
    let mut text = String::with_capacity(open.len() + open.len() / 8);
    let mut help = "";
    for line in open.lines() {
        let Some(told) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        match told.split_once(' ') {
            Some(("HELP", told)) => help = told.split_once(' ').map_or("", |(_, help)| help),
            Some(("TYPE", told)) => {
                let (name, kind) = told.split_once(' ').unwrap_or((told, "unknown"));
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                // A quotation mark is escaped in OpenMetrics only.
                let help = std::mem::take(&mut help).replace("\\\"", "\"");
                text.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
            }
            // A unit is the end of the name already.
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_kinds_by_their_samples() {
        let open = "# HELP a_seconds The \\\"a\\\".\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                    a_seconds_sum 1.5\na_seconds_count 2\na_seconds_bucket{le=\"+Inf\"} 2\n\
                    # HELP b Count.\n# TYPE b counter\nb_total{x=\"# y\"} 3\n\
                    # HELP c Info.\n# TYPE c info\nc_info{v=\"1\"} 1\n\
                    # HELP d Gauge.\n# TYPE d gauge\nd 4\n# TYPE e unknown\ne 5\n# EOF\n";
        let classic_text = "# HELP a_seconds The \"a\".\n# TYPE a_seconds histogram\n\
                    a_seconds_sum 1.5\na_seconds_count 2\na_seconds_bucket{le=\"+Inf\"} 2\n\
                    # HELP b_total Count.\n# TYPE b_total counter\nb_total{x=\"# y\"} 3\n\
                    # HELP c_info Info.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n\
                    # HELP d Gauge.\n# TYPE d gauge\nd 4\n# HELP e \n# TYPE e untyped\ne 5\n";
        assert_eq!(classic(open), classic_text);
    }

    #[test]
    fn open_metrics_come_to_whom_they_are_accepted_by() {
        let mut asked = HeaderMap::new();
        assert!(!wants_open(&asked));
        asked.insert(header::ACCEPT, "text/plain;q=0.5".parse().unwrap());
        assert!(!wants_open(&asked));
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5";
        asked.insert(header::ACCEPT, prometheus.parse().unwrap());
        assert!(wants_open(&asked));
    }
}
